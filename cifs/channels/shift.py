"""The claim of arXiv 2102.05311, 3.1, as a number: attacks over-activate NR and under-activate PR channels."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RESAMPLES = 10_000
BATCH = 10  # resamples drawn at once: few enough to stay in the processor's cache


@dataclass(frozen=True)
class Estimate:
    """A mean over n images with its 95 % interval, in units of activation."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Shift:
    """What an attack did to a layer's NR and PR channels; None where no image has such a channel."""

    nr_over_activation: Estimate | None
    pr_under_activation: Estimate | None
    mean_activation: float  # |natural activation|, mean over all images and channels: the unit in which models compare


def image_shift(relevance: Tensor, natural: Tensor, adversarial: Tensor) -> Tensor:
    """NR over-activation and PR under-activation of each image: (N, 2), NaN where it has no such channel.

    The relevance (N, C) is the natural image's, so the same channels are compared in its activation (N, C), natural and
    adversarial: mean of adversarial − natural over g ≤ 0, and of natural − adversarial over g > 0.
    """
    grown, pr = adversarial - natural, relevance > 0
    nr_grown, pr_grown = (grown.masked_fill(others, torch.nan).nanmean(dim=1) for others in (pr, ~pr))
    return torch.stack([nr_grown, -pr_grown], dim=1)


def bootstrap(values: NDArray[np.floating]) -> Estimate | None:
    """Mean of values (N,) that are not NaN, with its 95 % percentile bootstrap interval (Efron, Ann. Stat. 1979).

    The resamples are always the same ones. None where no value is left.
    """
    values = values[~np.isnan(values)]
    return _bootstrap(values.astype(np.float64).tobytes()) if values.size else None


@lru_cache(maxsize=1024)  # by the numbers themselves: a dashboard asks for the same ones again and again
def _bootstrap(data: bytes) -> Estimate:
    values, random = np.frombuffer(data), np.random.default_rng(0)
    shape = (BATCH, values.size)
    means = [values[random.integers(values.size, size=shape)].mean(axis=1) for _ in range(RESAMPLES // BATCH)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high), values.size)
