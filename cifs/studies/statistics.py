"""Is one arm more robust than another, over seeds and images? The same images for every seed: a crossed design.

d[s, i] ∈ {−1, 0, 1} is what seed s's two networks differ by on image i. With d = μ + a_s + b_i + e_si (a of seeds, b of
images, e of both) the variance of its mean over S seeds and n images is σ²_a/S + σ²_b/n + σ²_e/(S·n).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, log, log1p, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from cifs.errors import InvalidParameter

Array = NDArray[np.float64]
MOST_SEEDS = 10_000  # beyond any study: what they do not find, none do


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A mean difference over seeds and images, with an interval and p-values of "it is 0" (two-sided)."""

    mean: float
    low: float
    high: float
    p: float  # t-test of the crossed model
    p_bootstrap: float  # of resampled seeds and images: cautious, for what both vary counts twice
    df: float
    seeds: int
    images: int
    by_seed: tuple[float, ...]


def effect(d: Array, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0) -> Effect:
    """Of differences d (S seeds, n images). Raises InvalidParameter for fewer than two seeds or images."""
    if d.ndim != 2 or min(d.shape) < 2:
        raise InvalidParameter(f"differences of shape {d.shape}: at least two seeds and two images are needed")
    mean, parts = float(d.mean()), components(d)
    error = sqrt(parts.variance_of_mean(*d.shape))
    half = error * t_quantile((1 + confidence) / 2, parts.df)
    return Effect(
        mean=mean,
        low=mean - half,
        high=mean + half,
        p=float(mean == 0) if error == 0 else 2 * t_tail(abs(mean) / error, parts.df),
        p_bootstrap=bootstrap_p(d, resamples=resamples, seed=seed),
        df=parts.df,
        seeds=d.shape[0],
        images=d.shape[1],
        by_seed=tuple(float(x) for x in d.mean(axis=1)),
    )


@dataclass(frozen=True)
class Components:
    """Variances of the crossed model, none below 0, and the degrees of freedom of the mean's error."""

    seeds: float  # σ²_a
    images: float  # σ²_b
    both: float  # σ²_e
    df: float

    def variance_of_mean(self, seeds: int, images: int) -> float:
        return self.seeds / seeds + self.images / images + self.both / (seeds * images)


def components(d: Array) -> Components:
    """Of d (S, n), from mean squares (Searle, Casella & McCulloch, Variance Components, 1992, ch. 4).

    The degrees of freedom are Satterthwaite's (Biometrics Bulletin 1946), and never fewer than S − 1.
    """
    seeds, images = d.shape
    rows, columns, mean = d.mean(axis=1), d.mean(axis=0), d.mean()
    ms_seeds = images * float(((rows - mean) ** 2).sum()) / (seeds - 1)
    ms_images = seeds * float(((columns - mean) ** 2).sum()) / (images - 1)
    ms_both = float(((d - rows[:, None] - columns + mean) ** 2).sum()) / ((seeds - 1) * (images - 1))
    # Where seeds (or images) vary by less than chance, the plain estimate would be negative: they count as none.
    of_seeds, of_images = max(0.0, ms_seeds - ms_both) / images, max(0.0, ms_images - ms_both) / seeds
    total = seeds * images * (of_seeds / seeds + of_images / images + ms_both / (seeds * images))
    return Components(of_seeds, of_images, ms_both, _df(total, (ms_seeds, ms_images, ms_both), d.shape))


def _df(total: float, mean_squares: tuple[float, float, float], shape: tuple[int, int]) -> float:
    """Satterthwaite's, of `total`, a sum of mean squares of seeds, images and both; at least S − 1."""
    seeds, images = (size - 1 for size in shape)
    squares = sum(ms**2 / df for ms, df in zip(mean_squares, (seeds, images, seeds * images), strict=True))
    return max(total**2 / squares if squares > 0 else 0.0, float(seeds))


