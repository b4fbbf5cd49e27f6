"""The shift by hand, and its interval against scipy's and against the truth it is to hold."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cifs.channels.shift import bootstrap, image_shift


def test_the_shift_of_an_image_by_hand() -> None:
    """Relevance 0 is NR; the second image has no PR channel."""
    g = torch.tensor([[0.2, -0.5, 0.0, 0.9], [-1.0, -1.0, 0.0, -1.0]])
    natural = torch.tensor([[1.0, 2.0, 3.0, 4.0]]).expand(2, 4)
    adversarial = torch.tensor([[0.5, 2.5, 4.0, 3.0]]).expand(2, 4)
    found = image_shift(g, natural, adversarial)
    # NR: (0.5 + 1)/2, and all four: (−0.5 + 0.5 + 1 − 1)/4; PR: (0.5 + 1)/2
    torch.testing.assert_close(found, torch.tensor([[0.75, 0.75], [0.0, torch.nan]]), equal_nan=True)


@given(seed=st.integers(0, 1000), channels=st.integers(1, 9))
def test_both_kinds_together_are_the_whole_change(seed: int, channels: int) -> None:
    random = torch.Generator().manual_seed(seed)
    g, natural, adversarial = torch.randn(3, 5, channels, generator=random, dtype=torch.float64)
    pr = (g > 0).sum(dim=1)
    nr_shift, pr_shift = image_shift(g, natural, adversarial).nan_to_num().T
    change = (adversarial - natural).sum(dim=1)
    torch.testing.assert_close((channels - pr) * nr_shift - pr * pr_shift, change)


@pytest.mark.parametrize("n", [20, 500])
def test_the_interval_is_scipys(n: int) -> None:
    values = np.random.default_rng(n).exponential(size=n)
    reference = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=1)
    found = bootstrap(values)
    assert found is not None
    assert (found.mean, found.n) == (pytest.approx(values.mean()), n)
    interval = reference.confidence_interval
    # An end's own error, from 10,000 resamples, is 0.03 standard errors.
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.15 * reference.standard_error)


def test_the_interval_holds_the_truth_19_times_in_20() -> None:
    samples = np.random.default_rng(0).normal(3.0, 2.0, size=(150, 40))
    found = [bootstrap(sample) for sample in samples]
    held = [estimate is not None and estimate.low <= 3.0 <= estimate.high for estimate in found]
    assert 0.88 <= np.mean(held) <= 0.99  # the percentile bootstrap holds it 0.94 times at n = 40


def test_images_without_such_channels_do_not_count() -> None:
    values = np.array([1.0, np.nan, 2.0, np.nan, 4.0])
    assert bootstrap(values) == bootstrap(values[[0, 2, 4]])
    assert bootstrap(np.full(3, np.nan)) is None


def test_one_image_has_an_interval_of_no_width() -> None:
    found = bootstrap(np.array([0.5], dtype=np.float32))
    assert found is not None
    assert (found.mean, found.low, found.high, found.n) == (0.5, 0.5, 0.5, 1)
