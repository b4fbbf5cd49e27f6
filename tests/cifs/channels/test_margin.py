"""The margin split by channel: exact sums, closed forms, Captum, and what importance maps above a layer do."""

import pytest
import torch
import torchvision
from captum.attr import LayerIntegratedGradients
from torch import Tensor, nn

from cifs.channels import intervene, margin, margin_split, strongest_rivals
from cifs.channels.selected import editing_selected, handed_on, holding_importance
from cifs.errors import InvalidParameter, UnknownName
from cifs.methods import METHODS
from cifs.models import CNN, insert
from tests.cifs.tiny import METHODS as KINDS
from tests.cifs.tiny import images, tiny

OURS = pytest.mark.parametrize(
    ("arch", "method"), [(arch, method) for arch in ("resnet10", "wrn16") for method in KINDS]
)


def pair(n: int = 4, size: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """x, x_adv, labels: images and what an attack might have made of them."""
    x, y = images(n, size=size)
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(5)) * 2 - 1
    return x, (x + 0.1 * noise).clamp(0, 1), y


def change_of_margin(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor, rivals: Tensor) -> Tensor:
    with torch.no_grad():
        return margin(model(x_adv), y, rivals) - margin(model(x), y, rivals)


@OURS
def test_before_the_head_the_channels_sum_to_the_change_exactly(arch: str, method: str) -> None:
    model, (x, x_adv, y) = tiny(method, arch=arch), pair()
    split = margin_split(model, model.layers[-1], x, x_adv, y)
    assert split.exact
    expected = change_of_margin(model, x, x_adv, y, split.rivals)
    torch.testing.assert_close(split.by_channel.sum(dim=1), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(split.change, expected, atol=1e-5, rtol=1e-5)
    assert float(split.completeness_error.max()) < 1e-4
    assert (split.by_importance is not None) == (method != "plain")


def test_of_a_plain_network_each_channel_carries_weight_difference_times_change_of_activation() -> None:
    model, (x, x_adv, y) = tiny(), pair()
    split = margin_split(model, "layer4.0", x, x_adv, y)
    a, a_adv = (handed_on(model, "layer4.0", images).features.mean(dim=(2, 3)) for images in (x, x_adv))
    expected = (model.fc.weight[split.rivals] - model.fc.weight[y]) * (a_adv - a)
    torch.testing.assert_close(split.by_features, expected.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", ["cas", "cifs"])
def test_at_a_modified_layer_features_and_importance_share_the_change_symmetrically(method: str) -> None:
    """What the features did is the mean of changing them under either importance map; the rest is the map's."""
    model, (x, x_adv, y) = tiny(method), pair()
    layer = model.layers[-1]
    split = margin_split(model, layer, x, x_adv, y)
    seen, seen_adv = handed_on(model, layer, x), handed_on(model, layer, x_adv)
    rows = (model.fc.weight[split.rivals] - model.fc.weight[y]).detach()
    a, a_adv = seen.features.mean(dim=(2, 3)), seen_adv.features.mean(dim=(2, 3))
    m, m_adv = seen.importance, seen_adv.importance
    assert m is not None
    assert m_adv is not None
    assert split.by_importance is not None
    torch.testing.assert_close(split.by_features, rows * (m * (a_adv - a) + m_adv * (a_adv - a)) / 2)
    torch.testing.assert_close(split.by_channel, rows * (m_adv * a_adv - m * a), atol=1e-6, rtol=1e-4)


@OURS
def test_at_every_layer_the_parts_sum_to_what_passes_through_it(arch: str, method: str) -> None:
    model, (x, x_adv, y) = tiny(method, arch=arch), pair()
    for layer in model.layers:
        split = margin_split(model, layer, x, x_adv, y, steps=128)
        with torch.no_grad(), editing_selected(model, layer, lambda _, at=layer: handed_on_of(model, at, x_adv)):
            swapped = margin(model(x), y, split.rivals)
        torch.testing.assert_close(split.passed, swapped - split.natural, atol=1e-5, rtol=1e-4)
        assert float(split.completeness_error.max()) < 0.02 * float(split.passed.abs().max()) + 1e-4, layer


def handed_on_of(model: CNN, layer: str, x: Tensor) -> Tensor:
    """From a pass without hooks of ours: a twin's."""
    twin = tiny(model.method, arch=model.arch)
    twin.load_state_dict(model.state_dict())
    return handed_on(twin, layer, x).selected


def test_nothing_goes_around_a_block_of_a_resnet_but_past_a_residual_branch_of_a_wrn() -> None:
    x, x_adv, y = pair()
    assert margin_split(tiny(), "layer2.0", x, x_adv, y).bypassed.abs().max() < 1e-5
    assert margin_split(tiny(arch="wrn16"), "layer2.1.preact1", x, x_adv, y).bypassed.abs().max() > 1e-3


@pytest.mark.parametrize("layer", ["layer1.0", "layer3.0"])
def test_the_integral_is_captums_layer_integrated_gradients(layer: str) -> None:
    model, (x, x_adv, y) = tiny(), pair()
    rivals = strongest_rivals(model(x_adv), y)
    peer = LayerIntegratedGradients(
        lambda images: margin(model(images), y.repeat(len(images) // 4), rivals.repeat(len(images) // 4)),
        model.get_submodule(layer),
    )
    expected = peer.attribute(x_adv, baselines=x, n_steps=64, method="gausslegendre").sum(dim=(2, 3))
    split = margin_split(model, layer, x, x_adv, y, rivals=rivals, steps=64)
    torch.testing.assert_close(split.by_features, expected.to(split.by_features), atol=1e-4, rtol=1e-3)


def test_any_networks_head_is_recognised_by_computing() -> None:
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None, num_classes=10).eval()
    x, x_adv, y = pair(2, size=32)
    split = margin_split(model, "layer4.1", x, x_adv, y)
    assert split.exact
    torch.testing.assert_close(
        split.by_channel.sum(dim=1), change_of_margin(model, x, x_adv, y, split.rivals), atol=1e-4, rtol=0
    )
    assert not margin_split(model, "layer4.0", x, x_adv, y, steps=2).exact


def test_a_map_above_that_jumps_is_counted_beside_the_channels() -> None:
    """The importance above is held at the natural image's: then it did nothing, and the channels did all."""
    model, (x, x_adv, y) = tiny("cas"), pair()
    free = margin_split(model, "layer2.0", x, x_adv, y)
    assert set(free.by_maps_above) == {"layer3.0", "layer4.0"}
    importances = handed_on(model, "layer2.0", x).importances
    with holding_importance(model, "layer3.0", importances["layer3.0"]):
        m = handed_on(model, "layer2.0", x).importances["layer3.0"]
        torch.testing.assert_close(m, importances["layer3.0"])
    assert any(part.abs().max() > 1e-3 for part in free.by_maps_above.values())


def test_inside_the_blocks_of_an_adapted_network_the_maps_above_are_counted_too() -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None, num_classes=10).eval()
    model = insert(network, "layer4.1", METHODS["cifs"](imgf={"name": "softplus"}), image_shape=(3, 32, 32)).eval()
    x, x_adv, y = pair(2, size=32)
    split = margin_split(model, "layer3.0.conv1", x, x_adv, y, steps=16)
    assert set(split.by_maps_above) == {"layer4.1"}
    assert float(split.completeness_error.max()) < 0.02 * float(split.passed.abs().max()) + 1e-4


def test_the_rival_is_the_strongest_wrong_class_unless_named() -> None:
    model, (x, x_adv, y) = tiny(), pair()
    logits = model(x_adv).detach()
    rivals = margin_split(model, "layer4.0", x, x_adv, y).rivals
    for i in range(len(y)):
        wrong = {c: float(logits[i, c]) for c in range(10) if c != int(y[i])}
        assert int(rivals[i]) == max(wrong, key=wrong.__getitem__)
    named = (y + 1) % 10
    assert torch.equal(margin_split(model, "layer4.0", x, x_adv, y, rivals=named).rivals, named)


def test_a_channel_that_is_silent_in_both_images_carried_nothing() -> None:
    model, (x, x_adv, y) = tiny(), pair()
    mask = torch.ones(8)
    mask[3] = 0
    with intervene(model, "layer2.0", mask):
        split = margin_split(model, "layer2.0", x, x_adv, y)
    assert split.by_features[:, 3].abs().max() == 0
    assert not any(module._forward_hooks for module in model.modules())


def test_an_unknown_layer_and_an_integral_without_points_are_refused() -> None:
    x, x_adv, y = pair(1)
    with pytest.raises(UnknownName, match="layer7"):
        margin_split(tiny(), "layer7", x, x_adv, y)
    with pytest.raises(InvalidParameter, match="steps = 0"):
        margin_split(tiny(), "layer1.0", x, x_adv, y, steps=0)


def test_importance_that_multiplies_no_channel_cannot_be_held() -> None:
    """FSR masks by position and gives something back, so no m (N, C) says what it does."""
    model, (x, _) = tiny("fsr"), images(2)
    m = handed_on(model, "layer4.0", x).features.mean(dim=(2, 3))
    refused = pytest.raises(InvalidParameter, match="'layer4.0' multiplies its channels by no importance")
    with refused, holding_importance(model, "layer4.0", m):
        model(x)
