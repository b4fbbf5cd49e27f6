"""What-if networks against networks that are edited for good, and against masks worked out by hand."""

import copy

import pytest
import torch
from torch import Tensor, nn

from cifs.attacks import PGD, perturb
from cifs.channels import RELEVANCES, Edits, Reselected, Scaled, attack_again, edited, masks_of, predict, shuffled
from cifs.errors import InvalidParameter, UnknownName
from cifs.models import CNN, build
from cifs.selection import IMGFS
from tests.cifs.tiny import METHODS, images, tiny

SOFTPLUS = IMGFS["softplus"](alpha=2.0)
PGD5 = PGD(eps=0.1, steps=5)


def silenced(model: CNN, channels: list[int]) -> CNN:
    """A twin whose head hears nothing of these channels of the penultimate layer: edited for good."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.fc.weight[:, channels] = 0
    return twin


def state(model: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def test_suppressed_channels_are_as_if_their_weights_were_zero() -> None:
    model, (x, y) = tiny(), images(5)
    masks = masks_of(model, x, y, [Scaled("layer4.0", [1, 7], 0.0)])
    torch.testing.assert_close(predict(model, x, Edits(masks)), silenced(model, [1, 7])(x).detach())


def test_the_edited_network_is_attacked_as_the_network_edited_for_good_is() -> None:
    model, (x, y) = tiny(), images(5)
    edits = Edits(masks_of(model, x, y, [Scaled("layer4.0", [1, 7, 9], 0.0)]))
    expected = perturb(silenced(model, [1, 7, 9]), x, y, PGD5)
    torch.testing.assert_close(attack_again(model, x, y, PGD5, edits), expected)
    assert not torch.equal(perturb(model, x, y, PGD5), expected)


def test_masks_that_differ_between_images_are_attacked_each_with_its_own() -> None:
    model, (x, y) = tiny(), images(3)
    masks = masks_of(model, x, y, [Scaled("layer4.0", "NR", 0.0)])
    again = attack_again(model, x, y, PGD(eps=0.1, steps=5, random_start=True, restarts=2), Edits(masks))
    for i in range(3):
        off = (model.fc.weight[y[i]] <= 0).nonzero()[:, 0].tolist()
        alone = perturb(
            silenced(model, off), x[i : i + 1], y[i : i + 1], PGD(eps=0.1, steps=5, random_start=True, restarts=2)
        )
        torch.testing.assert_close(again[i : i + 1], alone)


def test_nr_and_pr_are_told_apart_by_each_images_own_relevance() -> None:
    model, (x, y) = tiny(), images(6)
    for layer in ("layer2.0", "layer4.0"):
        positive = RELEVANCES["true"]()(model, layer, x, y) > 0
        nr, pr = (masks_of(model, x, y, [Scaled(layer, kind, 0.25)])[layer] for kind in ("NR", "PR"))
        assert torch.equal(nr == 0.25, ~positive)
        assert torch.equal(pr == 0.25, positive)


def test_several_edits_of_one_layer_multiply_and_layers_keep_apart() -> None:
    model, (x, y) = tiny(), images(2)
    edits = [Scaled("stem", [0, 1], 2.0), Scaled("stem", [1], 0.5), Scaled("layer1.0", [2], 0.0)]
    masks = masks_of(model, x, y, edits)
    assert masks["stem"][0].tolist() == [2.0, 1.0, 1.0, 1.0]
    assert masks["layer1.0"][1].tolist() == [1.0, 1.0, 0.0, 1.0]


def test_the_control_has_the_same_multipliers_on_other_channels() -> None:
    masks = {"layer4.0": (torch.arange(64).reshape(2, 32) % 3 == 0).float()}
    controls = [shuffled(masks, seed)["layer4.0"] for seed in range(3)]
    for control in controls:
        assert torch.equal(control.sort(dim=1).values, masks["layer4.0"].sort(dim=1).values)
        assert not torch.equal(control, masks["layer4.0"])
    assert not torch.equal(controls[0], controls[1])
    assert torch.equal(controls[0], shuffled(masks, 0)["layer4.0"])


@pytest.mark.parametrize("method", ["cas", "cifs"])
def test_another_imgf_is_as_if_the_network_had_been_built_with_it(method: str) -> None:
    model, (x, _) = tiny(method), images(5)
    sites = [
        {"layer": "layer3.0", "probe": {"name": "mlp" if method == "cifs" else "linear"}},
        {"layer": "layer4.0", "probe": {"name": "linear"}},
    ]
    twin = build(
        "resnet10", width=4, image_size=8, method="cifs", sites=sites, imgf={"name": "softplus", "alpha": 2.0}, k=3
    ).eval()
    twin.load_state_dict(model.state_dict())
    edits = Edits({}, [Reselected(layer, SOFTPLUS, 3) for layer in model.modified])
    torch.testing.assert_close(predict(model, x, edits), twin(x).detach())


def test_a_plain_network_with_cifs_before_its_head_assesses_by_the_head_itself() -> None:
    model, (x, _) = tiny(), images(5)
    twin = build(
        "resnet10", width=4, image_size=8, method="cifs", imgf={"name": "softplus", "alpha": 2.0},
        sites=[{"layer": "layer4.0", "probe": {"name": "linear"}}],
    ).eval()  # fmt: skip
    head = {
        "selection.layer4/0.probe.output.weight": model.fc.weight,
        "selection.layer4/0.probe.output.bias": model.fc.bias,
    }
    twin.load_state_dict(model.state_dict() | head)
    edits = Edits({}, [Reselected("layer4.0", SOFTPLUS)])
    torch.testing.assert_close(predict(model, x, edits), twin(x).detach())
    y = model(x).argmax(dim=1)
    for through in (False, True):
        attack = PGD(eps=0.1, steps=3, through_mask=through, beta=0)
        with edited(model, edits):
            found = perturb(model, x, y, attack)
        torch.testing.assert_close(found, perturb(twin, x, y, attack))


@pytest.mark.parametrize("method", METHODS)
def test_everything_comes_off_and_no_weight_is_changed(method: str) -> None:
    model, (x, y) = tiny(method), images(3)
    before, names, logits = state(model), list(dict(model.named_modules())), model(x)
    scaled = [Scaled("layer2.0", "NR", 0.0), Scaled("layer4.0", "PR", 2.0)]
    edits = Edits(masks_of(model, x, y, scaled), [Reselected("layer4.0", SOFTPLUS)])
    attack_again(model, x, y, PGD5, edits)
    with pytest.raises(RuntimeError, match="inside"), edited(model, edits):
        raise RuntimeError("inside")
    assert list(dict(model.named_modules())) == names
    assert all(torch.equal(a, b) for a, b in zip(state(model), before, strict=True))
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(model(x), logits)


def test_what_cannot_be_edited_is_refused() -> None:
    model, (x, y) = tiny(), images(2)
    with pytest.raises(UnknownName, match="layer7"):
        masks_of(model, x, y, [Scaled("layer7", [0], 0.0)])
    with pytest.raises(InvalidParameter, match=r"channel 32: layer 'layer4\.0' has channels 0 to 31"):
        masks_of(model, x, y, [Scaled("layer4.0", [32], 0.0)])
    for layer, k, message in (("layer2.0", 2, "no linear head follows"), ("layer4.0", 11, "k = 11")):
        with pytest.raises(InvalidParameter, match=message):
            predict(model, x, Edits({}, [Reselected(layer, SOFTPLUS, k)]))
    twice = [Reselected("layer4.0", SOFTPLUS)] * 2
    with pytest.raises(InvalidParameter, match="twice"):
        predict(model, x, Edits({}, twice))
    assert not hasattr(model, "what_if")
