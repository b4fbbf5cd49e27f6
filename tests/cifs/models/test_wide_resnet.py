"""Wide ResNets against their published sizes, and the pre-activation block against its equation."""

import pytest
import torch
import torch.nn.functional as F

from cifs.models import build
from cifs.models.wide_resnet import PreActBlock
from tests.cifs.tiny import liven


def parameters(arch: str, k: int) -> int:
    return sum(p.numel() for p in build(arch, width=16 * k, image_size=8).parameters())


def test_wrn_28_10_has_the_known_number_of_parameters() -> None:
    assert parameters("wrn28", 10) == 36_479_194


@pytest.mark.parametrize(
    ("arch", "k", "millions"), [("wrn40", 1, 0.6), ("wrn40", 2, 2.2), ("wrn40", 4, 8.9), ("wrn16", 8, 11.0)]
)
def test_sizes_are_those_of_table_4_of_the_wrn_paper(arch: str, k: int, millions: float) -> None:
    assert round(parameters(arch, k) / 1e6, 1) == millions  # arXiv 1605.07146


@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(4, 4, 1), (4, 8, 1), (4, 8, 2)])
def test_the_block_is_the_equation_of_pre_activation(c_in: int, c_out: int, stride: int) -> None:
    block = PreActBlock(c_in, c_out, stride).eval()
    liven(block)
    x = torch.randn(2, c_in, 6, 6)

    def bn_relu(z: torch.Tensor, bn: torch.nn.BatchNorm2d) -> torch.Tensor:
        return F.relu(F.batch_norm(z, bn.running_mean, bn.running_var, bn.weight, bn.bias))

    def selected(z: torch.Tensor) -> torch.Tensor:
        return 2 * z

    h = bn_relu(x, block.preact1)
    residual = F.conv2d(
        bn_relu(F.conv2d(selected(h), block.conv1.weight, None, stride, 1), block.preact2),
        block.conv2.weight,
        None,
        1,
        1,
    )
    shortcut = x if block.shortcut is None else F.conv2d(h, block.shortcut.weight, None, stride)
    assert (block.shortcut is None) == (c_in == c_out and stride == 1)
    torch.testing.assert_close(block(x, selected), shortcut + residual)
