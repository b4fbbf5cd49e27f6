"""A worker: runs the jobs the queue gives it, one guarded child process each.

    python -m backend.jobs.worker [--name NAME] [--with-parent]

Its settings are the backend's, the environment variables CIFS_…. It holds a lock on its name, which is unique and
stays the same when it is started again: under that name it takes up what it was at when it was killed. Every worker
also watches over the others: what one that is gone was at, or was given and never began, goes back to the queue.
SIGTERM, Ctrl-C (and, with --with-parent, the end of stdin) let it save what runs and hand it over.
"""

import argparse
import fcntl
import logging
import os
import shutil
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO

from backend.jobs.attempt import Attempt, Ending, persist, shards_of
from backend.jobs.ledger import Ledger, LedgerAway, LedgerError, Other, engine_of
from backend.jobs.queue import Queue, prepare, serve
from backend.log import log
from backend.settings import Settings

BEAT = 2.0  # seconds from one heartbeat to the next
LEASE = 15.0  # after so long without one a worker counts as gone
LET_GO = 8.0  # after so long without one it ends its children itself
SEARCH = 3.0  # seconds from one search for strayed jobs to the next
TAKEN_AT_MOST = 100  # times that a worker began one attempt and did not come back


class Worker:
    def __init__(self, settings: Settings, name: str, ledger: Ledger, queue: Queue) -> None:
        self.settings, self.name, self.ledger, self.queue = settings, name, ledger, queue
        self.stopping, self.abandoned = Event(), Event()
        self.heard = time.monotonic()

    def work(self, job_id: str, attempt: int) -> None:
        """What the queue calls for an attempt. Returns when it is over, or handed over; raises nothing."""
        try:
            self._work(job_id, attempt)
        except Exception as error:
            log.exception("attempt failed", job=job_id, attempt=attempt)
            said = f"the worker failed: {type(error).__name__}: {error}"
            persist(lambda: self.ledger.end(job_id, attempt, "failed", error=said))

    def _work(self, job_id: str, attempt: int) -> None:
        if self.stopping.is_set():
            persist(lambda: self.ledger.hand_over(job_id, attempt))
            return
        job = self.ledger.take(job_id, attempt, self.name)
        if job is None:
            return
        if job.taken > TAKEN_AT_MOST:
            said = f"{TAKEN_AT_MOST} times a worker began it and was ended; it can be resumed"
            self.ledger.end(job_id, attempt, "failed", error=said)
            return
        log.info("began", job=job_id, kind=job.kind, attempt=attempt)
        ending = Attempt(job, self.ledger, self.settings, self.stopping, self.abandoned).run()
        persist(lambda: self._write_down(job_id, attempt, ending))
        if (parent := job.parent) is not None:
            persist(lambda: self._sweep_after(parent))
        log.info("ended", job=job_id, state=ending.state or "handed over")

    def _write_down(self, job_id: str, attempt: int, ending: Ending) -> bool:
        if ending.state is None:
            return self.ledger.hand_over(job_id, attempt)
        return self.ledger.end(job_id, attempt, ending.state, result=ending.result, error=ending.error)

    def _sweep_after(self, job_id: str) -> bool:
        """What its shards measured is in the result of a job that is finished."""
        if (job := self.ledger.job(job_id)) is not None and job.state == "finished":
            shutil.rmtree(shards_of(self.settings, job_id), ignore_errors=True)
        return True

    def watch(self) -> None:
        """Heartbeats until it stops, and a look at the others'."""
        while not self.stopping.wait(BEAT):
            try:
                self.ledger.beat(self.name, host())
                self.heard = time.monotonic()
                self.abandoned.clear()
                self._hand_over_what_others_left()
            except LedgerError as error:
                log.warning("no heartbeat", error=str(error))
                if time.monotonic() - self.heard > LET_GO:
                    self.abandoned.set()  # before another worker begins what runs here

    def _hand_over_what_others_left(self) -> None:
        for other in self.ledger.others(self.name):
            late = other.silence is None or other.silence > LEASE
            if late or is_dead_here(self.settings.runs, other):
                for job_id, attempt in self.ledger.jobs_of(other.name):
                    if self.ledger.hand_over(job_id, attempt):
                        log.warning("took over", job=job_id, of=other.name)

    def search(self) -> None:
        """Until it stops, for what waits and no queue will bring: what took it from there ended before it began it.

        On a thread of its own, for DBOS waits for its database where `watch` may not. Twice in a row, for one that is
        about to begin is found so once; were it handed over all the same, it would come too late and change nothing.
        """
        before: set[tuple[str, int]] = set()
        while not self.stopping.wait(SEARCH):
            try:
                strayed = self.queue.lacks(self.ledger.waiting())
                for job_id, attempt in strayed & before:
                    if self.ledger.hand_over(job_id, attempt):
                        log.warning("brought back", job=job_id, attempt=attempt)
                before = strayed
            except Exception as error:
                log.warning("no search for strayed jobs", error=str(error))


# Names ---------------------------------------------------------------------------------------------------------------
def host() -> str:
    return socket.gethostname()


def claim(runs: Path, name: str | None) -> tuple[str, IO[bytes]]:
    """A name that no other worker has, and the file whose lock says so: `name`, or the first free <host>-<number>."""
    folder = runs / "workers"
    folder.mkdir(parents=True, exist_ok=True)
    for candidate in [name] if name else (f"{host()}-{number}" for number in range(1000)):
        if (lock := _lock(folder / f"{candidate}.lock")) is not None:
            return candidate, lock
    raise LedgerError(f"a worker called {name!r} is at work already; give another --name")


def _lock(path: Path) -> IO[bytes] | None:
    file = path.open("ab")
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file
    file.close()
    return None


def is_dead_here(runs: Path, other: Other) -> bool:
    """Whether it was a worker of this host and its lock is free: no need to wait for its lease to end."""
    path = runs / "workers" / f"{other.name}.lock"
    if other.host != host() or not path.exists():
        return False
    lock = _lock(path)
    if lock is not None:
        lock.close()
    return lock is not None


# The process ---------------------------------------------------------------------------------------------------------
def main() -> int:
    parser = argparse.ArgumentParser(prog="cifs worker")
    parser.add_argument("--name", help="unique and stable; by default <host>-<number>")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin does")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run(Settings(), options.name, with_parent=options.with_parent)
    except LedgerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run(settings: Settings, name: str | None, *, with_parent: bool) -> None:
    """Works until it is told to stop. Raises LedgerError."""
    stop = Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    if with_parent:
        Thread(target=_until_stdin_ends, args=[stop], daemon=True).start()
    url = settings.jobs_url
    name, lock = claim(settings.runs, name)
    engine = engine_of(url)
    queue = Queue(engine)
    ledger = Ledger(engine, queue.put)
    ledger.open()
    prepare(url)
    ledger.beat(name, host())
    worker = Worker(settings, name, ledger, queue)
    for duty in (worker.watch, worker.search):
        Thread(target=duty, daemon=True).start()
    end = serve(worker.work, url=url, engine=engine, worker=name, at_once=settings.jobs_at_once)
    log.info("at work", worker=name)
    stop.wait()
    worker.stopping.set()
    end()
    with suppress(LedgerAway):
        ledger.leave(name)
    lock.close()


def _until_stdin_ends(stop: Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
