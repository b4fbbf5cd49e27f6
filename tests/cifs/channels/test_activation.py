"""Activation and activity by their definitions, in loops."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cifs.channels import activation, active

rows = st.lists(st.lists(st.integers(-50, 1000), min_size=5, max_size=5), min_size=1, max_size=4)


def test_activation_is_the_mean_over_positions() -> None:
    z = torch.randn(3, 4, 2, 5)
    expected = [[sum(z[i, c].flatten().tolist()) / 10 for c in range(4)] for i in range(3)]
    torch.testing.assert_close(activation(z), torch.tensor(expected))


@given(rows=rows)
def test_a_channel_is_active_where_it_exceeds_a_hundredth_of_its_images_largest(rows: list[list[int]]) -> None:
    expected = [[100 * a > max(row) for a in row] for row in rows]
    exact = torch.tensor(rows).double()  # integers and their hundredths, apart by more than rounding
    assert active(exact + 1e-9 * (exact != 0)).tolist() == expected or active(exact).tolist() == expected


@pytest.mark.parametrize("a", [0.0, 0.01])
def test_at_the_threshold_a_channel_is_not_active(a: float) -> None:
    assert active(torch.tensor([[1.0, a]])).tolist() == [[True, False]]


def test_no_channel_of_a_dark_image_is_active() -> None:
    assert not active(torch.zeros(1, 4)).any()
