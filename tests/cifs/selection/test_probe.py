"""Relevance in closed form against its definition, for every registered probe."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cifs.registry import configure
from cifs.selection import PROBES, Probe, autograd_relevance, pool
from tests.cifs.tiny import K

CHANNELS = 6
PROBE = pytest.mark.parametrize("name", PROBES)


def random_probe(name: str, seed: int, scale: float = 1.0, **parameters: object) -> Probe:
    """With weights drawn from N(0, scale²)."""
    probe = configure(PROBES, name, parameters).build(CHANNELS, K)
    random = torch.Generator().manual_seed(seed)
    for parameter in probe.parameters():
        parameter.data.copy_(scale * torch.randn(parameter.shape, generator=random))
    return probe


def random_case(seed: int, k: int, n: int = 5) -> tuple[Tensor, Tensor]:
    """Features of both signs (N, C, H, W) and k different classes an image (N, k)."""
    random = torch.Generator().manual_seed(seed)
    z = 3 * torch.randn(n, CHANNELS, 3, 4, generator=random)
    return z, torch.rand(n, K, generator=random).argsort(dim=1)[:, :k]


def by_definition(probe: Probe, z: Tensor, classes: Tensor) -> Tensor:
    """∇_δ Σ_{i ∈ classes} A(z + δ1ᵀ)[i] at δ = 0, an image at a time."""
    rows = []
    for image, chosen in zip(z, classes, strict=True):
        delta = torch.zeros(z.shape[1], dtype=z.dtype, requires_grad=True)
        logits = probe((image + delta[:, None, None])[None])[0]
        rows.append(torch.autograd.grad(sum(logits[c] for c in chosen), delta)[0])
    return torch.stack(rows)


@PROBE
@pytest.mark.parametrize("k", [1, 2, 3, K])
def test_relevance_in_closed_form_equals_autograd(name: str, k: int) -> None:
    z, classes = random_case(seed=k, k=k)
    probe = random_probe(name, seed=k)
    closed = probe.relevance(z, classes)
    assert closed.shape == z.shape[:2]
    torch.testing.assert_close(closed, by_definition(probe, z, classes), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(closed, autograd_relevance(probe, z, classes), atol=1e-5, rtol=1e-5)


@PROBE
@settings(max_examples=40)
@given(seed=st.integers(0, 2**31), k=st.integers(1, K), scale=st.floats(0.01, 3))
def test_relevance_in_closed_form_equals_autograd_for_any_weights(name: str, seed: int, k: int, scale: float) -> None:
    z, classes = random_case(seed, k)
    probe = random_probe(name, seed, scale)
    torch.testing.assert_close(
        probe.relevance(z, classes), by_definition(probe, z, classes), atol=1e-5 * max(1, scale**2), rtol=1e-5
    )


@PROBE
@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), k=st.integers(1, K))
def test_relevance_equals_finite_differences(name: str, seed: int, k: int) -> None:
    z, classes = random_case(seed, k, n=2)
    z, probe, h = z.double(), random_probe(name, seed, 0.5).double(), 1e-5
    relevance = probe.relevance(z, classes)
    for channel in range(CHANNELS):
        step = torch.zeros_like(z)
        step[:, channel] = h
        rise = (probe(z + step) - probe(z - step)).gather(1, classes).sum(dim=1) / (2 * h)
        torch.testing.assert_close(relevance[:, channel], rise, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("sharpness", [0.5, 5.0, 50.0])
def test_the_mlp_probe_is_the_equation(sharpness: float) -> None:
    z, _ = random_case(seed=1, k=1)
    probe = random_probe("mlp", seed=1, hidden=7, sharpness=sharpness).double()
    hidden = torch.einsum("hc,nc->nh", probe.hidden.weight, z.double().flatten(2).mean(2)) + probe.hidden.bias
    softplus = torch.logaddexp(sharpness * hidden, torch.zeros(())) / sharpness
    expected = torch.einsum("kh,nh->nk", probe.output.weight, softplus) + probe.output.bias
    torch.testing.assert_close(probe(z.double()), expected, atol=1e-8, rtol=1e-8)


def test_relevance_of_a_linear_probe_is_the_sum_of_its_weight_rows() -> None:
    z, classes = random_case(seed=2, k=3)
    probe = random_probe("linear", seed=2)
    for row, chosen in zip(probe.relevance(z, classes), classes.tolist(), strict=True):
        torch.testing.assert_close(row, sum(probe.output.weight[c] for c in chosen))


def test_relevance_of_an_mlp_probe_carries_gradient_to_both_its_layers() -> None:
    z, classes = random_case(seed=3, k=2)
    probe = random_probe("mlp", seed=3)
    probe.relevance(z, classes).square().sum().backward()
    for parameter in (probe.hidden.weight, probe.hidden.bias, probe.output.weight):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_autograd_relevance_works_under_no_grad() -> None:
    z, classes = random_case(seed=4, k=2)
    probe = random_probe("mlp", seed=4)
    with torch.no_grad():
        relevance = autograd_relevance(probe, z, classes)
    torch.testing.assert_close(relevance, probe.relevance(z, classes), atol=1e-5, rtol=1e-5)


def test_pool_is_the_mean_over_positions() -> None:
    z, _ = random_case(seed=5, k=1)
    expected = [[float(z[i, c].sum()) / 12 for c in range(CHANNELS)] for i in range(len(z))]
    torch.testing.assert_close(pool(z), torch.tensor(expected))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_of_pooling_is_the_means_bit_for_bit_in_the_features_layout(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    z = torch.randn(4, 6, 5, 7).to(dtype).contiguous(memory_format=layout).requires_grad_()
    weights = torch.randn(4, 6).to(dtype)
    ours, theirs = pool(z), z.mean(dim=(2, 3))
    (own,), (usual,) = (torch.autograd.grad((a * weights).sum(), z) for a in (ours, theirs))
    assert torch.equal(ours, theirs)
    assert torch.equal(own, usual)
    assert own.is_contiguous(memory_format=layout)


def test_pooling_can_be_differentiated_twice() -> None:
    z = torch.randn(2, 3, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(pool, z)
    assert torch.autograd.gradgradcheck(pool, z)
