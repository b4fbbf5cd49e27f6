"""One process serves: queue, quotas, metrics and what is remembered are its own, and there is one device."""

import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import parent_process

STARTUP_FAILURE = 3  # the status at which uvicorn starts a process no second time


def check_alone() -> None:
    """Ends the process, with a word on stderr, where it is one of several that uvicorn has started."""
    if parent_process() is not None and (workers := workers_asked_for(sys.argv, os.environ)) > 1:
        print(
            f"CIFS Lab: {workers} processes were asked for (--workers or WEB_CONCURRENCY); allowed: 1. Each would have "
            "a queue, quotas, metrics and models of its own for the one device. More threads: CIFS_THREADS; work that "
            "lasts: `cifs worker`, on as many hosts as you like.",
            file=sys.stderr,
        )
        raise SystemExit(STARTUP_FAILURE)


def workers_asked_for(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """As uvicorn reads its command line and its environment."""
    words = [word for argument in arguments for word in argument.split("=")]
    given = words[words.index("--workers") + 1 :][:1] if "--workers" in words else []
    (workers,) = given or [environment.get("WEB_CONCURRENCY", "1")]
    return int(workers) if workers.isdecimal() else 1
