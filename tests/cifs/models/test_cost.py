"""What a forward pass costs, against the formula of every layer."""

import pytest
import torch
from torch import Tensor, nn

from cifs.models import build
from cifs.models.cost import multiply_adds


@pytest.mark.parametrize("arch", ["resnet10", "resnet18"])
def test_multiply_adds_are_those_of_every_convolution_and_of_the_head(arch: str) -> None:
    model = build(arch, width=4, in_channels=3, image_size=32).eval()
    expected = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal expected
        if isinstance(module, nn.Conv2d):  # for each output value one multiplication a weight of its channel
            expected += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            expected += output.numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    model(torch.zeros(1, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    assert multiply_adds(model) == expected > 0
