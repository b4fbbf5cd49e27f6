"""Memory that is free goes back to the system."""

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


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
def test_a_heap_full_of_holes_is_given_back() -> None:
    run = [sys.executable, "-c", HEAP_FULL_OF_HOLES]
    said = subprocess.run(run, capture_output=True, text=True, check=True)
    held, free, left = map(int, said.stdout.split())
    assert free > held - 20e6, "the heap has no holes to speak of"
    assert left < held - 150e6
