"""Any classifier as one of ours: layers, relevance, statistics, and a method at a named layer."""

import copy
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from captum._utils.gradient import compute_layer_gradients_and_eval
from torch import Tensor, nn

from cifs.attacks import PGD, perturb
from cifs.channels import RELEVANCES, capture, channel_statistics, intervene, view, views
from cifs.data import Images
from cifs.errors import CIFSError, InvalidParameter, UnknownName
from cifs.methods import METHODS
from cifs.models import CNN, Adapted, adapt, build, insert, layer_shapes, trace, unwrap
from cifs.selection import CIFS, IMGFS, LinearProbe, attached_importance
from tests.cifs.tiny import K, images, liven, tiny

true = RELEVANCES["true"]()

# how many channels the last block of each puts out, from its paper
CHANNELS = {
    "torchvision:resnet18": 512,
    "torchvision:vgg11_bn": 512,
    "torchvision:mobilenet_v3_small": 576,
    "torchvision:efficientnet_b0": 1280,
    "torchvision:densenet121": 1024,
    "torchvision:convnext_tiny": 768,
    "torchvision:googlenet": 1024,
    "timm:resnet18": 512,
    "timm:regnetx_002": 368,
    "timm:swin_tiny_patch4_window7_224": 768,
}
LARGE = {
    "torchvision:vgg11_bn",
    "torchvision:convnext_tiny",
    "torchvision:googlenet",
    "timm:swin_tiny_patch4_window7_224",
}
SIZE = {"timm:swin_tiny_patch4_window7_224": 64}


@pytest.fixture(scope="module", params=[pytest.param(a, marks=pytest.mark.slow) if a in LARGE else a for a in CHANNELS])
def network(request: pytest.FixtureRequest) -> CNN:
    torch.manual_seed(0)
    arch = request.param
    model = build(arch, num_classes=K, image_size=SIZE.get(arch, 32)).eval()
    liven(model)
    return model


def test_every_library_network_has_layers_relevance_views_and_interventions(network: CNN) -> None:
    """At its last block; relevance against Captum's gradient, positions summed by hand where the layout says."""
    size, layer = network.image_shape[1], network.layers[-1]
    assert (layer_shapes(network)[layer][0], network.width) == (CHANNELS[network.arch], None)
    x, y = images(2, size=size)
    seen = view(network, layer, x, relevance=true, classes=y)
    assert seen.features.shape[1:] == network.shapes[layer]
    gradients, _ = compute_layer_gradients_and_eval(network, network.get_submodule(layer), x, y)
    positions = (2, 3) if network.channel_axis(layer) == 1 else (1, 2)
    torch.testing.assert_close(seen.relevance, gradients[0].sum(dim=positions), atol=1e-5, rtol=1e-4)
    with torch.no_grad(), intervene(network, layer, torch.ones(CHANNELS[network.arch])):
        torch.testing.assert_close(network(x), seen.logits, atol=1e-4, rtol=1e-4)
    with torch.no_grad(), intervene(network, layer, torch.zeros(CHANNELS[network.arch])):
        assert not torch.equal(network(x), seen.logits)


def test_a_layer_of_the_library_has_its_channels_where_a_convolution_or_norm_says(network: CNN) -> None:
    """Never height for channels: every module with a count of its own agrees with the shape."""
    assert isinstance(network, Adapted)
    checked = 0
    for name, (channels, _, _) in network.shapes.items():
        module = network.network.get_submodule(name)
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.LayerNorm | nn.Linear):
            counts = [getattr(module, key, None) for key in ("out_channels", "num_features", "out_features")]
            counts += list(getattr(module, "normalized_shape", []))
            assert channels in counts, name
            checked += 1
    assert checked > 3


def test_a_method_in_a_library_network_selects_saves_and_survives_copies(network: CNN) -> None:
    layer = network.layers[-2]
    assert isinstance(network, Adapted)
    model = insert(network.network, layer, METHODS["cifs"](), image_shape=network.image_shape).eval()
    x, _ = images(2, size=network.image_shape[1])
    traced = model.trace(x)
    assert model.modified == (layer,)
    selection = traced.layers[layer]
    torch.testing.assert_close(selection.selected, selection.importance[:, :, None, None] * selection.features)
    assert not torch.equal(traced.logits, network(x))
    with intervene(network, layer, selection.importance):  # what the next layer received
        torch.testing.assert_close(network(x), traced.logits, atol=1e-4, rtol=1e-3)
    copies = (
        [] if "vgg" in network.arch else [_rebuilt(model, network.arch), copy.deepcopy(model)]
    )  # 129 million weights
    for again in copies:
        torch.testing.assert_close(again.eval()(x), traced.logits)


