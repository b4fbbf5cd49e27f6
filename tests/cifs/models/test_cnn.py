"""Every registered architecture: shapes, trace, hooks, modes, configuration."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cifs.errors import InvalidParameter, UnknownName
from cifs.models import CNN, MODELS, build, layer_shapes, trace
from cifs.zoo import Info, Zoo
from tests.cifs.tiny import METHODS, SMALLEST, K, fingerprint, images, tiny

EVERY_ARCH = pytest.mark.parametrize("arch", MODELS)
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)
# every architecture modified by CIFS, one of each family by every method
EVERY_KIND = pytest.mark.parametrize(
    ("arch", "method"),
    [*((arch, "cifs") for arch in MODELS), *((a, m) for a in ("resnet10", "wrn16") for m in ("plain", "cas"))],
)


def hooked(model: CNN, x: Tensor) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """logits, what every layer put out, and what every module was given, seen by plain torch hooks."""
    out: dict[str, Tensor] = {}
    given: dict[str, Tensor] = {}
    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_hook(lambda _m, _a, o, name=name: out.update({name: o})))
        handles.append(module.register_forward_pre_hook(lambda _m, a, name=name: given.update({name: a[0]})))
    with torch.no_grad():
        logits = model(x)
    for handle in handles:
        handle.remove()
    return logits, {name: out[name] for name in model.layers}, given


@EVERY_KIND
def test_a_model_maps_images_to_logits_and_names_its_layers_in_forward_order(arch: str, method: str) -> None:
    model = tiny(method, arch=arch, num_classes=7, in_channels=1)
    x, _ = images(3, channels=1)
    logits, seen, _ = hooked(model, x)
    assert logits.shape == (3, 7)
    assert model.layers == tuple(seen)
    assert layer_shapes(model) == {name: tuple(z.shape[1:]) for name, z in seen.items()}
    assert {name: shape[0] for name, shape in layer_shapes(model).items()} == model.layer_channels


@EVERY_KIND
def test_trace_features_are_what_hooks_see_at_the_layers_of_the_same_name(arch: str, method: str) -> None:
    model = tiny(method, arch=arch)
    x, _ = images(3)
    logits, seen, _ = hooked(model, x)
    traced = model.trace(x)
    assert torch.equal(traced.logits, logits)
    assert (
        tuple(traced.layers)
        == model.modified
        == (() if method == "plain" else tuple(s["layer"] for s in model.default_sites()))
    )
    for name, selection in traced.layers.items():
        assert torch.equal(selection.features, seen[name])


@pytest.mark.parametrize("method", ["cas", "cifs"])
def test_the_next_layer_receives_the_selected_features(method: str) -> None:
    x, _ = images(3)
    model = tiny(method, arch="resnet10")
    _, _, given = hooked(model, x)
    selected = {name: selection.selected for name, selection in model.trace(x).layers.items()}
    assert torch.equal(given["layer4.0"], selected["layer3.0"])
    torch.testing.assert_close(given["fc"], selected["layer4.0"].mean(dim=(2, 3)))

    model = tiny(method, arch="wrn16")
    _, _, given = hooked(model, x)
    selected = {name: selection.selected for name, selection in model.trace(x).layers.items()}
    assert torch.equal(given["layer3.1.conv1"], selected["layer3.1.preact1"])
    torch.testing.assert_close(given["fc"], selected["final"].mean(dim=(2, 3)))


@EVERY_ARCH
def test_any_layer_can_be_modified(arch: str) -> None:
    layers = tiny(arch=arch).layers
    model = tiny("cifs", arch=arch, sites=[{"layer": name, "probe": {"name": "linear"}} for name in layers])
    traced = model.trace(images(2)[0])
    assert tuple(traced.layers) == model.modified == layers
    shapes = layer_shapes(model)
    for name, selection in traced.layers.items():
        assert selection.selected.shape[1:] == shapes[name]


def test_the_default_sites_are_the_papers() -> None:
    assert build("resnet18", width=4, method="cifs", image_size=8).modified == ("layer4.0", "layer4.1")
    wrn = build("wrn28", width=2, method="cifs", image_size=8)
    assert wrn.modified == ("layer3.3.preact1", "final")
    assert wrn.selector("layer3.3.preact1").probe.hidden.out_features == 240
    assert wrn.selector("final").probe.output.in_features == 8


def test_normalisation_is_inside_the_model() -> None:
    x, _ = images(4)
    mean, std = [0.2, 0.4, 0.6], [0.1, 0.3, 0.5]
    outside = torch.stack([(x[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    model, without = tiny(mean=mean, std=std), tiny()
    without.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(x), without(outside))


@pytest.mark.parametrize("name", ["num_classes", "in_channels", "image_size", "width"])
def test_a_size_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameter, match=f"{name} = 0: must be a whole number, at least 1"):
        build("resnet10", **{name: 0})


def test_a_normalisation_for_other_channels_is_refused() -> None:
    with pytest.raises(InvalidParameter, match=r"std = \[0\.5\]: expected a number for each of 3 input channels"):
        build("resnet10", std=[0.5])


@EVERY_METHOD
def test_forward_is_deterministic_in_eval_mode_and_leaves_the_model_alone(method: str) -> None:
    model, (x, _) = tiny(method), images(3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@EVERY_METHOD
def test_an_image_is_classified_alike_alone_and_in_a_batch(method: str) -> None:
    model, (x, _) = tiny(method), images(6)
    torch.testing.assert_close(torch.cat([model(x[i : i + 1]) for i in range(6)]), model(x), atol=1e-5, rtol=1e-5)


def test_labels_reach_the_selection_in_training_only() -> None:
    model, (x, y) = tiny("cas"), images(6)
    row = model.selector("layer4.0").probe.output.weight
    assert torch.equal(model.train().trace(x, y).layers["layer4.0"].importance, row[y])
    predicted = model.eval().trace(x, y).layers["layer4.0"].raw_prediction.argmax(dim=1)
    assert torch.equal(model.trace(x, y).layers["layer4.0"].importance, row[predicted])


def test_layer_shapes_puts_every_module_back_into_its_mode() -> None:
    model = tiny().train()
    model.get_submodule("layer2").eval()
    before = {name: module.training for name, module in model.named_modules()}
    layer_shapes(model)
    assert {name: module.training for name, module in model.named_modules()} == before


def test_the_trace_of_a_foreign_classifier_is_its_logits() -> None:
    foreign = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, K))
    x, _ = images(2)
    traced = trace(foreign, x)
    assert torch.equal(traced.logits, foreign(x))
    assert traced.layers == {}


@EVERY_KIND
def test_a_saved_model_comes_back_with_the_same_logits(arch: str, method: str, tmp_path: Path) -> None:
    model = tiny(method, arch=arch, in_channels=1, mean=[0.3], std=[0.2], k=3, label_in_training=False)
    name = "natural" if method == "plain" else method
    Zoo(tmp_path).save("m", model, Info(title="M", dataset="fashion_mnist_mini", method=name))
    back = Zoo(tmp_path).load("m")
    x, _ = images(3, channels=1)
    torch.testing.assert_close(back(x), model(x), atol=1e-6, rtol=1e-5)
    weights = ({name: fingerprint(tensor) for name, tensor in m.state_dict().items()} for m in (back, model))
    assert next(weights) == next(weights)
    for layer in model.modified:
        mine, its = model.selector(layer), back.selector(layer)
        assert (its.k, its.label_in_training, its.imgf) == (mine.k, mine.label_in_training, mine.imgf)


def test_an_unknown_architecture_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="'resnet11'") as refusal:
        build("resnet11")
    assert all(arch in str(refusal.value) for arch in SMALLEST)


def test_an_unknown_method_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="'magic'.*plain, natural, vanilla, cas, cifs"):
        tiny("magic")


def test_an_unknown_layer_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"'layer9\.0'.*stem, layer1\.0, layer2\.0, layer3\.0, layer4\.0"):
        tiny("cifs", sites=[{"layer": "layer9.0", "probe": {"name": "linear"}}])
    with pytest.raises(UnknownName, match=r"'stem'.*layer3\.0, layer4\.0"):
        tiny("cifs").selector("stem")


def test_unknown_imgf_and_probe_are_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="'tanh'.*softmax, softplus, sigmoid"):
        tiny("cifs", imgf={"name": "tanh"})
    with pytest.raises(UnknownName, match="'quadratic'.*linear, mlp"):
        tiny("cifs", sites=[{"layer": "stem", "probe": {"name": "quadratic"}}])


@pytest.mark.parametrize("k", [0, -1, K + 1])
def test_k_outside_the_classes_is_refused(k: int) -> None:
    with pytest.raises(InvalidParameter, match=f"k = {k}: .* from 1 to {K}"):
        tiny("cifs", k=k)
