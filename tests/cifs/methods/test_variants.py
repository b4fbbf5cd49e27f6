"""What the exploration tries: each by its equation, and nothing of it hidden from an attack that looks."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cifs.attacks import PGD, perturb
from cifs.methods import METHODS
from cifs.registry import configure
from cifs.selection import CIFS, IMGFS, PROBES, Damped, LinearProbe, attached_importance, mask_matters
from tests.cifs.tiny import K, images, liven, tiny


def every_class(probe: str) -> CIFS:
    torch.manual_seed(0)
    built = configure(PROBES, probe, {}).build(6, K)
    cifs = CIFS(built, configure(IMGFS, "softmax", {"per_channel": True}), every_class=True).double()
    liven(cifs, scale=3)
    return cifs


def features(n: int = 3) -> Tensor:
    return torch.rand(n, 6, 4, 4, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("probe", PROBES)
def test_relevance_of_every_class_is_the_gradient_of_logsumexp(probe: str) -> None:
    cifs, z = every_class(probe), features()
    delta = torch.zeros(3, 6).double().requires_grad_()
    score = cifs.probe(z + delta[:, :, None, None]).logsumexp(dim=1).sum()
    torch.testing.assert_close(cifs(z).relevance, torch.autograd.grad(score, delta)[0])


@pytest.mark.parametrize("probe", PROBES)
def test_its_attached_map_carries_the_gradient_that_finite_differences_show(probe: str) -> None:
    cifs, z = every_class(probe), features(1).requires_grad_()
    with attached_importance(cifs):
        for field in ("selected", "importance"):  # of a map in float32, hence the wide steps
            assert torch.autograd.gradcheck(
                lambda z, f=field: getattr(cifs(z), f), (z,), eps=1e-2, atol=2e-3, rtol=1e-2
            )
    assert mask_matters(cifs)
    assert cifs(z).importance.requires_grad  # for the probe's weights
    assert torch.autograd.grad(cifs(z).importance.square().sum(), z, allow_unused=True)[0] is None


def test_trained_through_the_map_features_get_the_maps_gradient_unless_an_attack_says_otherwise() -> None:
    layer = METHODS["cifs"](attached=True, every_class=True).layer(6, K, {"layer": "any"})
    assert layer.attached
    with attached_importance(layer, False):
        assert not layer.attached
    assert layer.attached


def test_an_attack_through_the_map_of_every_class_is_another_one_than_around_it() -> None:
    model, (x, y) = tiny("cifs", every_class=True, attached=True), images(4)
    liven(model, scale=4)
    around, through = (perturb(model, x, y, PGD(steps=3, beta=0.0, through_mask=way)) for way in (False, True))
    assert not torch.equal(around, through)


def test_consistency_is_the_relative_squared_shift_of_channel_activations() -> None:
    model, (x, _) = tiny("cifs", consistency=3.0), images(5)
    moved = (x + 0.1 * torch.rand_like(x)).clamp(0, 1)
    method, natural, attacked = model.selecting, model.trace(x), model.trace(moved)
    assert method is not None
    assert method.pairs
    layers = {name: model.selector(name) for name in model.modified}
    expected = torch.zeros(5)
    for name in model.modified:
        a, b = (traced.layers[name].features.mean((2, 3)) for traced in (natural, attacked))
        expected += 3 * ((b - a) ** 2).sum(1) / (a**2).sum(1) / len(layers)
    torch.testing.assert_close(method.compare(attacked, natural, layers), expected, rtol=1e-4, atol=1e-5)
    assert not METHODS["cifs"]().pairs


def test_damping_follows_how_far_a_channel_moves_and_starts_even() -> None:
    layer = Damped(LinearProbe(3, K), configure(IMGFS, "softmax", {"per_channel": True}))
    z = torch.ones(2, 3, 4, 4)
    torch.testing.assert_close(layer(z).importance, torch.ones(2, 3))
    for _ in range(200):
        layer.learn(z, z + torch.tensor([0.1, 0.2, 0.6])[:, None, None])
    torch.testing.assert_close(layer.movement, torch.tensor([0.1, 0.2, 0.6]), rtol=1e-3, atol=1e-4)
    s = (layer.movement - layer.movement.mean()) / layer.movement.std()
    torch.testing.assert_close(layer(z).importance[0], 3 * F.softmax(-s, dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer(z).selected, layer(z).importance[:, :, None, None] * z)


def test_a_damping_map_is_no_function_of_the_image() -> None:
    layer = Damped(LinearProbe(3, K), configure(IMGFS, "softmax", {"per_channel": True}))
    layer.learn(torch.ones(2, 3, 4, 4), torch.rand(2, 3, 4, 4))
    one, other = layer(torch.rand(2, 3, 4, 4)), layer(torch.rand(2, 3, 4, 4))
    assert torch.equal(one.importance, other.importance)
    assert not mask_matters(layer)
