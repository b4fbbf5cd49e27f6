"""McNemar's exact test against scipy's binomial test."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cifs.evaluation import mcnemar

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
