"""Real servers for tests, each a process of its own on a free port of this machine."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
PATIENCE = 90  # seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def backend(log: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The real backend: its address and its process."""
    port = str(free_port())
    command = ("cifs", "serve", "--port", port)
    address = f"http://127.0.0.1:{port}"
    with serving(log, f"{address}/health", *command, **{"CIFS_JOBS": "off"} | environment) as process:
        yield address, process


@contextmanager
def serving(log: Path, health: str, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m <command>`, running until the block ends; ready once `health` answers."""
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=variables
        )
        try:
            _wait_until_healthy(process, health, log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def dashboard(folder: Path, **environment: str) -> Iterator[str]:
    """The real backend, with these settings, and the dashboard on it: the dashboard's address."""
    with backend(folder / "backend.log", **environment) as (api, _), dashboard_of(api, folder) as url:
        yield url


@contextmanager
def dashboard_of(api: str, folder: Path) -> Iterator[str]:
    """The dashboard alone, pointed at `api`."""
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    streamlit = ("streamlit", "run", "--server.port", port, "--server.fileWatcherType", "none", "frontend/app.py")
    with serving(folder / "dashboard.log", f"{url}/_stcore/health", *streamlit, CIFS_BACKEND_URL=api):
        yield url


def _wait_until_healthy(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(health, timeout=5, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"{health} did not come up:\n{log.read_text()[-4000:]}")
