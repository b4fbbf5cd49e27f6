"""CIFS: the equations composed by hand, where the label comes in, and where gradients go."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cifs.precision import autocast
from cifs.registry import configure
from cifs.selection import CIFS, IMGFS, PROBES, Selection, attached_importance, top_k
from tests.cifs.tiny import K, liven

EVERY = pytest.mark.parametrize(("probe", "imgf"), list(itertools.product(PROBES, IMGFS)))
BLIND = ("ones", "fixed")  # controls whose map does not depend on the relevance, so nothing can flow through it
INFORMED = [imgf for imgf in IMGFS if imgf not in BLIND]


def module(probe: str = "mlp", imgf: str = "softplus", k: int = 2, **options: bool) -> CIFS:
    cifs = CIFS(configure(PROBES, probe, {}).build(6, K), configure(IMGFS, imgf, {}), k=k, **options)
    liven(cifs, seed=7)
    return cifs.eval()


def features(seed: int = 0, n: int = 5) -> Tensor:
    return torch.randn(n, 6, 3, 4, generator=torch.Generator().manual_seed(seed))


def by_hand(cifs: CIFS, z: Tensor, classes: list[list[int]]) -> Selection:
    """Relevance by autograd of Σ_{i ∈ classes} A(z + δ1ᵀ)[i], then the IMGF, then the product."""
    delta = torch.zeros(z.shape[:2], requires_grad=True)
    score = cifs.probe(z + delta[:, :, None, None]).gather(1, torch.tensor(classes)).sum()
    g = torch.autograd.grad(score, delta)[0]
    m = cifs.imgf(g)
    return Selection(z, cifs.probe(z), g, m, torch.einsum("nc,nchw->nchw", m, z))


def largest(logits: list[float], k: int) -> list[int]:
    return sorted(range(len(logits)), key=lambda c: -logits[c])[:k]


logit_rows = st.lists(st.integers(-1000, 1000), min_size=K, max_size=K, unique=True)


@given(logits=logit_rows, k=st.integers(1, K))
def test_top_k_is_the_largest_raw_logits(logits: list[int], k: int) -> None:
    found = top_k(torch.tensor([logits]).float(), k)
    assert found.tolist() == [largest(logits, k)]


@given(logits=logit_rows, k=st.integers(1, K), label=st.integers(0, K - 1))
def test_top_k_with_a_label_is_the_label_then_the_largest_others(logits: list[int], k: int, label: int) -> None:
    found = top_k(torch.tensor([logits]).float(), k, torch.tensor([label]))
    others = [c for c in largest(logits, K) if c != label]
    assert found.tolist() == [[label, *others][:k]]


def test_top_k_leaves_the_raw_prediction_alone() -> None:
    p = torch.randn(3, K)
    before = p.clone()
    top_k(p, 2, torch.tensor([1, 2, 3]))
    assert torch.equal(p, before)


@EVERY
@pytest.mark.parametrize("k", [1, 2, K])
def test_forward_is_probe_relevance_importance_selected_features(probe: str, imgf: str, k: int) -> None:
    cifs, z = module(probe, imgf, k), features()
    classes = [largest(row, k) for row in cifs.probe(z).tolist()]
    for found, expected in zip(cifs(z), by_hand(cifs, z, classes), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def assessed_with(cifs: CIFS, z: Tensor, first: list[int] | None) -> Tensor:
    """Importance by hand when these classes come first (None: the prediction's own)."""
    rows = cifs.probe(z).tolist()
    if first is None:
        classes = [largest(row, cifs.k) for row in rows]
    else:
        classes = [[y, *(c for c in largest(row, K) if c != y)][: cifs.k] for y, row in zip(first, rows, strict=True)]
    return by_hand(cifs, z, classes).importance


@pytest.mark.parametrize("label_in_training", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_the_label_is_used_only_in_training_and_only_on_request(training: bool, label_in_training: bool) -> None:
    cifs, z = module("linear", k=1, label_in_training=label_in_training).train(training), features()
    labels = cifs.probe(z).argmin(dim=1)  # never what the prediction would say
    used = training and label_in_training
    torch.testing.assert_close(cifs(z, labels).importance, assessed_with(cifs, z, labels.tolist() if used else None))
    torch.testing.assert_close(cifs(z).importance, assessed_with(cifs, z, None))
    assert not torch.allclose(assessed_with(cifs, z, labels.tolist()), assessed_with(cifs, z, None))


def gradients(cifs: CIFS, z: Tensor, weights: Tensor) -> Tensor:
    """∇_z Σ weights ⊙ z̃"""
    z = z.clone().requires_grad_()
    return torch.autograd.grad((cifs(z).selected * weights).sum(), z)[0]


@EVERY
def test_detached_importance_gives_features_the_gradient_of_a_constant_map(probe: str, imgf: str) -> None:
    cifs, z = module(probe, imgf), features()
    weights = torch.randn(z.shape)
    expected = weights * cifs(z).importance.detach()[:, :, None, None]
    torch.testing.assert_close(gradients(cifs, z, weights), expected)


@pytest.mark.parametrize(("probe", "imgf"), list(itertools.product(PROBES, INFORMED)))
def test_detached_importance_carries_gradient_to_the_probe(probe: str, imgf: str) -> None:
    cifs, z = module(probe, imgf), features()
    cifs(z.requires_grad_()).selected.square().sum().backward()
    for layer in (module for module in cifs.probe.children() if isinstance(module, torch.nn.Linear)):
        assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("imgf", BLIND)
def test_no_gradient_reaches_the_probe_through_a_map_that_is_blind_to_relevance(imgf: str) -> None:
    cifs, z = module("mlp", imgf), features()
    cifs(z.requires_grad_()).selected.square().sum().backward()
    assert all(parameter.grad is None for parameter in cifs.probe.parameters())


@pytest.mark.parametrize("imgf", INFORMED)
def test_attached_importance_gives_the_gradient_of_the_whole_composition(imgf: str) -> None:
    cifs, z = module("mlp", imgf), features().double()
    cifs.double()
    weights = torch.randn(z.shape).double()
    with attached_importance(cifs):
        found = gradients(cifs, z, weights)
    assert not torch.allclose(found, gradients(cifs, z, weights), rtol=1e-2)
    # finite differences along random directions; the map itself is made in float32, so the step is large
    for seed in range(5):
        direction = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed)).double()
        h = 1e-3
        rise = ((cifs(z + h * direction).selected - cifs(z - h * direction).selected) * weights).sum() / (2 * h)
        torch.testing.assert_close((found * direction).sum(), rise, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("imgf", IMGFS)
def test_attaching_changes_nothing_for_a_linear_probe(imgf: str) -> None:
    cifs, z = module("linear", imgf), features()
    weights = torch.randn(z.shape)
    with attached_importance(cifs):
        attached = gradients(cifs, z, weights)
    torch.testing.assert_close(attached, gradients(cifs, z, weights))


@pytest.mark.parametrize("before", [True, False])
def test_attached_importance_restores_what_it_found_even_after_an_exception(before: bool) -> None:
    model = torch.nn.ModuleList([module(), module()])
    model[1].attached = before
    with pytest.raises(ZeroDivisionError), attached_importance(model):
        assert all(cifs.attached for cifs in model)
        raise ZeroDivisionError
    assert [cifs.attached for cifs in model] == [False, before]


def test_the_importance_is_made_in_float32_under_autocast() -> None:
    cifs, z = module("linear"), features()
    with autocast("cpu", "bf16"):
        selection = cifs(z)
    assert selection.importance.dtype == torch.float32
    assert selection.selected.dtype == z.dtype
