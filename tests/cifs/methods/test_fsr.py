"""FSR by its equations, its mask's noise, and the way an attack takes through it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cifs.methods import METHODS
from cifs.methods.fsr import FSR, gumbel_sigmoid
from cifs.models import build
from cifs.selection import Trace, attached_importance
from tests.cifs.tiny import K, images, liven, tiny


def layer() -> FSR:
    torch.manual_seed(0)
    made = FSR(6, K, hidden=5, temperature=0.1).eval()
    liven(made)
    return made


def features(n: int = 3) -> Tensor:
    return torch.rand(n, 6, 4, 4, generator=torch.Generator().manual_seed(1))


def test_the_next_layer_receives_what_the_equations_say() -> None:
    fsr, z = layer(), features()
    seen = fsr(z)
    m = (fsr.separate(z) / 0.1).sigmoid()
    rest = (1 - m) * z
    torch.testing.assert_close(seen.mask, m)
    torch.testing.assert_close(seen.selected, z + (1 - m) * fsr.recalibrate(rest))  # f⁺ + f⁻ is z
    output = fsr.probe.output
    assert seen.auxiliary is not None
    torch.testing.assert_close(seen.raw_prediction, F.linear((m * z).mean((2, 3)), output.weight, output.bias))
    torch.testing.assert_close(seen.auxiliary["rest"], F.linear(rest.mean((2, 3)), output.weight, output.bias))


def test_nothing_taken_out_is_nothing_changed() -> None:
    fsr, z = layer(), features()
    fsr._mask = torch.ones_like  # type: ignore[assignment]
    torch.testing.assert_close(fsr(z).selected, z)


def test_the_noise_is_the_difference_of_two_gumbels() -> None:
    """σ(s + G₁ − G₂) exceeds ½ with probability σ(s): the Gumbel-max trick."""
    torch.manual_seed(0)
    for score in (-2.0, 0.0, 1.0):
        share = (gumbel_sigmoid(torch.full((100_000,), score), 0.1, noisy=True) > 0.5).float().mean()
        assert share.item() == pytest.approx(torch.tensor(score).sigmoid().item(), abs=0.01)


def test_the_mask_is_noisy_in_training_alone() -> None:
    fsr, z = layer(), features()
    assert torch.equal(fsr(z).mask, fsr(z).mask)
    fsr.train()
    assert not torch.equal(fsr(z).mask, fsr(z).mask)


def test_an_attached_mask_is_the_same_with_the_gradient_of_temperature_one() -> None:
    fsr, z = layer(), features().requires_grad_()
    plain = fsr(z).mask
    with attached_importance(fsr):
        attached = fsr(z).mask
    assert attached is not None
    torch.testing.assert_close(attached, plain)
    found = torch.autograd.grad(attached.sum(), z)[0]
    torch.testing.assert_close(found, torch.autograd.grad(fsr.separate(z).sigmoid().sum(), z)[0])


def test_the_loss_is_the_authors_with_the_largest_wrong_class_for_what_was_taken_out() -> None:
    model, (x, y) = tiny("fsr", separation=0.5, recalibration=2.0), images(5)
    traced: Trace = model.trace(x)
    order = traced.logits.argsort(dim=1, descending=True)
    wrong = torch.where(order[:, 0] == y, order[:, 1], order[:, 0])
    expected = F.cross_entropy(traced.logits, y, reduction="none")
    for seen in traced.layers.values():
        assert seen.auxiliary is not None
        separation = F.cross_entropy(seen.raw_prediction, y, reduction="none")
        separation = separation + F.cross_entropy(seen.auxiliary["rest"], wrong, reduction="none")
        recalibration = F.cross_entropy(seen.auxiliary["recalibrated"], y, reduction="none")
        expected = expected + (0.5 * separation + 2.0 * recalibration) / len(traced.layers)
    assert model.selecting is not None
    torch.testing.assert_close(model.selecting.loss(traced, y, 2.0), expected)


def test_at_one_layer_it_sits_where_the_recipe_says() -> None:
    model = build("resnet10", width=4, image_size=8, method="fsr", sites=[{"layer": "layer4.0"}])
    assert model.modified == ("layer4.0",)
    assert model.selecting == METHODS["fsr"]()
