"""The process that computes one job: reads {"kind", "request", "workspace"} and runs that task of the registry.

    python -m backend.jobs.child cifs.tasks:TASKS

stdin    the request, one line of JSON; later perhaps "cancel", which the task's next report raises as Cancelled
stdout   lines of JSON: {"progress": …}, and at last {"result": …}, {"cancelled": true} or {"error": {…}}
stderr   whatever the task prints

Of several processes that torchrun started the first does all that. The others share its stdin and leave it alone: they
have the request from the environment, end with torchrun, and say nothing but what went wrong.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any, TextIO

from pydantic_core import from_json, to_json

from backend.jobs.guard import die_with_parent
from backend.jobs.kinds import Kinds, load_kinds, without_folders
from cifs.errors import CIFSError
from cifs.memory import importing, keep_freed
from cifs.progress import Cancelled, Progress, Report, unreported

BETWEEN = 0.2  # seconds from one line of progress to the next
ORDER = "CIFS_JOB_ORDER"  # the variable with the request
NICENESS = 5  # the server that answers people goes first


class Reporter:
    """The task's `report`. A thread passes on the latest progress, so that one who then falls silent is heard too.

    With every figure since the line before, and a line at least for each thing that is done.
    """

    def __init__(self, out: TextIO, cancelled: Event) -> None:
        self.out, self.cancelled = out, cancelled
        self.waiting: Progress | None = None
        self.lock = RLock()

    def __call__(self, progress: Progress) -> None:
        with self.lock:
            if self.waiting is not None and self.waiting.doing != progress.doing:
                self.flush()
            figures = {**(self.waiting.metrics if self.waiting else {}), **progress.metrics}
            self.waiting = replace(progress, metrics=figures)
        if self.cancelled.is_set():
            raise Cancelled("cancelled")

    def flush(self) -> None:
        with self.lock:
            if self.waiting is not None:
                self.say(progress={**asdict(replace(self.waiting, metrics={})), "metrics": dict(self.waiting.metrics)})
            self.waiting = None

    def say(self, **line: Any) -> None:
        with self.lock:
            self.out.write(to_json(line, inf_nan_mode="null").decode() + "\n")
            self.out.flush()

    def keep_flushing(self) -> None:
        while True:
            time.sleep(BETWEEN)
            self.flush()


def run(kinds: Kinds, order: Mapping[str, Any], reporter: Report) -> dict[str, Any]:
    """The last line: what became of it."""
    try:
        record = kinds.run(order["kind"], order["request"], order["workspace"], reporter)
    except Cancelled:
        return {"cancelled": True}
    except CIFSError as error:
        return {"error": {"message": without_folders(str(error), order["workspace"]), "expected": True}}
    except Exception as error:
        traceback.print_exc()
        return {"error": {"message": f"{type(error).__name__}: {error}", "expected": False}}
    return {"result": from_json(without_folders(to_json(record, inf_nan_mode="null").decode(), order["workspace"]))}


@contextmanager
def own_stdout() -> Iterator[TextIO]:
    """File descriptor 1 for lines of ours alone; what is printed goes to stderr."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        yield out


def _listen(cancelled: Event) -> None:
    for line in sys.stdin:
        if line == "cancel\n":
            cancelled.set()
    os._exit(1)  # the guard is gone


def main() -> int:
    rank = os.environ.get("RANK")  # by torchrun, which ends its processes by SIGTERM
    if rank is not None:
        die_with_parent()
        if b"backend.jobs.torchrun" not in Path(f"/proc/{os.getppid()}/cmdline").read_bytes():
            return 1  # it was killed before this process asked to die with it
    for signum in (signal.SIGINT, signal.SIGHUP, *([signal.SIGTERM] if rank is None else [])):
        signal.signal(signum, signal.SIG_IGN)  # of the terminal; the guard says when to end
    os.nice(NICENESS)
    keep_freed()
    with own_stdout() as out:
        return _first(out) if rank in (None, "0") else _further(out)


def _first(out: TextIO) -> int:
    cancelled = Event()
    order = json.loads(sys.stdin.readline())
    Thread(target=_listen, args=[cancelled], daemon=True).start()
    reporter = Reporter(out, cancelled)
    Thread(target=reporter.keep_flushing, daemon=True).start()
    reporter(Progress("starting"))
    last = run(_kinds(), order, reporter)
    reporter.flush()
    reporter.say(**last)
    return 0


def _kinds() -> Kinds:
    with importing():
        return load_kinds(sys.argv[1])


def _further(out: TextIO) -> int:
    """Cancelled by the first, whose wish all hear of as they train."""
    last = run(_kinds(), json.loads(os.environ[ORDER]), unreported)
    if "error" not in last:
        return 0
    Reporter(out, Event()).say(**last)
    return 1


if __name__ == "__main__":
    sys.exit(main())
