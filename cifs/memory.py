"""Memory at the start of a process, over many steps, and over many batches."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST = {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**25}  # bytes; more is refused


@contextmanager
def importing() -> Iterator[None]:
    """Modules imported in the block are not looked through for garbage: neither meanwhile nor ever after.

    Else Python goes through all that PyTorch made time and again, and once more at the end: a third of what
    `cifs --version` needs.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def keep_freed() -> None:
    """From now on glibc keeps freed memory for the next step, until `give_back`; elsewhere nothing is done.

    Else it returns what a step frees and the system clears it anew for the next: of a gradient step of a ResNet-10
    (width 16, 190 images, bf16) a quarter. It is for processes whose work it is to compute, as it holds for all of one.
    """
    if (option := _of_glibc("mallopt")) is not None:
        for threshold, size in LARGEST.items():
            option(threshold, size)


def give_back() -> None:
    """Returns to the system what glibc keeps of freed memory; elsewhere nothing is done.

    An attack drops image after image, so its tensors have a hundred sizes and leave a heap full of holes: over 240
    sizes of batches of a ResNet-18 (width 16) the process grew to 1.5 GB, and to 0.9 with this.
    """
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


@cache
def _of_glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), name, None)
