"""Two models on the same images: is one really more robust?"""

from math import comb
from typing import NamedTuple

from torch import Tensor


class Paired(NamedTuple):
    only_first: int  # images only the first model withstands the attack on
    only_second: int
    p_value: float  # of "both are as likely to be right where they differ", two-sided


def mcnemar(first: Tensor, second: Tensor) -> Paired:
    """McNemar's exact test (Psychometrika 1947) on outcomes (N,) bool of two models on the same N images."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n, k = only_first + only_second, min(only_first, only_second)
    tail = sum(comb(n, i) for i in range(k + 1)) / 2**n  # exact integers: no rounding before the division
    return Paired(only_first, only_second, min(1.0, 2 * tail))
