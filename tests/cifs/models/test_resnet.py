"""Our ResNets against torchvision's, weight for weight."""

import pytest
import torch
import torchvision
from torch import nn

from cifs.errors import InvalidParameter, UnknownName
from cifs.models import ResNet, build
from cifs.models.folding import folded
from tests.cifs.tiny import images, liven


def torchvision_twin(model: ResNet, blocks: list[int]) -> nn.Module:
    """torchvision's ResNet of 64 channels with a 3×3 stem and no pooling, carrying the weights of `model`."""
    twin = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, blocks, num_classes=10)
    twin.conv1, twin.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    renamed = {
        name.replace("stem.0", "conv1").replace("stem.1", "bn1").replace("shortcut", "downsample"): tensor
        for name, tensor in model.state_dict().items()
    }
    twin.load_state_dict(renamed)
    return twin


@pytest.mark.parametrize(
    ("arch", "blocks"), [("resnet10", [1, 1, 1, 1]), ("resnet18", [2, 2, 2, 2]), ("resnet34", [3, 4, 6, 3])]
)
def test_logits_and_gradients_equal_torchvisions(arch: str, blocks: list[int]) -> None:
    model = build(arch)
    assert isinstance(model, ResNet)
    liven(model)
    x, _ = images(2, size=16)
    x.requires_grad_()
    mine, its = model.eval()(x), torchvision_twin(model, blocks).eval()(x)
    torch.testing.assert_close(mine, its, atol=1e-5, rtol=1e-4)
    gradients = (torch.autograd.grad(logits.square().sum(), x)[0] for logits in (mine, its))
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-3)


def test_resnet18_has_the_known_number_of_parameters() -> None:
    # as github.com/kuangliu/pytorch-cifar, the ResNet-18 of the CIFS and CAS papers
    assert sum(p.numel() for p in build("resnet18", image_size=8).parameters()) == 11_173_962


def test_resnet18_puts_out_the_known_shapes_on_cifar() -> None:
    from cifs.models import layer_shapes

    shapes = layer_shapes(build("resnet18"))
    assert list(shapes) == [
        "stem",
        "layer1.0",
        "layer1.1",
        "layer2.0",
        "layer2.1",
        "layer3.0",
        "layer3.1",
        "layer4.0",
        "layer4.1",
    ]
    assert [shapes[name] for name in ("stem", "layer1.1", "layer2.0", "layer3.1", "layer4.1")] == [
        (64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4),
    ]  # fmt: skip


def test_silu_takes_the_place_of_every_relu_and_folds() -> None:
    model = build("resnet10", width=4, activation="silu").eval()
    kinds = [type(module) for module in model.modules()]
    assert nn.ReLU not in kinds
    assert kinds.count(nn.SiLU) == 9
    x = torch.rand(2, 3, 32, 32)
    twin = folded(model, x)
    assert twin is not model
    torch.testing.assert_close(twin(x), model(x), atol=1e-4, rtol=1e-4)
    assert build(**model.config).config["activation"] == "silu"


def test_a_relu_is_not_said_so_that_digests_of_earlier_configurations_hold() -> None:
    assert "activation" not in build("resnet10", width=4).config


@pytest.mark.parametrize(("arch", "activation"), [("wrn16", "silu"), ("resnet10", "gelu")])
def test_an_activation_that_cannot_be_had_is_named(arch: str, activation: str) -> None:
    with pytest.raises((InvalidParameter, UnknownName), match=activation):
        build(arch, width=16, activation=activation)


def test_why_no_network_can_be_made_is_said_in_one_line_and_without_the_libraries_paths() -> None:
    with pytest.raises(InvalidParameter, match="no resnet10 can be made with image_size") as refused:
        build("resnet10", image_size=10**21)
    assert "\n" not in str(refused.value)
    assert ".so" not in str(refused.value)


@pytest.mark.parametrize("arch", ["resnet10", "wrn16"])
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("width", None), ("width", 2.5), ("width", float("nan")), ("num_classes", 1.5), ("num_classes", 10**13),
        ("in_channels", "3"), ("image_size", "32"), ("image_size", []), ("image_size", [32]), ("mean", ["a", "b", "c"]),
        ("std", [[1], [1, 2], [3]]),
    ],
)  # fmt: skip
def test_a_value_of_no_network_is_named(arch: str, option: str, value: object) -> None:
    with pytest.raises(InvalidParameter, match=option):
        build(arch, **{"width": 4, option: value})
