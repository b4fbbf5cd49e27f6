"""True relevance against the weight row, finite differences and Captum; assessed relevance against the trace."""

import copy
import math

import pytest
import torch
import torchvision
from captum._utils.gradient import compute_layer_gradients_and_eval
from captum.attr import LayerGradientXActivation
from torch import Tensor, nn

from cifs.channels import RELEVANCES, capture, editing
from cifs.errors import InvalidParameter, UnknownName
from cifs.models import CNN
from tests.cifs.tiny import METHODS, K, images, tiny

true = RELEVANCES["true"]()
OURS = pytest.mark.parametrize(
    ("arch", "method"), [(arch, method) for arch in ("resnet10", "wrn16") for method in METHODS]
)


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet18(weights=None, num_classes=K).eval()


def layer_gradient(model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
    """Captum's gradient of the class score with respect to the layer, summed over positions."""
    gradients, _ = compute_layer_gradients_and_eval(model, model.get_submodule(layer), x, classes)
    return gradients[0].sum(dim=(2, 3))


def finite_differences(model: nn.Module, layer: str, x: Tensor, classes: Tensor, h: float) -> Tensor:
    """(f(z + hδ_i) − f(z − hδ_i)) / 2h for every channel i."""
    with torch.no_grad(), capture(model, layer) as captured:
        model(x)
    columns = []
    for channel in range(captured.features.shape[1]):
        scores = []
        for sign in (1, -1):

            def raised(z: Tensor, sign: int = sign, channel: int = channel) -> Tensor:
                z = z.clone()
                z[:, channel] += sign * h
                return z

            with torch.no_grad(), editing(model, layer, raised):
                scores.append(model(x).gather(1, classes[:, None])[:, 0])
        columns.append((scores[0] - scores[1]) / (2 * h))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize(("arch", "penultimate"), [("resnet10", "layer4.0"), ("wrn16", "final")])
def test_true_relevance_at_the_penultimate_layer_is_the_weight_row_of_the_class(arch: str, penultimate: str) -> None:
    model, (x, y) = tiny(arch=arch), images(6)
    torch.testing.assert_close(true(model, penultimate, x, y), model.fc.weight[y])


def test_true_relevance_at_torchvisions_penultimate_layer_is_the_weight_row(resnet18: nn.Module) -> None:
    x, y = images(3, size=32)
    torch.testing.assert_close(true(resnet18, "layer4.1", x, y), resnet18.fc.weight[y])


@pytest.mark.parametrize("arch", ["resnet10", "wrn16"])
def test_true_relevance_equals_finite_differences_at_every_layer(arch: str) -> None:
    model, (x, y) = tiny(arch=arch).double(), images(2)
    x = x.double()
    for layer in model.layers:
        torch.testing.assert_close(
            true(model, layer, x, y), finite_differences(model, layer, x, y, h=1e-7), atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("method", ["cas", "cifs"])
def test_true_relevance_goes_through_the_importance_maps(method: str) -> None:
    """f includes the maps of the layers above. They are made in float32, so the differences are coarse; the step must
    be too small to change the classes assessed, where f jumps."""
    imgf = {"name": "softplus"} if method == "cifs" else None
    model, (x, y) = tiny(method, imgf=imgf).double(), images(2)
    x = x.double()
    for layer in ("layer3.0", "layer4.0"):
        found, expected = true(model, layer, x, y), finite_differences(model, layer, x, y, h=1e-4)
        assert (found - expected).norm() < 0.01 * expected.norm()


@OURS
def test_true_relevance_equals_captums_layer_gradient(arch: str, method: str) -> None:
    """Of the model as it is attacked by default where it has no MLP probe; Captum knows nothing of attached maps."""
    sites = {} if method == "plain" else {"sites": [{"layer": tiny(arch=arch).layers[-1], "probe": {"name": "linear"}}]}
    model, (x, y) = tiny(method, arch=arch, **sites), images(3)
    for layer in model.layers:
        torch.testing.assert_close(true(model, layer, x, y), layer_gradient(model, layer, x, y), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layer", ["conv1", "layer1.0", "layer2.1.conv2", "layer3.0", "layer4.1"])
def test_true_relevance_of_a_torchvision_model_equals_captums(resnet18: nn.Module, layer: str) -> None:
    x, y = images(2, size=32)
    found = true(resnet18, layer, x, y)
    torch.testing.assert_close(found, layer_gradient(resnet18, layer, x, y), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layer", ["conv1", "layer4.0.conv2"])
def test_relevance_times_activation_is_captums_gradient_x_activation(resnet18: nn.Module, layer: str) -> None:
    """Where features do not vanish, Captum's public method gives back the gradient at every position."""
    x, y = images(2, size=32)
    product = LayerGradientXActivation(resnet18, resnet18.get_submodule(layer)).attribute(x, target=y)
    with torch.no_grad(), capture(resnet18, layer) as captured:
        resnet18(x)
    assert (captured.features != 0).all()
    torch.testing.assert_close(
        true(resnet18, layer, x, y), (product / captured.features).sum(dim=(2, 3)), atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("layer", ["bn1", "layer1.0.bn1", "layer1.0.bn2"])
def test_layers_that_work_in_place_do_not_disturb_what_is_below_them(resnet18: nn.Module, layer: str) -> None:
    x, y = images(2, size=32)
    twin = copy.deepcopy(resnet18)
    for module in twin.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    features = []
    for model in (resnet18, twin):
        with torch.no_grad(), capture(model, layer) as captured:
            model(x)
        features.append(captured.features)
    assert (features[1] < 0).any()
    assert torch.equal(*features) or layer == "layer1.0.bn2"  # `out += identity` is in place in either
    assert (features[0] < 0).any()
    found = true(resnet18, layer, x, y)
    assert math.isfinite(float(found.sum()))
    if layer != "layer1.0.bn2":
        torch.testing.assert_close(found, layer_gradient(twin, layer, x, y), atol=1e-5, rtol=1e-4)


def test_of_a_layer_that_runs_twice_the_last_pass_counts(resnet18: nn.Module) -> None:
    x, y = images(2, size=32)
    torch.testing.assert_close(true(resnet18, "layer4.1.relu", x, y), resnet18.fc.weight[y])


def test_relevance_leaves_no_gradient_and_no_changed_flag_or_mode() -> None:
    model, (x, y) = tiny("cifs").train(), images(3)
    model.fc.weight.requires_grad_(False)
    model.get_submodule("layer1").eval()
    flags = [p.requires_grad for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    for layer in model.modified:
        for relevance in (RELEVANCES[name]() for name in RELEVANCES):
            relevance(model, layer, x, y)
    assert [p.requires_grad for p in model.parameters()] == flags
    assert [module.training for module in model.modules()] == modes
    assert not any(model.selector(layer).attached for layer in model.modified)
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("arch", ["resnet10", "wrn16"])
def test_assessed_relevance_of_the_raw_prediction_is_what_the_trace_reports(arch: str) -> None:
    model, (x, _) = tiny("cifs", arch=arch, k=2), images(8)
    for layer, selection in model.trace(x).layers.items():
        first = selection.raw_prediction.argmax(dim=1)
        found = RELEVANCES["assessed"](k=2)(model, layer, x, first)
        torch.testing.assert_close(found, selection.relevance, atol=1e-6, rtol=1e-5)


def test_assessed_relevance_asks_the_class_first_and_the_probes_largest_after_it() -> None:
    model, (x, y) = tiny("cifs"), images(8)
    selection = model.trace(x).layers["layer4.0"]
    rows = model.selector("layer4.0").probe.output.weight
    expected = []
    for p, label in zip(selection.raw_prediction.tolist(), y.tolist(), strict=True):
        others = sorted((c for c in range(K) if c != label), key=lambda c: -p[c])
        expected.append(rows[label] + rows[others[0]] + rows[others[1]])
    torch.testing.assert_close(RELEVANCES["assessed"](k=3)(model, "layer4.0", x, y), torch.stack(expected))


def test_assessed_relevance_needs_a_probe_and_says_where_there_are_some(resnet18: nn.Module) -> None:
    x, y = images(2)
    with pytest.raises(InvalidParameter, match=r"'layer1\.0' has no probe.*layer3\.0, layer4\.0"):
        RELEVANCES["assessed"]()(tiny("cifs"), "layer1.0", x, y)
    for model in (tiny(), resnet18):
        with pytest.raises(InvalidParameter, match="no layer"):
            RELEVANCES["assessed"]()(model, "layer1.0", x, y)


def test_assessing_more_classes_than_there_are_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="k = 11: the model has 10 classes"):
        RELEVANCES["assessed"](k=11)(tiny("cifs"), "layer4.0", *images(2))


@pytest.mark.parametrize("name", RELEVANCES)
def test_an_unknown_layer_is_refused(name: str) -> None:
    model: CNN = tiny("cifs")
    with pytest.raises((UnknownName, InvalidParameter), match="'layer7'"):
        RELEVANCES[name]()(model, "layer7", *images(2))
