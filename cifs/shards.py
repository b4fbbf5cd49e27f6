"""One measurement done by several processes, of one host or of several that share a folder.

All do the same work and open the same files, one for each shard of it. Whoever comes first does a shard, under a lock,
and writes its file; the others take the next, and all end with every shard. A process that is killed costs the shard it
was at, which another takes up. As shards are the batches of one process alone, so is the result, bit for bit.
"""

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
LOOK = 0.2  # seconds between two looks at what others are at


def done_together(
    files: Sequence[Path], read: Callable[[Path], T | None], do: Callable[[int], T], waiting: Callable[[], None]
) -> list[T]:
    """Every shard, in order: read from its file, or done here.

    read: None for a file that is not there or damaged. do: writes the file of that number. waiting: called while others
    are at all that is left; may raise Cancelled, as `do` may.
    """
    shards: dict[int, T] = {}
    while True:
        for number, file in enumerate(files):
            if number not in shards and (shard := _taken(file, read, do, number)) is not None:
                shards[number] = shard
        if len(shards) == len(files):
            return [shards[number] for number in range(len(files))]
        waiting()
        time.sleep(LOOK)


def _taken(file: Path, read: Callable[[Path], T | None], do: Callable[[int], T], number: int) -> T | None:
    """None: another process is at it."""
    if (shard := read(file)) is not None:
        return shard
    with _held(file.with_suffix(".lock")) as held:
        if not held or (shard := read(file)) is not None:  # it was written since
            return shard
        return do(number)


@contextmanager
def _held(lock: Path) -> Iterator[bool]:
    """Whether no other process holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
