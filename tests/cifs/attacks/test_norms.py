"""What every registered norm must be: its own ball, the steepest direction in it, the nearest point of it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cifs.attacks import NORMS
from cifs.attacks.norms import L2, Linf, within
from cifs.precision import generator

ORDERS = {"linf": math.inf, "l2": 2}
NORM = pytest.mark.parametrize("name", NORMS)


def tensors(seed: int, n: int = 5, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(n, 3, 4, 5, generator=generator(seed))


@NORM
@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-3, 1.0, 50.0]))
@settings(max_examples=15)
def test_size_is_what_linear_algebra_says(name: str, seed: int, scale: float) -> None:
    delta = tensors(seed, scale=scale)
    expected = torch.linalg.vector_norm(delta, ORDERS[name], dim=(1, 2, 3))
    torch.testing.assert_close(NORMS[name].size(delta), expected)


@NORM
@given(seed=st.integers(0, 1000), eps=st.sampled_from([0.0, 0.01, 1.0, 20.0]))
@settings(max_examples=15)
def test_projection_is_into_the_ball_and_no_other_point_of_it_is_nearer(name: str, seed: int, eps: float) -> None:
    delta = tensors(seed)
    projected = NORMS[name].project(delta, eps)
    assert (NORMS[name].size(projected) <= eps * (1 + 1e-6)).all()
    inside = NORMS[name].size(delta) <= eps
    torch.testing.assert_close(projected[inside], delta[inside])
    distance = (projected - delta).flatten(1).norm(dim=1)
    for other in range(20):
        point = eps * NORMS[name].noise(delta, generator(seed, other))
        assert ((point - delta).flatten(1).norm(dim=1) >= distance - 1e-5).all()


@NORM
@given(seed=st.integers(0, 1000))
@settings(max_examples=15)
def test_no_direction_of_size_one_climbs_faster_than_the_steepest(name: str, seed: int) -> None:
    gradient = tensors(seed)
    steepest = NORMS[name].steepest(gradient)
    torch.testing.assert_close(NORMS[name].size(steepest), torch.ones(5))
    climb = (gradient * steepest).sum(dim=(1, 2, 3))
    for other in range(20):
        direction = NORMS[name].noise(gradient, generator(seed, other))
        assert ((gradient * direction).sum(dim=(1, 2, 3)) <= climb + 1e-5).all()


@NORM
def test_where_there_is_no_gradient_there_is_no_step(name: str) -> None:
    assert torch.equal(NORMS[name].steepest(torch.zeros(2, 3, 4, 4)), torch.zeros(2, 3, 4, 4))


@NORM
def test_a_gradient_too_small_to_be_squared_still_points_somewhere(name: str) -> None:
    gradient = tensors(1, scale=1e-30)
    torch.testing.assert_close(NORMS[name].size(NORMS[name].steepest(gradient)), torch.ones(5))


@NORM
def test_noise_is_in_the_unit_ball_and_fills_it(name: str) -> None:
    noise = NORMS[name].noise(torch.zeros(4000, 1, 1, 2), generator(0))
    size = NORMS[name].size(noise)
    assert size.max() <= 1 + 1e-6
    # Of a ball in two dimensions half the volume is within 1/√2.
    assert abs(float((size < math.sqrt(0.5)).double().mean()) - 0.5) < 0.03
    assert noise.mean(dim=0).abs().max() < 0.05


def test_within_is_the_ball_and_the_pixel_range() -> None:
    x = torch.full((1, 1, 2, 2), 0.95)
    torch.testing.assert_close(within(x, x + 0.2, "linf", 0.1), torch.ones_like(x))
    torch.testing.assert_close(within(x, x - 0.2, "l2", 0.1), x - 0.05)
    assert (Linf, L2) == (NORMS["linf"], NORMS["l2"])