def bootstrap_means(d: Array, *, resamples: int, seed: int) -> Array:
    """Means of d (S, n) with seeds and images both resampled, (resamples,) (Owen, Annals of Applied Statistics 2007).

    Deviations of seeds are widened by w = √(S/(S−1)), for S resampled seeds vary less than S new ones would. Of whole
    numbers every sum is exact, so that the processor's way of adding does not decide on which side of 0 a mean lies.
    """
    random = np.random.default_rng(seed)
    seeds, images = d.shape
    of_all, w = d.sum(axis=0), sqrt(seeds / (seeds - 1))
    means = np.empty(resamples)
    for i in range(resamples):
        counts = np.bincount(random.integers(images, size=images), minlength=images)
        of_drawn = d[random.integers(seeds, size=seeds)].sum(axis=0)
        means[i] = ((1 - w) * (of_all @ counts) + w * (of_drawn @ counts)) / (seeds * images)
    return means


def bootstrap_p(d: Array, *, resamples: int, seed: int) -> float:
    """Two-sided: how often a resampled mean lies on the other side of 0, or on it; never below 1/(resamples + 1)."""
    means = bootstrap_means(d, resamples=resamples, seed=seed)
    rarer = min((means <= 0).sum(), (means >= 0).sum())
    return float(min(1.0, 2 * (rarer + 1) / (resamples + 1)))


def holm(p_values: Sequence[float], *, of: int) -> list[float]:
    """Adjusted p-values that hold the chance of any false rejection (Holm, Scand. J. Statist. 1979).

    of: so many tests were stated; those that are not made yet count as if they found nothing.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (of - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def seeds_to_find(difference: float, d: Array, *, alpha: float = 0.01, power: float = 0.8) -> int | None:
    """About how many seeds would find a true difference on as many images that vary as d (S, n) does; None: none would.

    By the power of `effect`'s own t-test, which with few seeds has few degrees of freedom. More seeds shrink what seeds
    vary; the images' share of the error stays.
    """
    parts, images = components(d), d.shape[1]

    def enough(seeds: int) -> bool:
        return power_of(difference, parts, (seeds, images), alpha=alpha) >= power

    if enough(2):
        return 2
    few, many = 2, 4
    while not enough(many):
        if many > MOST_SEEDS:
            return None
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


def power_of(difference: float, parts: Components, shape: tuple[int, int], *, alpha: float) -> float:
    """How often the two-sided t-test finds a true difference with S seeds and n images that vary so."""
    seeds, images = shape
    error = sqrt(parts.variance_of_mean(seeds, images))
    if error == 0:
        return 1.0
    expected = (images * parts.seeds + parts.both, seeds * parts.images + parts.both, parts.both)
    df = _df(seeds * images * error**2, expected, shape)
    shift, critical = abs(difference) / error, t_quantile(1 - alpha / 2, df)
    return noncentral_t_tail(critical, df, shift) + noncentral_t_tail(critical, df, -shift)


def noncentral_t_tail(t: float, df: float, shift: float) -> float:
    """P(T > t) of (Z + shift)/s, s² = χ²/df: the mean of Φ(shift − t·s) over s, by Simpson's rule; df ≥ 1, t ≥ 0."""
    width = 12 / sqrt(2 * df)
    root = np.linspace(sqrt(max(0.0, 1 - width)), sqrt(1 + width), 4001)  # in √s, for √s^(2df−1) is smooth at 0
    s = root**2
    falling = np.exp((1 - s**2) / 2)  # the density is s^(df−1)·falling^df, here without overflow
    weights = root * (s * falling) ** (df - 1) * falling * np.resize([2.0, 4.0], len(s))
    weights[[0, -1]] /= 2
    tails = np.array([NormalDist().cdf(shift - t * x) for x in s])
    return float(weights @ tails / weights.sum())


def t_tail(t: float, df: float) -> float:
    """P(T > t) of Student's t, t ≥ 0."""
    return incomplete_beta(df / (df + t * t), df / 2, 0.5) / 2


def t_quantile(p: float, df: float) -> float:
    """The t with P(T ≤ t) = p, for p in (½, 1), by bisection."""
    low, high = 0.0, 1.0
    while t_tail(high, df) > 1 - p:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, df) > 1 - p else (low, middle)
    return high


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised I_x(a, b), by its continued fraction (Press et al., Numerical Recipes, 6.4; modified Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d), 1 + term / c
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * value
