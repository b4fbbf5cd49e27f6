"""The tests a study decides by: against scipy, closed forms, and their own rate of false alarms."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from cifs.errors import InvalidParameter
from cifs.studies.statistics import (
    Components,
    bootstrap_means,
    components,
    effect,
    holm,
    noncentral_t_tail,
    power_of,
    seeds_to_find,
    t_quantile,
    t_tail,
)

DF = st.floats(1, 5000)


def differences(seeds: int, images: int, *, of_seeds: float, of_images: float, both: float, seed: int) -> np.ndarray:
    """μ = 0, with these standard deviations."""
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(seeds, 1)) * of_seeds, random.normal(size=images) * of_images
    return a + b + random.normal(size=(seeds, images)) * both


@given(t=st.floats(0, 60), df=DF)
def test_the_tail_of_t_is_scipys(t: float, df: float) -> None:
    assert t_tail(t, df) == pytest.approx(scipy.stats.t.sf(t, df), rel=1e-6, abs=1e-12)


@given(p=st.floats(0.51, 0.9995), df=DF)
def test_the_quantile_of_t_is_scipys(p: float, df: float) -> None:
    assert t_quantile(p, df) == pytest.approx(scipy.stats.t.ppf(p, df), rel=1e-6)


def test_where_images_do_not_vary_the_test_is_students_over_seeds() -> None:
    by_seed = np.array([0.01, 0.03, 0.02, 0.05])
    found = effect(np.repeat(by_seed[:, None], 50, axis=1), resamples=100)
    expected = scipy.stats.ttest_1samp(by_seed, 0)
    assert found.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.df == pytest.approx(3)


def test_where_seeds_do_not_vary_the_test_is_students_over_images() -> None:
    by_image = np.random.default_rng(0).normal(0.1, 1, size=400)
    found = effect(np.repeat(by_image[None], 3, axis=0), resamples=100)
    assert found.p == pytest.approx(scipy.stats.ttest_1samp(by_image, 0).pvalue)


def test_components_are_those_the_differences_were_drawn_with() -> None:
    d = differences(60, 3000, of_seeds=0.3, of_images=0.2, both=0.5, seed=0)
    parts = components(d)
    assert parts.seeds == pytest.approx(0.3**2, rel=0.4)
    assert parts.images == pytest.approx(0.2**2, rel=0.1)
    assert parts.both == pytest.approx(0.5**2, rel=0.02)


@pytest.mark.parametrize("of_seeds", [0.0, 0.02])
def test_false_alarms_are_no_more_frequent_than_promised(of_seeds: float) -> None:
    """300 studies of three seeds without an effect: at 5 % about 15 alarms; 30 would be chance in 1 of 5,000."""
    p = [
        effect(differences(3, 300, of_seeds=of_seeds, of_images=0.2, both=0.45, seed=seed), resamples=1).p
        for seed in range(300)
    ]
    assert sum(value < 0.05 for value in p) < 30


@pytest.mark.parametrize(("seeds", "misses"), [(3, 0.024), (5, 0.013), (10, 0.01)])
def test_intervals_of_99_percent_miss_as_often_as_the_claims_limits_say(seeds: int, misses: float) -> None:
    """Where seeds vary most: Satterthwaite's degrees of freedom are estimated too, and of few seeds often too many."""
    studies, missed = 8000, 0
    for seed in range(studies):
        d = differences(seeds, 40, of_seeds=0.63, of_images=0.33, both=1, seed=seed)
        parts = components(d)
        half = parts.variance_of_mean(*d.shape) ** 0.5 * scipy.stats.t.ppf(0.995, parts.df)
        missed += abs(d.mean()) > half
    assert missed / studies == pytest.approx(misses, abs=0.004)


def test_a_bootstrapped_mean_varies_at_least_as_much_as_the_mean_of_new_studies() -> None:
    def study(seed: int) -> np.ndarray:
        return differences(4, 200, of_seeds=0.05, of_images=0.3, both=0.3, seed=seed)

    new = np.std([study(seed).mean() for seed in range(400)])
    drawn = np.mean([bootstrap_means(study(seed), resamples=200, seed=seed).std() for seed in range(20)])
    assert 0.95 * new < drawn < 1.6 * new


def test_no_rounding_decides_on_which_side_of_0_a_resampled_mean_lies() -> None:
    """By whole numbers: with three seeds w is irrational, so a mean is 0 where both of its sums are, and only there."""
    d, w = np.random.default_rng(0).integers(-1, 2, size=(3, 6)), Fraction(math.sqrt(1.5))
    random, sides = np.random.default_rng(5), []
    for _ in range(2000):
        counts = [int(n) for n in np.bincount(random.integers(6, size=6), minlength=6)]
        drawn = [int(s) for s in random.integers(3, size=3)]
        of_all = sum(n * int(x) for n, x in zip(counts, d.sum(axis=0), strict=True))
        of_drawn = sum(n * int(d[s, i]) for i, n in enumerate(counts) for s in drawn)
        mean = (1 - w) * of_all + w * of_drawn
        sides.append((mean > 0) - (mean < 0))
    assert sides.count(0) > 20
    assert np.sign(bootstrap_means(d.astype(float), resamples=2000, seed=5)).tolist() == sides


