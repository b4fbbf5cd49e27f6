"""A PostgreSQL cluster of a test's own: Debian's binaries, a socket and a port of its own, gone at the end."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import free_port


def _programs() -> Path:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("PostgreSQL is not installed here (Debian: apt install postgresql)")
    return programs[-1].parent


def _run(*command: str | Path) -> None:
    """As the user postgres where this one is root, whom PostgreSQL refuses."""
    as_user = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    with tempfile.TemporaryFile() as said:  # not a pipe: the server would hold it open
        done = subprocess.run([*as_user, *map(str, command)], stdout=said, stderr=said, cwd="/")
        said.seek(0)
        assert done.returncode == 0, said.read().decode()


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.programs = folder, free_port(), _programs()

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


@contextmanager
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="cifs-postgres-", dir="/tmp"))  # pytest's own folders are root's alone
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    try:
        running = Cluster(folder)
        running.create()
        running.start()
        try:
            yield running
        finally:
            running.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