def _rebuilt(model: CNN, arch: str) -> CNN:
    again = build(**{**model.config, "arch": arch})
    again.load_state_dict(model.state_dict())
    return again


# ---- networks of one's own ------------------------------------------------------------------------------------------


class Own(nn.Module):
    """Channels first, then last, then first again; a ReLU used twice and one in place; logits in a named tuple."""

    Output = namedtuple("Output", ["logits", "features"])

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        self.shared = nn.ReLU()
        self.mix = nn.Linear(6, 7)
        self.late = nn.Conv2d(7, 5, 3, padding=1)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Any:
        z = self.relu(self.norm(self.conv(x)))
        z = self.shared(self.mix(z.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        z = self.shared(self.late(z))
        return self.Output(self.head(z.mean(dim=(2, 3))), z)


@pytest.mark.parametrize("shape", [(3, 12, 12), (3, 12, 20), (3, 14, 14), (3, 5, 7)])
def test_channels_are_told_from_positions_whatever_their_number(shape: tuple[int, int, int]) -> None:
    """At 12 and 14 pixels height, width and channels coincide."""
    model = adapt(Own(), image_shape=shape)
    channels = {name: model.layer_channels[name] for name in ("conv", "norm", "relu", "mix", "late")}
    assert channels == {"conv": 6, "norm": 6, "relu": 6, "mix": 7, "late": 5}
    assert [name for name in model.shapes if model.channel_axis(name) == 3] == ["mix"]
    assert model.num_classes == 4


def test_what_cannot_be_a_layer_is_refused_with_the_reason() -> None:
    model = adapt(Own(), image_shape=(3, 12, 12))
    x, y = torch.rand(2, 3, 12, 12), torch.tensor([0, 3])
    with pytest.raises(InvalidParameter, match="'shared' cannot be looked at: it runs 2 times in a forward pass"):
        view(model, "shared", x, relevance=true, classes=y)
    with pytest.raises(InvalidParameter, match="'head' cannot be modified: it puts out a tensor of shape"):
        insert(model, "head", METHODS["cas"]())
    with pytest.raises(UnknownName, match="'layer9'.*conv, norm, relu, mix, late"):
        view(model, "layer9", x, relevance=true, classes=y)


def test_a_layer_before_one_that_works_in_place_is_seen_as_it_was() -> None:
    network = Own().eval()
    x = torch.rand(2, 3, 12, 12)
    seen = view(adapt(network), "norm", x, relevance=true, classes=torch.tensor([0, 1]))
    torch.testing.assert_close(seen.features, network.norm(network.conv(x)))
    assert (seen.features < 0).any()
    modified = insert(network, "norm", METHODS["cas"]())
    selection = modified.eval().trace(x).layers["norm"]
    torch.testing.assert_close(selection.selected, selection.importance[:, :, None, None] * selection.features)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Conv2d(3, 4, 3), "puts out a tensor .* expected logits"),
        (nn.Sequential(nn.Flatten(), nn.Linear(7, 2)), "runs on no square image of .* pixels and 3 channels"),
    ],
)
def test_what_is_no_classifier_of_images_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        adapt(network, image_shape=(3, 8, 8) if "expected" in message else None)


def test_a_raw_network_whose_layout_one_look_cannot_tell_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8))
    with pytest.raises(InvalidParameter, match=r"\(2, 8, 8, 8\), and which axis holds the channels cannot be told"):
        view(network, "1", torch.rand(2, 3, 8, 8), relevance=true)
    assert adapt(network, image_shape=(3, 8, 8)).shapes["1"] == (8, 8, 8)


def test_a_raw_network_that_lays_channels_last_is_looked_at_channel_by_channel() -> None:
    network, x = Own().eval(), torch.rand(2, 3, 12, 12)
    raw, adapted = (
        view(model, "mix", x, relevance=true) for model in (network, adapt(network, image_shape=(3, 12, 12)))
    )
    assert raw.features.shape == (2, 7, 6, 6)
    torch.testing.assert_close(raw.relevance, adapted.relevance)
    with torch.no_grad(), intervene(network, "mix", torch.ones(7)):
        torch.testing.assert_close(network(x).logits, raw.logits)


