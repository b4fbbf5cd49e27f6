"""Reaching into layers: what is attached comes off, and masks do what a hand computation says."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from cifs.channels import capture, editing, intervene, layer_names
from cifs.errors import InvalidParameter, UnknownName
from tests.cifs.tiny import METHODS, K, images, tiny

Attach = Callable[[nn.Module, str], AbstractContextManager[Any]]
ATTACHED: dict[str, Attach] = {
    "capture": capture,
    "intervene": lambda model, layer: intervene(model, layer, torch.zeros(1)),
    "editing": lambda model, layer: editing(model, layer, torch.zeros_like),
}


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules())


@pytest.mark.parametrize("name", ATTACHED)
def test_hooks_come_off_after_the_block_and_after_an_exception(name: str) -> None:
    model, (x, _) = tiny("cifs"), images(2)
    before = model(x)
    with ATTACHED[name](model, "layer2.0"):
        assert hooks(model) == 1
    assert hooks(model) == 0
    with pytest.raises(ZeroDivisionError), ATTACHED[name](model, "layer2.0"):
        raise ZeroDivisionError
    assert hooks(model) == 0
    assert torch.equal(model(x), before)


@pytest.mark.parametrize("method", METHODS)
def test_capture_sees_features_before_selection_and_changes_nothing(method: str) -> None:
    model, (x, _) = tiny(method), images(3)
    expected = model.trace(x)
    for layer in model.layers:
        with torch.no_grad(), capture(model, layer) as captured:
            assert torch.equal(model(x), expected.logits)
        if layer in expected.layers:
            assert torch.equal(captured.features, expected.layers[layer].features)


def test_capture_keeps_the_last_pass() -> None:
    model, (x, _) = tiny(), images(4)
    with torch.no_grad(), capture(model, "stem") as captured:
        model(x)
        model(x[:1])
    assert captured.features.shape[0] == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_of_ones_changes_nothing(method: str) -> None:
    model, (x, _) = tiny(method), images(3)
    for layer, channels in model.layer_channels.items():
        for mask in (torch.ones(channels), torch.ones(3, channels)):
            with intervene(model, layer, mask):
                found = model(x)
            assert torch.equal(found, model(x))


def test_a_mask_multiplies_channels_as_a_hand_computation_does() -> None:
    model, (x, _) = tiny(), images(3)
    with torch.no_grad(), capture(model, "layer4.0") as captured:
        model(x)
    pooled = captured.features.mean(dim=(2, 3))
    channels = pooled.shape[1]
    shared, own = torch.rand(channels), torch.rand(3, channels)
    for mask in (torch.zeros(channels), shared, own):
        with intervene(model, "layer4.0", mask):
            found = model(x)
        torch.testing.assert_close(found, (pooled * mask) @ model.fc.weight.T + model.fc.bias)
    with intervene(model, "layer4.0", torch.zeros(channels)):
        torch.testing.assert_close(model(x), model.fc.bias.expand(3, K))


def test_a_mask_of_zeros_at_the_stem_is_an_image_of_nothing_there() -> None:
    """What the layers above make of zeros, computed by running them alone."""
    model, (x, _) = tiny(), images(2)
    z = torch.zeros(2, model.layer_channels["stem"], 8, 8)
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        z = model.get_submodule(stage)(z)
    with intervene(model, "stem", torch.zeros(model.layer_channels["stem"])):
        torch.testing.assert_close(model(x), model.fc(z.mean(dim=(2, 3))))


def test_the_probe_sees_the_masked_features_too() -> None:
    model, (x, _) = tiny("cifs"), images(2)
    with intervene(model, "layer4.0", torch.zeros(model.layer_channels["layer4.0"])):
        selection = model.trace(x).layers["layer4.0"]
    assert (selection.features == 0).all()
    torch.testing.assert_close(selection.raw_prediction, model.selector("layer4.0").probe.output.bias.expand(2, K))


def test_interventions_nest() -> None:
    model, (x, _) = tiny(), images(2)
    a, b = torch.rand(8), torch.rand(8)
    with intervene(model, "layer2.0", a), intervene(model, "layer2.0", b):
        nested = model(x)
    with intervene(model, "layer2.0", a * b):
        torch.testing.assert_close(nested, model(x))


def test_layer_names_are_a_models_own_or_every_submodule() -> None:
    assert layer_names(tiny()) == tiny().layers
    foreign = torchvision.models.resnet18(weights=None)
    assert {"layer1.0.conv1", "layer4.1", "bn1"} <= set(layer_names(foreign))
    assert "" not in layer_names(foreign)


@pytest.mark.parametrize("name", ATTACHED)
def test_an_unknown_layer_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownName, match=r"'layer9'.*stem, layer1\.0"), ATTACHED[name](tiny(), "layer9"):
        pass


def test_a_mask_of_another_size_is_refused_by_its_numbers() -> None:
    model, (x, _) = tiny(), images(2)
    refused = pytest.raises(InvalidParameter, match=r"5 entries, layer 'layer2\.0' has 8 channels")
    with refused, intervene(model, "layer2.0", torch.ones(5)):
        model(x)
    assert hooks(model) == 0


def test_a_layer_without_feature_maps_is_refused() -> None:
    foreign = torchvision.models.resnet18(weights=None).eval()
    with pytest.raises(InvalidParameter, match="'fc' puts out no feature maps"), capture(foreign, "fc"):
        foreign(images(1, size=32)[0])
    assert hooks(foreign) == 0
