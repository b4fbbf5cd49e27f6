"""Circuits of networks whose circuit is known by construction, and of small ones where every set can be tried."""

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from cifs.channels import Patching, circuits, margin_curve, random_orders, share_of_random_sets
from cifs.errors import InvalidParameter, UnknownName
from cifs.losses import cw_margin
from tests.cifs.tiny import METHODS, images, tiny


class Channels(nn.Sequential):
    """Input channels are the channels of layer "0"; the head adds up what each says for class 1 against class 0."""

    def __init__(self, weights: list[float], bias: float = 0.0) -> None:
        super().__init__(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(len(weights), 2))
        with torch.no_grad():
            self[3].weight[:] = torch.tensor([[0.0] * len(weights), weights])
            self[3].bias[:] = torch.tensor([0.0, bias])


def flat(*levels: float) -> Tensor:
    """An image (1, C, 2, 2) of constant channels."""
    return torch.tensor(levels)[None, :, None, None].expand(1, -1, 2, 2).clone()


LABEL = torch.tensor([0])


def test_of_one_channel_that_did_it_the_circuit_is_that_channel() -> None:
    model = Channels([1.0, 1.0, 4.0, 1.0], bias=-1.0)
    natural, attacked = flat(0.1, 0.1, 0.0, 0.1), flat(0.1, 0.2, 1.0, 0.1)
    (circuit,) = circuits(Patching(model, ["0"], attacked, natural, LABEL, restoring=True))
    assert circuit.reached
    assert circuit.channels.tolist() == [2]
    (reverse,) = circuits(Patching(model, ["0"], natural, attacked, LABEL, restoring=False))
    assert reverse.reached
    assert reverse.channels.tolist() == [2]


def test_a_channel_that_the_greedy_step_took_but_that_can_be_spared_is_taken_out() -> None:
    """x0 alone moves the margin most, yet x1 and x2, which the label needs both, do without it."""

    class Needs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Identity()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            a, b, c = self.features(x).mean(dim=(2, 3)).T
            wrong = 1.0 - 0.5 * a - 0.49 * b - 0.49 * c - 0.2 * b * c
            return torch.stack([torch.zeros_like(wrong), wrong], dim=1)

    natural, attacked = flat(1.0, 1.0, 1.0), flat(0.0, 0.0, 0.0)
    (circuit,) = circuits(Patching(Needs(), ["features"], attacked, natural, LABEL, restoring=True), candidates=1)
    assert circuit.reached
    assert sorted(circuit.channels.tolist()) == [1, 2]


