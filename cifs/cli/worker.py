"""`cifs worker`."""

import os
import sys
from typing import Annotated

import typer


def worker(
    name: Annotated[
        str | None, typer.Option(help="unique, and the same at every start; default: <host>-<number>")
    ] = None,
) -> None:
    """Run jobs of the queue, on this host, until Ctrl-C (settings are CIFS_… environment variables).

    It needs what the server has: CIFS_DATABASE_URL, and the folders CIFS_CHECKPOINTS and CIFS_RUNS, shared.
    """
    named = [] if name is None else ["--name", name]
    # A process of its own in place of this one: the science knows nothing of the backend.
    os.execv(sys.executable, [sys.executable, "-m", "backend.jobs.worker", *named])
