"""Wilson's interval against scipy's, against the equation it solves, and against published figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from cifs.evaluation import wilson

counts = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts=counts, confidence=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_equals_scipys(counts: tuple[int, int], confidence: float) -> None:
    expected = binomtest(*counts).proportion_ci(confidence_level=confidence, method="wilson")
    assert wilson(*counts, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(counts=counts)
def test_at_its_ends_the_observed_share_is_just_as_far_as_the_normal_quantile(counts: tuple[int, int]) -> None:
    k, n = counts
    for p in wilson(k, n):  # (p̂ − p)² = z² p(1 − p)/n
        assert (k / n - p) ** 2 == pytest.approx(norm.ppf(0.975) ** 2 * p * (1 - p) / n, abs=1e-9)


@given(counts=counts)
def test_the_interval_holds_the_observed_share_and_stays_within_0_and_1(counts: tuple[int, int]) -> None:
    low, high = wilson(*counts)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


def test_published_figures() -> None:
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-7)  # R: prop.test(8, 10, correct = FALSE)


@pytest.mark.parametrize("n", [1, 10, 10_000])
def test_none_and_all_reach_the_ends_exactly(n: int) -> None:
    assert wilson(0, n)[0] == 0
    assert wilson(n, n)[1] == 1


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == (0, 1)