@pytest.mark.parametrize("seed", range(8))
def test_before_a_linear_head_the_circuit_is_as_small_as_the_smallest_of_all_sets(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    weights = torch.randn(8, generator=random)
    natural, attacked = (torch.rand(8, generator=random) for _ in range(2))
    # halfway between the two margins lies the border, so that some channels, but not all, are needed
    bias = float(-(weights * (natural + attacked)).sum() / 2)
    sign = 1 if float((weights * (attacked - natural)).sum()) > 0 else -1
    model = Channels((sign * weights).tolist(), sign * bias)
    natural, attacked = flat(*natural.tolist()), flat(*attacked.tolist())
    patching = Patching(model, ["0"], attacked, natural, LABEL, restoring=True)
    (circuit,) = circuits(patching, candidates=1)
    assert circuit.reached
    assert len(circuit.channels) == smallest(model, natural, attacked)


def smallest(model: nn.Module, natural: Tensor, attacked: Tensor) -> int:
    """By trying every set."""
    channels = range(natural.shape[1])
    for size in channels:
        for chosen in combinations(channels, size):
            mixed = attacked.clone()
            mixed[:, list(chosen)] = natural[:, list(chosen)]
            if model(mixed).argmax(dim=1) == LABEL:
                return size
    raise AssertionError


@pytest.mark.parametrize("method", METHODS)
def test_patching_all_channels_of_a_layer_gives_the_donors_prediction(method: str) -> None:
    model, (x, y) = tiny(method), images(4)
    other, _ = images(4, seed=9)
    for layers in (["layer2.0"], ["stem", "layer4.0"], list(model.layers)):
        patching = Patching(model, layers, x, other, y, restoring=True)
        everything = torch.ones(4, len(patching), dtype=torch.bool)
        with torch.no_grad():
            expected, before = cw_margin(model(other), y), cw_margin(model(x), y)
        torch.testing.assert_close(patching.margins(torch.arange(4), everything), expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(patching.margins(torch.arange(4), ~everything), before, atol=1e-5, rtol=1e-4)


def test_to_first_order_the_estimates_are_what_patching_a_channel_does() -> None:
    """Between images so near to each other that the network is all but linear."""
    model, (x, y) = tiny().double(), images(2)
    x = x.double()
    near = x + 1e-7 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    patching = Patching(model, ["layer1.0", "layer3.0"], x, near, y, restoring=True)
    nothing = torch.zeros(2, len(patching), dtype=torch.bool)
    estimates, before = patching.estimates(torch.arange(2), nothing), patching.margins(torch.arange(2), nothing)
    for channel in range(len(patching)):
        one = nothing.clone()
        one[:, channel] = True
        moved = patching.margins(torch.arange(2), one) - before
        torch.testing.assert_close(estimates[:, channel], moved, atol=1e-11, rtol=1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_no_channel_of_a_circuit_can_be_spared(method: str) -> None:
    model, (x, _) = tiny(method), images(6)
    with torch.no_grad():
        y = model(x).argmax(dim=1)  # the natural predictions are right
    other, _ = images(6, seed=9)
    with torch.no_grad():
        wrong = model(other).argmax(dim=1) != y
    assert wrong.any()
    patching = Patching(model, ["layer2.0", "layer3.0"], other[wrong], x[wrong], y[wrong], restoring=True)
    for i, circuit in enumerate(circuits(patching)):
        assert circuit.reached
        mask = torch.zeros(1, len(patching), dtype=torch.bool)
        mask[0, circuit.channels] = True
        assert patching.margins(torch.tensor([i]), mask) < 0
        for channel in circuit.channels:
            less = mask.clone()
            less[0, channel] = False
            assert patching.margins(torch.tensor([i]), less) >= 0
        assert sorted(circuit.order.tolist()) == list(range(len(patching)))
        assert circuit.order[: len(circuit.channels)].tolist() == circuit.channels.tolist()
    assert not any(module._forward_hooks for module in model.modules())


def test_what_is_right_already_needs_no_channel() -> None:
    model = Channels([1.0, 1.0], bias=-9.0)
    (circuit,) = circuits(Patching(model, ["0"], flat(1.0, 1.0), flat(0.0, 0.0), LABEL, restoring=True))
    assert circuit.reached
    assert len(circuit.channels) == 0


def test_what_cannot_be_reached_is_said() -> None:
    model = Channels([1.0, 1.0], bias=1.0)
    patching = Patching(model, ["0"], flat(1.0, 1.0), flat(0.5, 0.5), LABEL, restoring=True)
    (circuit,) = circuits(patching)
    assert not circuit.reached
    (limited,) = circuits(
        Patching(Channels([1.0, 1.0], bias=-1.5), ["0"], flat(2.0, 2.0), flat(0.5, 0.5), LABEL, restoring=True), most=1
    )
    assert (limited.reached, len(limited.channels)) == (False, 1)


def test_the_curve_is_the_margin_after_each_channel() -> None:
    model = Channels([1.0, 2.0, 4.0])
    patching = Patching(model, ["0"], flat(1.0, 1.0, 1.0), flat(0.0, 0.0, 0.0), LABEL, restoring=True)
    curve = margin_curve(patching, 0, torch.tensor([2, 0, 1]), [0, 1, 2, 3])
    assert curve.tolist() == [7.0, 3.0, 2.0, 0.0]
    reverse = Patching(model, ["0"], flat(0.0, 0.0, 0.0), flat(1.0, 1.0, 1.0), LABEL, restoring=False)
    assert margin_curve(reverse, 0, torch.tensor([2, 0, 1]), [0, 3]).tolist() == [0.0, 7.0]


def test_random_sets_of_the_same_size_are_the_control() -> None:
    """One of four channels did it: a random one is right in a quarter of the draws."""
    model = Channels([0.0, 0.0, 1.0, 0.0], bias=-0.5)
    patching = Patching(model, ["0"], flat(0.0, 0.0, 1.0, 0.0), flat(0.0, 0.0, 0.0, 0.0), LABEL, restoring=True)
    assert share_of_random_sets(patching, 0, 1, draws=2000) == pytest.approx(0.25, abs=0.04)
    assert share_of_random_sets(patching, 0, 4) == 1
    assert share_of_random_sets(patching, 0, 0) == 0
    assert torch.equal(random_orders(9, 3), random_orders(9, 3))
    assert all(sorted(order.tolist()) == list(range(9)) for order in random_orders(9, 3))


def test_channels_of_several_layers_are_numbered_through() -> None:
    model, (x, y) = tiny(), images(1)
    patching = Patching(model, ["stem", "layer2.0"], x, x, y, restoring=True)
    assert (len(patching), patching.name(3), patching.name(4)) == (12, ("stem", 3), ("layer2.0", 0))
    with pytest.raises(InvalidParameter, match="channel 12: there are 12"):
        patching.name(12)


def test_unknown_missing_and_doubled_layers_are_refused() -> None:
    model, (x, y) = tiny(), images(1)
    with pytest.raises(UnknownName, match="layer7"):
        Patching(model, ["layer7"], x, x, y, restoring=True)
    for layers in ([], ["stem", "stem"]):
        with pytest.raises(InvalidParameter, match="at least one, and none twice"):
            Patching(model, layers, x, x, y, restoring=True)
