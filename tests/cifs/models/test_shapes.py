"""Shapes of a network that holds no numbers."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from cifs.models import MODELS, build
from cifs.models.shapes import Pair, ShapesOfConvolutions
from cifs.zoo import shapes_of


@pytest.mark.parametrize("image_size", [28, (32, 48)])
@pytest.mark.parametrize("arch", MODELS)
def test_they_are_those_of_one_that_does(arch: str, image_size: int | tuple[int, int]) -> None:
    with torch.device("meta"):
        empty = build(arch, width=4, image_size=image_size)
    full = build(arch, width=4, image_size=image_size)
    assert empty.shapes == full.shapes
    assert all(tensor.is_meta for tensor in empty.state_dict().values())


@pytest.mark.parametrize("arch", ["torchvision:regnet_y_400mf", "torchvision:mobilenet_v3_small"])
def test_of_another_librarys_network_too(arch: str) -> None:
    full = build(arch, width=None, image_size=64).state_dict()
    assert shapes_of({"arch": arch, "width": None, "image_size": 64}) == {
        name: tuple(tensor.shape) for name, tensor in full.items()
    }


pairs = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)), stride=pairs, padding=pairs, dilation=pairs)
def test_of_a_convolution_it_is_that_of_what_it_puts_out(
    kernel: tuple[int, int], stride: Pair, padding: Pair, dilation: Pair
) -> None:
    x, weight = torch.zeros(2, 3, 13, 11), torch.zeros(5, 3, *kernel)
    expected = F.conv2d(x, weight, None, stride, padding, dilation).shape
    with ShapesOfConvolutions():
        assert F.conv2d(x, weight, None, stride, padding, dilation).shape == expected


def test_of_one_that_keeps_the_size_too() -> None:
    with ShapesOfConvolutions():
        assert F.conv2d(torch.zeros(2, 3, 13, 11), torch.zeros(5, 3, 3, 3), padding="same").shape == (2, 5, 13, 11)


def test_to_load_a_model_does_not_import_the_compiler() -> None:
    code = (
        "import sys; from pathlib import Path; from cifs.zoo import Zoo; "
        "Zoo(Path('checkpoints')).entry('fmnist-resnet10-w16-cifs-softmax').load(); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
