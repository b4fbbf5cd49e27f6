"""Two models on the same images: is one really more robust?"""

from math import comb, sqrt
from statistics import NormalDist
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


def difference_interval(only_first: int, only_second: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of accuracy(first) − accuracy(second) on the same n images.

    Wald's with one image added to each kind they differ on (Bonett & Price, J. Educ. Behav. Stat. 2012), so that it has
    a width where they never differ.
    """
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    centre = first - second
    half = NormalDist().inv_cdf((1 + confidence) / 2) * sqrt((first + second - centre**2) / (n + 2))
    return max(-1.0, centre - half), min(1.0, centre + half)
