"""One attempt at a job, from the worker's side: starts the guarded child, and writes down what it says."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from signal import Signals
from threading import Event, Thread
from typing import Any

from backend.jobs.child import ORDER
from backend.jobs.ledger import Ledger, LedgerAway, Row, State
from backend.log import log
from backend.settings import Settings

TICK = 0.25  # seconds to wait for a line of the child's
LOOK = 0.5  # seconds between two looks at the ledger
SHORTEST, LONGEST, SHARE = 0.5, 10.0, 1 / 500  # between two durable events: this share of the time so far, within these
RESULT_BYTES = 2**20
AGAIN = 1.0  # seconds, when the database is away
STOPPED = "cancel\n"


@dataclass(frozen=True)
class Ending:
    """How it ended; without a state it goes back to the queue."""

    state: State | None
    result: Any = None
    error: str | None = None


@dataclass
class Attempt:
    """A child process and what it said."""

    job: Row
    ledger: Ledger
    settings: Settings
    stopping: Event  # the worker has to stop: save and hand over
    abandoned: Event  # the ledger cannot be reached: end at once, for others will take the job up
    lines: SimpleQueue[dict[str, Any] | None] = field(default_factory=SimpleQueue)
    progress: list[dict[str, Any]] = field(default_factory=list)  # not written down yet
    last: dict[str, Any] = field(default_factory=dict)
    guard: dict[str, Any] = field(default_factory=dict)
    looked: float = 0.0  # when it last looked whether to go on
    asked: bool = False  # to stop
    cancelled: bool = False  # by a person

    def run(self) -> Ending:
        folder = folder_of(self.settings, self.job.id)
        folder.mkdir(parents=True, exist_ok=True)
        told = json.dumps(order(self.job, self.settings))
        with subprocess.Popen(
            command(self.job, self.settings, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | environment(self.job, self.settings) | {ORDER: told},
            start_new_session=True,  # a terminal's Ctrl-C reaches the worker alone
        ) as process:
            Thread(target=self._read, args=[process], daemon=True).start()
            try:
                self._say(process, f"{told}\n")
                self._watch(process)
            finally:
                with suppress(BrokenPipeError):
                    if process.stdin is not None:
                        process.stdin.close()  # whatever happened here, nothing goes on there
        return self._ending()

    def _watch(self, process: subprocess.Popen[str]) -> None:
        began = written = time.monotonic()
        while (line := self._line()) is not None:
            self._take_in(line)
            now = time.monotonic()
            if now - written > min(max(SHORTEST, (now - began) * SHARE), LONGEST) and self._write_progress():
                written = now
            self._ask_to_stop(process)
            if self.abandoned.is_set():
                return
        self._write_progress()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with suppress(ValueError):
                self.lines.put(json.loads(line))
        self.lines.put(None)

    def _line(self) -> dict[str, Any] | None:
        """What the child says next; {} when it says nothing for a while, None at the end."""
        try:
            return self.lines.get(timeout=TICK)
        except Empty:
            return {}

    def _take_in(self, line: dict[str, Any]) -> None:
        if "progress" in line:
            self._merge(line["progress"])
        elif "guard" in line:
            self.guard = line["guard"]
        elif line:
            self.last = line

    def _merge(self, progress: dict[str, Any]) -> None:
        """Into what waits to be written, if it is of the same doing; figures outlast the progress they came with."""
        if self.progress and self.progress[-1]["doing"] == progress["doing"]:
            before = self.progress.pop()
            progress = {**progress, "metrics": before["metrics"] | progress["metrics"]}
        elif self.progress and not self.progress[-1]["metrics"]:
            self.progress.pop()
        self.progress.append(progress)

    def _write_progress(self) -> bool:
        with suppress(LedgerAway):
            while self.progress:
                self.ledger.tell_progress(self.job.id, self.job.attempt, self.progress[0])
                self.progress.pop(0)
            return True
        return False

    def _ask_to_stop(self, process: subprocess.Popen[str]) -> None:
        if self.asked or time.monotonic() - self.looked < LOOK:
            return
        self.looked = time.monotonic()
        with suppress(LedgerAway):
            now = self.ledger.job(self.job.id)
            self.cancelled = now is None or now.state != "running" or now.attempt != self.job.attempt
        if self.cancelled or self.stopping.is_set():
            self.asked = True
            self._say(process, STOPPED)

    def _say(self, process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(line)
            process.stdin.flush()

    def _ending(self) -> Ending:
        if "result" in self.last:
            if len(json.dumps(self.last["result"])) > RESULT_BYTES:
                return Ending("finished")
            return Ending("finished", result=self.last["result"])
        if "error" in self.last:
            return Ending("failed", error=self.last["error"]["message"])
        if self.cancelled:
            return Ending("cancelled")
        if self.asked or self.abandoned.is_set():
            return Ending(None)
        return Ending("failed", error=self._how_it_died())

    def _how_it_died(self) -> str:
        if self.guard.get("busy"):
            return "another process holds this job's lock; it can be resumed when that has ended"
        code = self.guard.get("code")
        if code is None:
            return "its guard was killed; it can be resumed"
        if code >= 0:
            return f"its process ended with exit code {code} and said nothing; the log may say why"
        name = Signals(-code).name
        memory = ", perhaps by the system for want of memory" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{memory}; it can be resumed"


def folder_of(settings: Settings, job_id: str) -> Path:
    return settings.runs / "jobs" / job_id


def log_of(settings: Settings, job_id: str) -> Path:
    return folder_of(settings, job_id) / "log.txt"


def command(job: Row, settings: Settings, folder: Path) -> list[str]:
    guard = [sys.executable, "-m", "backend.jobs.guard", "--lock", str(folder / "lock")]
    bounds = ["--log", str(folder / "log.txt"), "--log-bytes", str(settings.job_log_bytes)]
    patience = ["--patience", str(settings.cancel_patience)]
    torchrun = ["-m", "backend.jobs.torchrun", "--nproc-per-node", str(job.processes)]
    child = [*(torchrun if job.processes > 1 else ()), "-m", "backend.jobs.child", settings.tasks]
    return [*guard, *bounds, *patience, "--", sys.executable, *child]


def environment(job: Row, settings: Settings) -> dict[str, str]:
    """The threads of one job, shared by its processes."""
    shared = dict(settings.job_environment)
    shared["OMP_NUM_THREADS"] = str(max(int(shared["OMP_NUM_THREADS"]) // job.processes, 1))
    return shared


def order(job: Row, settings: Settings) -> dict[str, Any]:
    place = settings.workspace | ({"shards": str(shards_of(settings, job.parent))} if job.parent else {})
    return {"kind": job.kind, "request": job.request, "workspace": {**place, "processes": job.processes}}


def shards_of(settings: Settings, job_id: str) -> Path:
    """Where the shards of a job leave what they measured, until it is finished."""
    return folder_of(settings, job_id) / "shards"


def persist(write: Callable[[], bool], *, patience: Callable[[], bool] = lambda: True) -> bool:
    """`write`, again and again while the database is away (and there is patience)."""
    while True:
        try:
            return write()
        except LedgerAway as error:
            log.warning("waiting for the database", error=str(error))
            if not patience():
                return False
            time.sleep(AGAIN)
