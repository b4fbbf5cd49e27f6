"""The guard of one task process: nothing below it outlives it, and nothing above it has to be trusted to clean up.

    python -m backend.jobs.guard --lock FILE --log FILE [--log-bytes N] [--patience S] [--wait S] -- COMMAND …

It is the child subreaper (prctl(2)) of all it starts, so a process that loses its parent becomes the guard's, in
whichever session it is: torchrun gives every rank a session of its own, and killing a process group would miss them.

stdin    lines for the task, passed on as they are; after "cancel" the task has `patience` seconds to end by itself.
         The end of stdin (the worker has died) ends everything at once.
stdout   the task's own lines (its file descriptor 1), then one of the guard's: {"guard": {"code", "killed", "busy"}}
--lock   held as long as any process of the task lives, so that no task runs twice at once
--log    what the task writes to stderr; the older half goes when it has grown to --log-bytes

Standard library only: it starts in milliseconds and stays small.
"""

import argparse
import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
TICK = 0.1  # seconds
CHUNK = 65536


class Guard:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.deadline: float | None = None  # when patience ends
        self.killed: str | None = None  # why the tree was killed, if it was
        self.log = Log(options.log, options.log_bytes)
        self.task: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        with open(self.options.lock, "ab") as lock:
            if not self._locked(lock.fileno()):
                return self._report(code=None, busy=True)
            code = self._guarded(lock.fileno())
        return self._report(code=code, busy=False)

    def _locked(self, descriptor: int) -> bool:
        """Waits for what is left of an attempt whose worker was killed."""
        until = time.monotonic() + self.options.wait
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            if time.monotonic() > until or _hung_up(sys.stdin.fileno()):
                return False
            time.sleep(TICK)

    def _guarded(self, lock: int) -> int:
        """The exit code of the task, once nothing of it is left."""
        self.task = subprocess.Popen(
            self.options.command,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[lock],  # it stays locked should the guard be killed before the task
            preexec_fn=die_with_parent,
        )
        try:
            while self.task.poll() is None and self.killed is None:
                self._listen()
                if self.deadline is not None and time.monotonic() > self.deadline:
                    self.killed = "patience"
        finally:
            end_tree(self.task)
        self._drain()
        return self.task.wait()

    def _listen(self) -> None:
        assert self.task is not None
        assert self.task.stderr is not None
        ready, _, _ = select.select([sys.stdin.fileno(), self.task.stderr], [], [], TICK)
        if self.task.stderr in ready:
            self._log(self.task.stderr.fileno())
        if sys.stdin.fileno() in ready:
            self._pass_on(os.read(sys.stdin.fileno(), CHUNK))

    def _log(self, stderr: int) -> None:
        if said := os.read(stderr, CHUNK):
            self.log.write(said)
        else:  # closed by a task that goes on: it stays ready
            time.sleep(TICK)

    def _pass_on(self, said: bytes) -> None:
        assert self.task is not None
        assert self.task.stdin is not None
        if not said:
            self.killed = "abandoned"
            return
        if b"cancel\n" in said and self.deadline is None:
            self.deadline = time.monotonic() + self.options.patience
        with suppress(BrokenPipeError):
            self.task.stdin.write(said)
            self.task.stdin.flush()

    def _drain(self) -> None:
        assert self.task is not None
        assert self.task.stderr is not None
        while rest := os.read(self.task.stderr.fileno(), CHUNK):
            self.log.write(rest)

    def _report(self, *, code: int | None, busy: bool) -> int:
        said = {"guard": {"code": code, "killed": self.killed, "busy": busy}}
        with suppress(BrokenPipeError):
            os.write(sys.stdout.fileno(), f"{json.dumps(said)}\n".encode())
        return 0


class Log:
    """A file that keeps what was written last: between a half and the whole of `most` bytes, if there was so much."""

    def __init__(self, path: Path, most: int) -> None:
        self.path, self.most = path, most
        self.file = path.open("ab")

    def write(self, said: bytes) -> None:
        with suppress(OSError):  # a full disk must not end the computation
            self.file.write(said)
            self.file.flush()
            if self.file.tell() > self.most:
                self._halve()

    def _halve(self) -> None:
        latest = self.path.read_bytes()[-self.most // 2 :]
        shorter = self.path.with_suffix(".shorter")
        shorter.write_bytes(b"[...]\n" + latest)
        shorter.replace(self.path)
        self.file.close()
        self.file = self.path.open("ab")


def end_tree(task: subprocess.Popen[bytes]) -> None:
    """Kills every descendant, and collects them until there is none: a killed parent's children become the guard's."""
    while True:
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        task.poll()  # before waitpid(-1), which would take its exit code away
        try:
            while task.returncode is not None and os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        time.sleep(TICK / 10)


def descendants(root: int) -> Iterator[int]:
    """Every process below `root`, by /proc."""
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state ppid …, where the name may hold spaces and parentheses
            below.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    waiting = [root]
    while waiting:
        for child in below.get(waiting.pop(), ()):
            waiting.append(child)
            yield child


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _hung_up(descriptor: int) -> bool:
    """Whether nobody holds the other end of the pipe; what was written to it stays to be read."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--log-bytes", type=int, default=2**20)
    parser.add_argument("--patience", type=float, default=6.0)
    parser.add_argument("--wait", type=float, default=30.0)
    parser.add_argument("command", nargs="+")
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # it ends with its worker, and lets the task save first
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    return Guard(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
