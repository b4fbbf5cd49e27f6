"""Memory that is free is kept for the next step, or goes back to the system."""

import subprocess
import sys

import pytest

HEAP_FULL_OF_HOLES = """
import os
from pathlib import Path
from cifs.memory import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

blocks = [bytearray(100_000) for _ in range(2_000)]  # below the size that glibc asks the system for
kept = blocks[::100]
held = resident()
del blocks
free = resident()
give_back()
print(held, free, resident())
"""


IMPORTED = """
import gc
from cifs.memory import importing

def collections():
    return sum(generation["collections"] for generation in gc.get_stats())

before = collections()
with importing():
    import plotly.graph_objects, pydantic
print(collections() - before, int(gc.isenabled()), gc.get_freeze_count())
"""


FREED_AND_ASKED_FOR_AGAIN = """
from resource import RUSAGE_SELF, getrusage
from cifs.memory import keep_freed

def faults():
    before = getrusage(RUSAGE_SELF).ru_minflt
    [bytearray(2**23) for _ in range(8)]
    return getrusage(RUSAGE_SELF).ru_minflt - before

faults()
usual = faults()
keep_freed()
faults()
print(usual, faults())
"""


def said_by(script: str) -> list[int]:
    run = [sys.executable, "-c", script]
    return [int(number) for number in subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
def test_what_is_kept_needs_no_new_pages() -> None:
    usual, kept = said_by(FREED_AND_ASKED_FOR_AGAIN)
    assert usual > 10_000, "the system's pages were kept anyway"
    assert kept < 1_000


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
def test_a_heap_full_of_holes_is_given_back() -> None:
    held, free, left = said_by(HEAP_FULL_OF_HOLES)
    assert free > held - 20e6, "the heap has no holes to speak of"
    assert left < held - 150e6


def test_what_is_imported_is_never_looked_through_for_garbage() -> None:
    collections, on_again, frozen = said_by(IMPORTED)
    assert collections == 0
    assert on_again
    assert frozen > 10_000