def test_normalisation_goes_inside_an_adapted_network() -> None:
    network, x = Own().eval(), torch.rand(2, 3, 12, 12)
    model = adapt(network, mean=[0.2, 0.4, 0.6], std=[0.5, 0.25, 1.0])
    by_hand = (x - torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)) / torch.tensor([0.5, 0.25, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(model(x), network(by_hand).logits)


def test_a_grey_image_is_shown_three_times_to_a_network_of_three_channels() -> None:
    model = build("torchvision:mobilenet_v3_small", in_channels=1, image_size=28).eval()
    x = torch.rand(2, 1, 28, 28)
    assert torch.equal(model(x), model.network(x.repeat(1, 3, 1, 1)))


def test_images_need_not_be_square() -> None:
    model = build("torchvision:resnet18", image_size=[40, 64])
    assert model.image_shape == (3, 40, 64)
    assert model.shapes["layer1.0"] == (64, 10, 16)
    ours = build("resnet10", width=4, image_size=[40, 64])
    assert ours.shapes["layer2.0"] == (8, 20, 32)
    assert build(**ours.config).image_shape == (3, 40, 64)


# ---- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("resnet11", "unknown architecture 'resnet11'.*torchvision:…, timm:…"),
        ("torchvision:resnet11", "unknown torchvision model 'resnet11'.*resnet18"),
        ("timm:resnet11", "unknown timm model 'resnet11'.*resnet18"),
        ("keras:resnet18", "unknown architecture 'keras:resnet18'"),
    ],
)
def test_an_unknown_architecture_is_answered_with_what_there_is(arch: str, message: str) -> None:
    with pytest.raises(CIFSError, match=message):
        build(arch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 16}, "width = 16: .* has the width its name says"),
        ({"in_channels": 4}, "in_channels = 4.*1 .grey. or 3"),
    ],
)
def test_options_a_library_network_does_not_take_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        build("torchvision:resnet18", **options)


def test_the_weights_are_random_and_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *args, **options: pytest.fail("a download"))
    torch.manual_seed(0)
    first = build("torchvision:mobilenet_v3_small")
    torch.manual_seed(0)
    reference = torchvision.models.mobilenet_v3_small(weights=None, num_classes=10)
    for name, tensor in reference.state_dict().items():
        assert torch.equal(first.state_dict()[f"network.{name}"], tensor)
    torch.manual_seed(0)
    assert (
        timm.create_model("resnet18", num_classes=10).fc.weight.shape == build("timm:resnet18").network.fc.weight.shape
    )


# ---- insertion ------------------------------------------------------------------------------------------------------


def test_methods_go_into_more_layers_one_by_one() -> None:
    model = insert(Own(), "conv", METHODS["cifs"](k=1), probe={"name": "mlp", "hidden": 3}, image_shape=(3, 12, 12))
    model = insert(model, "mix", METHODS["cifs"](k=1))
    assert model.modified == ("conv", "mix")
    assert model.config["sites"] == [{"layer": "conv", "probe": {"name": "mlp", "hidden": 3}}, {"layer": "mix"}]
    traced = model.eval().trace(torch.rand(2, 3, 12, 12))
    assert traced.layers["mix"].features.shape == (2, 7, 6, 6)
    with pytest.raises(InvalidParameter, match="modified by 'cifs' already, and one model has one method"):
        insert(model, "late", METHODS["cas"]())


def test_a_method_goes_into_a_model_of_ours() -> None:
    model = insert(tiny(), "layer2.0", METHODS["cifs"]())
    twin = tiny("cifs", imgf={"name": "softmax"}, sites=[{"layer": "layer2.0"}])
    twin.load_state_dict(model.state_dict())
    x, _ = images(2)
    assert torch.equal(model.eval()(x), twin(x))
    assert {k: model.config[k] for k in ("method", "sites", "k")} == {
        k: twin.config[k] for k in ("method", "sites", "k")
    }


def test_a_selection_layer_of_ones_own_goes_in_too() -> None:
    selection = CIFS(LinearProbe(7, 4), IMGFS["sigmoid"]())
    model = insert(Own(), "mix", selection, image_shape=(3, 12, 12))
    assert model.selector("mix") is selection


