"""The real server, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backend.alone import workers_asked_for
from tests.servers import backend

SLOW = {
    "model": "tiny-natural",
    "images": [{"dataset": "fashion_mnist_mini", "index": i} for i in range(32)],
    "attack": {"name": "pgd", "eps": 0.1, "steps": 100},
}


@contextmanager
def server(checkpoints: Path, log: Path, **settings: object) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The real backend with these settings."""
    environment = {f"CIFS_{name.upper()}": str(value) for name, value in settings.items()}
    with backend(log, CIFS_CHECKPOINTS=str(checkpoints), CIFS_DEVICE="cpu", **environment) as running:
        yield running


@pytest.mark.slow
def test_under_load_a_full_queue_is_503_with_retry_after_and_the_rest_is_served(
    checkpoints: Path, tmp_path: Path
) -> None:
    with server(checkpoints, tmp_path / "log", queue_length=1) as (address, process):

        def post(_: int) -> httpx2.Response:
            return httpx2.post(f"{address}/attack", json=SLOW, timeout=120)

        with ThreadPoolExecutor(8) as threads:
            responses = threads.map(post, range(8))
            time.sleep(0.5)
            began = time.monotonic()
            assert httpx2.get(f"{address}/health").status_code == 200  # the event loop is free
            assert time.monotonic() - began < 2
            responses = list(responses)
        served = [r for r in responses if r.status_code == 200]
        refused = [r for r in responses if r.status_code == 503]
        assert len(served) + len(refused) == 8
        assert 2 <= len(served) < 8
        for response in refused:
            assert response.headers["content-type"] == "application/problem+json"
            assert 1 <= int(response.headers["retry-after"]) <= 60
            assert "1 computations are waiting" in response.json()["detail"]
        assert len({r.json()["results"][0]["image"]["npy"] for r in served}) == 1
        assert httpx2.post(f"{address}/attack", json=SLOW, timeout=120).status_code == 200
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    log = (tmp_path / "log").read_text()
    assert "Application shutdown complete" in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_a_connection_outlasts_the_time_that_clients_keep_one(checkpoints: Path, tmp_path: Path) -> None:
    """Where both let go after the same time, a client asks once more just as the server closes: a reset, no answer."""
    kept = httpx2.Limits().keepalive_expiry
    assert kept is not None
    with (
        server(checkpoints, tmp_path / "log") as (address, _),
        httpx2.Client(base_url=address, limits=httpx2.Limits(max_connections=1, keepalive_expiry=None)) as http,
    ):
        connections = []
        for pause in (0, kept + 1):
            time.sleep(pause)
            response = http.get("/health")
            connections.append(response.extensions["network_stream"].get_extra_info("client_addr"))
    assert connections[0] == connections[1]


@pytest.mark.slow
def test_clients_that_leave_are_not_computed_whether_they_wait_or_run(checkpoints: Path, tmp_path: Path) -> None:
    def long(seed: int) -> dict[str, Any]:
        """Every seed is computed anew, for an attack that was computed is remembered."""
        return SLOW | {"attack": {"name": "pgd", "eps": 0.1, "steps": 200, "seed": seed}}

    with server(checkpoints, tmp_path / "log", queue_length=8) as (address, _):
        began = time.monotonic()
        assert httpx2.post(f"{address}/attack", json=long(0), timeout=120).status_code == 200
        one = time.monotonic() - began
        began = time.monotonic()
        for seed in range(1, 9):
            with pytest.raises(httpx2.TimeoutException):
                httpx2.post(f"{address}/attack", json=long(seed), timeout=0.05)
        assert httpx2.post(f"{address}/attack", json=long(9), timeout=120).status_code == 200
        assert time.monotonic() - began < 5 * one  # and not nine times
        assert httpx2.get(f"{address}/health").json()["queue_length"] == 0


@pytest.mark.slow
def test_several_processes_are_refused_with_what_is_allowed(checkpoints: Path) -> None:
    """Once each had a queue and metrics of its own, and a scrape told those of whichever answered."""
    command = [sys.executable, "-m", "uvicorn", "--port", "0", "--workers", "2", "--factory", "backend.app:create_app"]
    environment = os.environ | {"CIFS_CHECKPOINTS": str(checkpoints), "CIFS_DEVICE": "cpu"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "processes were asked for" in line)  # it ends, or says so
        process.terminate()
    assert "2 processes were asked for" in said
    assert "allowed: 1" in said


@pytest.mark.parametrize(
    ("arguments", "environment", "workers"),
    [
        (["--workers", "4"], {}, 4),
        (["--workers=3"], {"WEB_CONCURRENCY": "2"}, 3),
        ([], {"WEB_CONCURRENCY": "2"}, 2),
        (["--workers"], {"WEB_CONCURRENCY": "many"}, 1),
        ([], {}, 1),
    ],
)
def test_processes_are_counted_as_uvicorn_counts_them(
    arguments: list[str], environment: dict[str, str], workers: int
) -> None:
    assert workers_asked_for(arguments, environment) == workers
