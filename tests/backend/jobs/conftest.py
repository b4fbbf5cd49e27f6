"""Real servers, workers and databases; the tasks alone are doubles."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from benchmarks.postgres import Cluster, PostgresError, cluster
from tests.servers import ROOT, backend

DOUBLES = "tests.backend.jobs.doubles:TASKS"
PATIENCE = 60  # seconds


def eventually(holds: Callable[[], Any], within: float = PATIENCE) -> Any:
    """What `holds` gives as soon as it is true."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if value := holds():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {within} s")


def command_lines() -> dict[int, str]:
    """Of every process of this machine that has one, by its id."""
    lines = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines[int(path.parent.name)] = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return {pid: line for pid, line in lines.items() if line}


class Server:
    """A backend with its runs in a folder of its own."""

    def __init__(self, address: str, process: subprocess.Popen[bytes], runs: Path) -> None:
        self.address, self.process, self.runs = address, process, runs

    def submit(self, kind: str, *, shards: int = 1, processes: int = 1, **request: Any) -> str:
        body = {"kind": kind, "request": request, "shards": shards, "processes": processes}
        answer = httpx2.post(f"{self.address}/jobs", json=body, timeout=90)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def get(self, path: str) -> Any:
        return httpx2.get(f"{self.address}{path}", timeout=30).json()

    def job(self, job_id: str) -> Any:
        return self.get(f"/jobs/{job_id}")

    def cancel(self, job_id: str) -> Any:
        return httpx2.delete(f"{self.address}/jobs/{job_id}", timeout=30)

    def resume(self, job_id: str) -> Any:
        return httpx2.post(f"{self.address}/jobs/{job_id}/resume", timeout=30)

    def until(self, job_id: str, *states: str, within: float = PATIENCE) -> Any:
        return eventually(lambda: (job := self.job(job_id))["state"] in states and job, within)

    def until_it_gets_on(self, job_id: str, done: int = 1) -> None:
        eventually(lambda: ((self.job(job_id)["progress"] or {}).get("done") or 0) >= done)

    def until_it_gets_on_with(self, job_id: str, doing: str) -> None:
        eventually(lambda: (self.job(job_id)["progress"] or {}).get("doing") == doing)

    def pids(self, role: str) -> list[int]:
        """Processes of this server's by their role: worker, guard or child."""
        runs = f"CIFS_RUNS={self.runs}".encode()
        return [
            pid for pid, line in command_lines().items()
            if f"-m backend.jobs.{role}" in line and runs in environment(pid).split(b"\0")
            and (role == "guard" or "backend.jobs.guard" not in line)
        ]  # fmt: skip

    def named(self, mark: str) -> list[int]:
        """Processes whose command line has this in it."""
        return [pid for pid, line in command_lines().items() if mark in line]

    def kill(self, role: str) -> list[int]:
        pids = self.pids(role)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids


def environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


@contextmanager
def serving_jobs(folder: Path, **settings: object) -> Iterator[Server]:
    runs = folder / "runs"
    chosen = {"jobs": "embedded", "runs": runs, "tasks": DOUBLES, "checkpoints": folder / "models"} | settings
    variables = {f"CIFS_{name.upper()}": str(value) for name, value in chosen.items()}
    with backend(folder / f"log-{time.monotonic()}", **variables) as (address, process):
        yield Server(address, process, Path(str(chosen["runs"])))


@contextmanager
def working(folder: Path, name: str, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of its own."""
    chosen = {"runs": folder / "runs", "tasks": DOUBLES, "checkpoints": folder / "models"} | settings
    variables = {f"CIFS_{key.upper()}": str(value) for key, value in chosen.items()}
    command = [sys.executable, "-m", "backend.jobs.worker", "--name", name]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_jobs(tmp_path_factory.mktemp("jobs"), cancel_patience=2, job_log_bytes=100_000) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(cluster())
        except PostgresError as error:
            pytest.skip(str(error))
        yield running


def steps(server: Server, model: str) -> list[int]:
    """What the counting task wrote, in its order."""
    return [int(line.split()[0]) for line in (server.runs / f"{model}.count").read_text().splitlines()]


def tallied(server: Server, model: str) -> list[int]:
    """The shards that were done, in their order."""
    return [int(line.split()[0]) for line in (server.runs / f"{model}.tally").read_text().splitlines()]


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(query).fetchall()


def restored(recording: str, path: Path) -> Path:
    """A database as an older release left it."""
    with sqlite3.connect(path) as connection:
        connection.executescript((Path(__file__).parent / "recorded" / f"{recording}.sql").read_text())
    return path
