"""A training of two processes, started by torchrun in sessions of their own: whatever is killed, none stays behind."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cifs.zoo import Zoo
from tests.backend.jobs.conftest import Server, eventually, serving_jobs

pytestmark = pytest.mark.slow
SMALL = ["model.width=4", "images=400", "validation=100", "attack.steps=1", "validation_attack.steps=1"]
RECIPE = {"recipe": "cpu/fmnist-mini-vanilla-lesson"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("torchrun")
    with serving_jobs(folder, tasks="cifs.tasks:TASKS", job_threads=2, cancel_patience=8) as running:
        yield running


def ranks(server: Server) -> list[int]:
    """Processes that train; torchrun itself is not one."""
    return [pid for pid in server.pids("child") if b"RANK=" in Path(f"/proc/{pid}/environ").read_bytes()]


def listening(pid: int) -> set[str]:
    """Addresses at which a process waits for others, as the kernel writes them."""
    sockets = {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    listen = "0A"
    return {words[1].split(":")[0] for words in lines if words[3] == listen and f"socket:[{words[9]}]" in sockets}


def test_it_is_refused_where_the_batch_cannot_be_shared(server: Server) -> None:
    body = {"kind": "train", "request": {**RECIPE, "set": ["batch_size=99"]}, "processes": 2}
    answer = httpx2.post(f"{server.address}/jobs", json=body, timeout=90)
    assert answer.status_code == 422
    assert "batch_size = 99 cannot be shared evenly by 2 processes" in answer.json()["detail"]


def test_ranks_end_with_whatever_is_killed_and_the_training_comes_to_its_end(server: Server) -> None:
    job = server.submit("train", processes=2, **RECIPE, set=[*SMALL, "epochs=4000"], id="killed")

    def training() -> list[int]:
        eventually(lambda: len(ranks(server)) == 2)
        server.until_it_gets_on(job)
        found = ranks(server)
        assert len(found) == 2
        assert len({os.getsid(pid) for pid in found}) == 2  # what killing a process group would miss
        return found

    def gone(pids: list[int]) -> None:
        eventually(lambda: not set(pids) & set(server.pids("child")), within=10)

    first = training()
    loopback = socket.inet_aton("127.0.0.1")[::-1].hex().upper()
    assert {address for pid in server.pids("child") for address in listening(pid)} == {loopback}
    os.kill(max(first), signal.SIGKILL)  # one of them: torchrun ends the other
    server.until(job, "failed")
    gone(first)
    assert server.resume(job).status_code == 202

    second = training()
    server.kill("guard")
    server.until(job, "failed")
    gone(second)
    assert server.resume(job).status_code == 202

    third = training()
    server.kill("worker")
    gone(third)
    eventually(lambda: len(ranks(server)) == 2)  # by the worker that is started again
    server.until_it_gets_on(job)
    assert server.cancel(job).json()["state"] == "cancelling"
    server.until(job, "cancelled", within=20)
    assert ranks(server) == []


def test_the_model_is_saved_once_and_says_how_many_trained_it(server: Server) -> None:
    job = server.submit("train", processes=2, **RECIPE, set=[*SMALL, "epochs=1"], id="two")
    ended = server.until(job, "finished", "failed")
    assert (ended["state"], ended["processes"]) == ("finished", 2), ended["error"]
    training = Zoo(server.runs.parent / "models").entry("two").info.training or {}
    assert training["processes"] == 2
