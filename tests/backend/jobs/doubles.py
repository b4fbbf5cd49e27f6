"""Kinds of jobs that do next to nothing, in place of those of `cifs.tasks`: quick, and as unruly as is asked for."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from cifs.errors import CheckpointError, DataError, InvalidParameter
from cifs.files import write_json
from cifs.progress import Progress, Report
from cifs.registry import Registry, settings
from cifs.shards import done_together


@dataclass(frozen=True)
class Workspace:
    checkpoints: Path
    runs: Path
    device: str
    processes: int = 1
    shards: Path | None = None


class Prepared(NamedTuple):
    run: Callable[[Report], Any]
    notes: tuple[str, ...] = ()
    divides: bool = False


TASKS: Registry[Any] = Registry("task")


@TASKS.register("count")
@settings
class Count:
    """Counts, a step each `pause` seconds, from where the last attempt stopped: every step is a line of a file."""

    model: str | None = "double"
    to: int = Field(default=10, ge=1, le=100_000)
    pause: float = Field(default=0.05, ge=0)

    def prepare(self, workspace: Workspace) -> Prepared:
        if self.to == 13:
            raise InvalidParameter("to = 13: brings bad luck")
        if self.to == 14:
            raise DataError(f"{workspace.runs}/d.npz is no readable .npz")
        if self.to == 15:
            raise InvalidParameter(f"{workspace.checkpoints}/m is of other weights")
        return Prepared(partial(self.run, workspace.runs / f"{self.model}.count"), ("it takes a while",))

    def run(self, path: Path, report: Report) -> dict[str, int]:
        path.parent.mkdir(parents=True, exist_ok=True)
        first = done = len(path.read_text().splitlines()) if path.exists() else 0
        with path.open("a") as file:
            while done < self.to:
                report(Progress("counting", done, self.to, {"half": done / 2}))
                time.sleep(self.pause)
                done += 1
                file.write(f"{done} {os.getpid()}\n")
                file.flush()
        report(Progress("counting", done, self.to, {"half": done / 2}))
        return {"counted": done, "first": first}


@TASKS.register("tally")
@settings
class Tally:
    """Counts shard by shard, as a measurement is divided: every shard that is done is a line of a file."""

    model: str = "double"
    to: int = Field(default=10, ge=1)
    pause: float = Field(default=0.05, ge=0)

    def prepare(self, workspace: Workspace) -> Prepared:
        return Prepared(partial(self.run, workspace), divides=True)

    def run(self, workspace: Workspace, report: Report) -> dict[str, int]:
        folder = workspace.shards or workspace.runs / "alone"
        files = [folder / f"{number}.json" for number in range(self.to)]

        def note() -> None:
            report(Progress("tallying", sum(file.exists() for file in files), self.to))

        def do(number: int) -> int:
            for _ in range(5):
                note()
                time.sleep(self.pause / 5)
            with (workspace.runs / f"{self.model}.tally").open("a") as lines:
                lines.write(f"{number} {os.getpid()}\n")
            files[number].write_text(str(number))
            return number

        def read(file: Path) -> int | None:
            return int(file.read_text() or 0) if file.exists() else None

        total = sum(done_together(files, read, do, note))
        note()
        return {"total": total}


@TASKS.register("misbehave")
@settings
class Misbehave:
    """Does what no task should."""

    model: str | None = None
    how: str = "raise"

    def prepare(self, workspace: Workspace) -> Prepared:
        return Prepared(partial(self.run, workspace))

    def run(self, workspace: Workspace, report: Report) -> None:
        print("about to", self.how)
        report(Progress(self.how))
        match self.how:
            case "refuse":
                raise CheckpointError("the checkpoint is not there")
            case "raise":
                raise ZeroDivisionError("nothing over nothing")
            case "die":
                os.kill(os.getpid(), 9)
            case "exit":
                os._exit(3)
            case "deaf":  # to every wish to end
                time.sleep(600)
            case "breed":  # descendants with sessions of their own, as torchrun's ranks have
                command = [sys.executable, "-c", f"import time; time.sleep(600)  # {workspace.runs}"]
                for _ in range(2):
                    subprocess.Popen(command, start_new_session=True)
                time.sleep(600)
            case "save":
                write_json(workspace.runs / "saved.json", "x" * 2**20)
            case "chatter":
                for _ in range(20_000):
                    print("x" * 99)
                    print("x" * 99, file=sys.stderr)
