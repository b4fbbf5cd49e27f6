"""McNemar's exact test against scipy's binomial test."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cifs.evaluation import difference_interval, mcnemar

outcomes = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=300)


@given(pairs=outcomes)
def test_the_p_value_is_that_of_an_even_coin_on_the_images_they_differ_on(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (torch.tensor(column) for column in zip(*pairs, strict=True))
    found = mcnemar(first, second)
    a, b = sum(x and not y for x, y in pairs), sum(y and not x for x, y in pairs)
    assert (found.only_first, found.only_second) == (a, b)
    assert found.p_value == pytest.approx(binomtest(a, a + b).pvalue if a + b else 1.0, abs=1e-12)


def test_thousands_of_images_do_not_overflow() -> None:
    first = torch.arange(10_000) < 5_200
    assert mcnemar(first, ~first).p_value == pytest.approx(binomtest(5_200, 10_000).pvalue, rel=1e-9)


def test_the_interval_is_the_published_one() -> None:
    """Fagerland, Lydersen and Laake, Stat. Med. 2014: 1 and 7 of 21 pairs differ; Wald with Bonett and Price's step."""
    assert difference_interval(1, 7, 21) == pytest.approx((-0.508, -0.013), abs=5e-4)


@pytest.mark.parametrize(("n", "shares"), [(500, (0.05, 0.03)), (100, (0.1, 0.1)), (2000, (0.002, 0.001))])
def test_the_interval_holds_the_truth_as_often_as_it_says(n: int, shares: tuple[float, float]) -> None:
    draws = np.random.default_rng(0).multinomial(n, [*shares, 1 - sum(shares)], size=4000)
    truth = shares[0] - shares[1]
    intervals = (difference_interval(int(a), int(b), n) for a, b, _ in draws)
    assert 0.94 <= np.mean([low <= truth <= high for low, high in intervals]) <= 0.98


def test_the_interval_turns_around_with_the_models_and_has_a_width_where_they_never_differ() -> None:
    low, high = difference_interval(30, 12, 400)
    assert difference_interval(12, 30, 400) == pytest.approx((-high, -low))
    low, high = difference_interval(0, 0, 50)
    assert -0.1 < low < 0 < high < 0.1
    assert difference_interval(5, 0, 5)[1] == 1.0
