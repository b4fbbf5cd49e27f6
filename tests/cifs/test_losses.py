"""Losses against loops written from their formulas, an image at a time."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cifs.errors import InvalidParameter, UnknownName
from cifs.losses import LOSSES, dlr_targeted, joint
from tests.cifs.tiny import K


def ce(z: list[float], y: int) -> float:
    top = max(z)
    return top + math.log(sum(math.exp(v - top) for v in z)) - z[y]


def margin(z: list[float], y: int) -> float:
    return max(v for i, v in enumerate(z) if i != y) - z[y]


def dlr(z: list[float], y: int) -> float:
    """arXiv 2003.01690, eq. 6, with its sign: −(z_y − max_{i≠y} z_i) / (z_π1 − z_π3)"""
    ordered = sorted(z, reverse=True)
    return -(z[y] - max(v for i, v in enumerate(z) if i != y)) / (ordered[0] - ordered[2])


def probability_margin(z: list[float], y: int) -> float:
    largest = max(z)
    total = sum(math.exp(v - largest) for v in z)
    p = [math.exp(v - largest) / total for v in z]
    return max(v for i, v in enumerate(p) if i != y) - p[y]


FORMULAS = {"ce": ce, "margin": margin, "dlr": dlr, "probability_margin": probability_margin}
LOSS = pytest.mark.parametrize("name", LOSSES)
rows = st.lists(st.integers(-400, 400).map(lambda v: v / 20), min_size=K, max_size=K, unique=True)
batches = st.lists(st.tuples(rows, st.integers(0, K - 1)), min_size=1, max_size=4)


def tensors(batch: list[tuple[list[float], int]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([z for z, _ in batch]), torch.tensor([y for _, y in batch])


def test_every_loss_has_a_formula_here() -> None:
    assert set(FORMULAS) == set(LOSSES)


@LOSS
@given(batch=batches)
def test_a_loss_equals_its_formula_image_by_image(name: str, batch: list[tuple[list[float], int]]) -> None:
    expected = torch.tensor([FORMULAS[name](z, y) for z, y in batch])
    torch.testing.assert_close(LOSSES[name](*tensors(batch)), expected, atol=1e-4, rtol=1e-4)


@LOSS
@given(batch=batches)
def test_an_images_loss_does_not_depend_on_the_others(name: str, batch: list[tuple[list[float], int]]) -> None:
    logits, labels = tensors(batch)
    alone = torch.cat([LOSSES[name](logits[i : i + 1], labels[i : i + 1]) for i in range(len(labels))])
    torch.testing.assert_close(LOSSES[name](logits, labels), alone)


@LOSS
def test_an_images_gradient_does_not_depend_on_the_others(name: str) -> None:
    logits = torch.randn(4, K, requires_grad=True)
    labels = logits.argmax(dim=1)  # of an image whose label is third, DLR is 1 and has no gradient
    LOSSES[name](logits, labels)[1].backward()
    assert logits.grad is not None
    assert (logits.grad[1] != 0).any()
    assert (logits.grad[[0, 2, 3]] == 0).all()


@pytest.mark.parametrize("name", ["margin", "dlr"])
@given(batch=batches)
def test_margins_are_positive_exactly_where_the_prediction_is_wrong(
    name: str, batch: list[tuple[list[float], int]]
) -> None:
    logits, labels = tensors(batch)
    assert ((LOSSES[name](logits, labels) > 0) == (logits.argmax(dim=1) != labels)).all()


@given(batch=batches, factor=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_dlr_is_free_of_the_logits_scale_and_shift(
    batch: list[tuple[list[float], int]], factor: float, shift: float
) -> None:
    logits, labels = tensors(batch)
    torch.testing.assert_close(
        LOSSES["dlr"](factor * logits + shift, labels), LOSSES["dlr"](logits, labels), atol=2e-3, rtol=2e-3
    )


@LOSS
@pytest.mark.parametrize("probes", [1, 2, 3])
@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0, 100.0, math.inf])
def test_the_joint_loss_is_equation_5(name: str, probes: int, beta: float) -> None:
    logits, labels = torch.randn(4, K), torch.tensor([1, 2, 3, 4])
    raw = [torch.randn(4, K) for _ in range(probes)]
    for i in range(4):
        own = FORMULAS[name](logits[i].tolist(), int(labels[i]))
        theirs = sum(FORMULAS[name](p[i].tolist(), int(labels[i])) for p in raw) / probes
        expected = theirs if beta == math.inf else own / (1 + beta) + beta / (1 + beta) * theirs
        found = float(joint(LOSSES[name], logits, raw, labels, beta)[i])
        assert found == pytest.approx(expected, abs=1e-4, rel=1e-4)


@pytest.mark.parametrize("beta", [0.0, 2.0, math.inf])
def test_the_joint_loss_of_a_model_without_probes_is_the_loss(beta: float) -> None:
    logits, labels = torch.randn(4, K), torch.arange(4)
    assert torch.equal(joint(LOSSES["ce"], logits, [], labels, beta), LOSSES["ce"](logits, labels))


def test_the_joint_loss_is_made_in_float32_from_bf16_logits() -> None:
    logits, labels = torch.randn(4, K).bfloat16(), torch.arange(4)
    found = joint(LOSSES["ce"], logits, [logits], labels, 2.0)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, LOSSES["ce"](logits.float(), labels))


def test_dlr_says_that_two_classes_are_too_few() -> None:
    with pytest.raises(InvalidParameter, match="'dlr': it needs 3 classes, there are 2"):
        LOSSES["dlr"](torch.randn(4, 2), torch.zeros(4).long())


def test_an_unknown_loss_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="'hinge'.*ce, margin, dlr"):
        LOSSES["hinge"]


def test_targeted_dlr_is_the_equation_of_the_paper() -> None:
    logits = torch.tensor([[4.0, 1.0, 3.0, 0.0, -1.0]])
    # −(z_y − z_t) / (z_π1 − (z_π3 + z_π4) / 2), arXiv 2003.01690, eq. 7
    expected = -(4 - 3) / (4 - (1 + 0) / 2)
    torch.testing.assert_close(dlr_targeted(logits, torch.tensor([0]), torch.tensor([2])), torch.tensor([expected]))
    with pytest.raises(InvalidParameter, match="needs 4 classes, there are 3"):
        dlr_targeted(logits[:, :3], torch.tensor([0]), torch.tensor([2]))