def test_a_large_effect_is_found_and_none_is_not() -> None:
    noise = differences(3, 500, of_seeds=0.01, of_images=0.2, both=0.3, seed=1)
    large, none = effect(noise + 0.2, resamples=500), effect(noise - noise.mean(), resamples=500)
    assert large.p < 0.01
    assert large.p_bootstrap < 0.01
    assert none.p == pytest.approx(1)
    assert large.low < 0.2 + noise.mean() < large.high


def test_networks_that_never_differ_are_no_evidence() -> None:
    found = effect(np.zeros((3, 20)), resamples=10)
    assert (found.mean, found.low, found.high, found.p, found.p_bootstrap) == (0, 0, 0, 1, 1)


def test_networks_that_differ_alike_on_every_image_of_every_seed_leave_no_doubt() -> None:
    found = effect(-np.ones((3, 20)), resamples=10)
    assert (found.mean, found.low, found.high, found.p) == (-1, -1, -1, 0)


@pytest.mark.parametrize("t", [0.0, 1.0, 2.8, 9.0, 60.0])
@pytest.mark.parametrize("df", [1.0, 1.25, 2.0, 4.0, 37.5, 2000.0])
@pytest.mark.parametrize("shift", [-2.0, 0.0, 1.5, 4.0, 12.0])
def test_the_tail_of_noncentral_t_is_scipys(t: float, df: float, shift: float) -> None:
    assert noncentral_t_tail(t, df, shift) == pytest.approx(scipy.stats.nct.sf(t, df, shift), abs=1e-5)


@pytest.mark.parametrize("seeds", [3, 4, 8])
def test_the_power_of_few_seeds_is_that_of_students_test(seeds: int) -> None:
    """Where images do not vary it is the one-sample t-test's over seeds, whose power is known."""
    shift, critical = 0.05 / 0.03 * seeds**0.5, scipy.stats.t.ppf(0.995, seeds - 1)
    known = scipy.stats.nct.sf(critical, seeds - 1, shift) + scipy.stats.nct.cdf(-critical, seeds - 1, shift)
    power = power_of(0.05, Components(0.03**2, 0, 0, seeds - 1), (seeds, 100), alpha=0.01)
    assert power == pytest.approx(known, abs=1e-4)


@pytest.mark.parametrize(("difference", "of_seeds", "alpha"), [(0.05, 0.08, 0.05), (0.1, 0.03, 0.01)])
def test_the_seeds_asked_for_find_the_difference_as_often_as_promised(
    difference: float, of_seeds: float, alpha: float
) -> None:
    """Power of 80 % in 400 new studies of that many seeds, and less with one fewer (± 3.5 standard errors)."""
    spread = {"of_seeds": of_seeds, "of_images": 0.1, "both": 0.3}
    needed = seeds_to_find(difference, differences(300, 400, **spread, seed=0), alpha=alpha)
    assert needed is not None

    def power(seeds: int) -> float:
        p = [effect(difference + differences(seeds, 400, **spread, seed=seed), resamples=1).p for seed in range(400)]
        return sum(value < alpha for value in p) / 400

    assert power(needed) > 0.8 - 0.07
    assert power(needed - 1) < 0.8 + 0.07


def test_few_seeds_are_not_enough_where_the_normal_law_says_they_are() -> None:
    """A difference of 2.5 standard deviations at α = 0.01: two by normal quantiles, six by the tables of the t-test."""
    d = differences(2000, 20, of_seeds=0.02, of_images=0, both=0, seed=0)
    assert seeds_to_find(0.05, 0.02 * d / d.mean(axis=1).std(ddof=1), alpha=0.01) == 6


def test_no_number_of_seeds_is_enough_where_the_images_are_too_few() -> None:
    d = differences(5, 20, of_seeds=0, of_images=0.5, both=0.1, seed=0)
    assert seeds_to_find(0.01, d) is None


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=8), stated=st.integers(0, 4))
def test_holm_rejects_what_the_step_down_procedure_does(p: list[float], stated: int) -> None:
    """Tests that were stated and are not made yet are none that reject: p = 1."""
    alpha = 0.05
    rejected = set()
    full = [*p, *[1.0] * stated]
    for rank, i in enumerate(sorted(range(len(full)), key=lambda i: full[i])):
        if full[i] * (len(full) - rank) > alpha:
            break
        rejected.add(i)
    assert {i for i, adjusted in enumerate(holm(p, of=len(full))) if adjusted <= alpha} == rejected


@pytest.mark.parametrize("shape", [(1, 20), (3, 1), (20,)])
def test_too_little_to_compare_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidParameter, match="at least two seeds"):
        effect(np.zeros(shape))
