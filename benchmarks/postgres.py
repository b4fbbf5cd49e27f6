"""A PostgreSQL cluster of one's own: Debian's binaries, a socket and a port that nobody else has, gone at the end."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60.0  # seconds for what is left of a killed one to go


class PostgresError(Exception):
    pass


def programs() -> Path | None:
    """The folder of Debian's latest, where it is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _run(*command: str | Path) -> None:
    """As the user postgres where this one is root, whom PostgreSQL refuses."""
    as_user = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    with tempfile.TemporaryFile() as said:  # not a pipe: the server would hold it open
        done = subprocess.run([*as_user, *map(str, command)], stdout=said, stderr=said, cwd="/")
        if done.returncode:
            said.seek(0)
            raise PostgresError(said.read().decode())


class Cluster:
    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs = folder, programs
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        _run(self.programs / "initdb", "--auth=trust", "--username=postgres", "--no-sync", "-D", self.folder / "data")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c max_connections=50"
        log = self.folder / "log"
        _run(self.programs / "pg_ctl", "-D", self.folder / "data", "-o", options, "-l", log, "-w", "start")

    def stop(self, how: str = "fast") -> None:
        """`immediate` is as a power cut: it recovers from its log when it is started again."""
        _run(self.programs / "pg_ctl", "-D", self.folder / "data", "-m", how, "-w", "stop")

    def kill(self) -> None:
        """kill -9 of the postmaster, whose other processes then end by themselves."""
        os.kill(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def start_again(self) -> None:
        """After `kill`: it refuses to start as long as a process of the one before lives."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.start()
            except PostgresError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Raises PostgresError where PostgreSQL is not installed."""
    if (installed := programs()) is None:
        raise PostgresError("PostgreSQL is not installed here (Debian: apt install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="cifs-postgres-", dir="/tmp"))  # pytest's own folders are root's alone
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    try:
        running = Cluster(folder, installed)
        running.create()
        running.start()
        try:
            yield running
        finally:
            running.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