def test_an_inserted_layer_learns_and_is_attacked_through_its_map() -> None:
    model = insert(Own(), "late", METHODS["cifs"](), probe={"name": "mlp", "hidden": 8}, image_shape=(3, 12, 12))
    liven(model)
    x, y = torch.rand(6, 3, 12, 12), torch.randint(4, (6,))
    gradients = []
    for attached in (False, True):
        with attached_importance(model.eval(), attached):
            leaf = x.clone().requires_grad_()
            gradients.append(torch.autograd.grad(F.cross_entropy(model(leaf), y), leaf)[0])
    assert not torch.allclose(*gradients)
    assert model.selecting is not None
    model.selecting.loss(model.train().trace(x, y), y, 2.0).mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.selector("late").probe.hidden.parameters())


# ---- wrapped models -------------------------------------------------------------------------------------------------


def test_a_model_of_ours_inside_an_adapted_network_is_attacked_as_itself() -> None:
    """β = ∞ attacks the probes alone: an attack that missed them would move nothing and flatter the model."""
    model, (x, y) = tiny("cifs"), images(16)
    outer = adapt(nn.Sequential(nn.Identity(), model), image_shape=(3, 8, 8))
    for one, other in zip(outer.trace(x).raw_predictions, model.trace(x).raw_predictions, strict=True):
        assert torch.equal(one, other)
    attack = PGD(eps=0.1, steps=5, beta=torch.inf)
    torch.testing.assert_close(perturb(outer, x, y, attack), perturb(model, x, y, attack))


def test_a_wrapped_model_of_ours_is_unwrapped() -> None:
    model = tiny("cifs")
    for wrapped in (nn.DataParallel(model), torch.compile(model), nn.DataParallel(torch.compile(model))):
        assert unwrap(wrapped) is adapt(wrapped) is model


def test_a_selection_layer_that_does_not_run_is_an_error() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, K))
    network.idle = CIFS(LinearProbe(3, K), IMGFS["softmax"]())  # an attribute that no forward pass uses
    network.forward = lambda x: network[1](network[0](x))  # type: ignore[method-assign]
    with pytest.raises(InvalidParameter, match="selection layers that did not run: idle"):
        trace(network, images(2)[0])


# ---- views and statistics of all layers at once ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["plain", "cas", "cifs"])
@pytest.mark.parametrize("arch", ["resnet10", "wrn16"])
def test_views_of_all_layers_are_the_views_of_each(arch: str, method: str) -> None:
    model, (x, y) = tiny(method, arch=arch), images(5)
    for layer, seen in views(model, model.layers, x, classes=y).items():
        alone = view(model, layer, x, relevance=true, classes=y)
        for name, rows in alone._asdict().items():
            if rows is not None:
                torch.testing.assert_close(getattr(seen, name), rows, atol=1e-6, rtol=1e-5)
                assert not getattr(seen, name).requires_grad


@pytest.mark.parametrize("arch", ["wrn28", "torchvision:mobilenet_v3_small"])
def test_statistics_of_every_layer_take_two_passes_a_batch_beside_the_attack(arch: str) -> None:
    model = tiny("cifs", arch=arch, width=2) if arch == "wrn28" else build(arch, image_size=32).eval()
    passes = []
    every_pass = model.get_submodule("stem" if arch == "wrn28" else "network")
    every_pass.register_forward_pre_hook(lambda module, args: passes.append(1))
    x, y = images(8, size=model.image_shape[1])
    data = Images((x * 255).byte(), y)
    statistics = channel_statistics(model, [data[:4], data[4:]], PGD(eps=0.05, steps=3), dataset="d", split="test")
    assert sum(passes) == 2 * (3 + 2)
    assert statistics.layers == model.layers
    assert statistics.shift(model.layers[-1]) is not None


def test_statistics_of_any_classifier_are_means_of_what_its_layers_put_out() -> None:
    network = Own().eval()
    x = (torch.rand(10, 3, 12, 12) * 255).byte()
    y = torch.arange(10) % 4
    statistics = channel_statistics(network, [Images(x, y)], PGD(eps=0.05, steps=2), dataset="d", split="test")
    assert statistics.layers == ("relu", "mix", "late")
    relu = statistics.of("relu", "natural", 1)["activation"]
    with torch.no_grad(), capture(network, "relu") as captured:
        network(x.float() / 255)
    np.testing.assert_allclose(relu, captured.features.mean(dim=(2, 3))[y == 1].mean(dim=0), atol=1e-6)
