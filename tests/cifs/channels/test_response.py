"""Responses against attacks one by one; receptive fields against the arithmetic of convolutions."""

import pytest
import torch
from torch import nn

from cifs.attacks import PGD, perturb
from cifs.channels import RELEVANCES, view
from cifs.channels.receptive_field import receptive_field
from cifs.channels.response import response
from tests.cifs.tiny import images, tiny


def test_at_every_budget_the_response_is_a_view_of_the_attacked_images() -> None:
    model, (x, y) = tiny("cifs"), images(3)
    found = response(model, "layer3.0", x, y, PGD(steps=3), [0.0, 0.05, 0.1])
    for e, eps in enumerate(found.eps):
        x_adv = perturb(model, x, y, PGD(eps=eps, steps=3))
        seen = view(model, "layer3.0", x_adv, relevance=RELEVANCES["true"](), classes=y)
        torch.testing.assert_close(found.activation[e], seen.activation)
        torch.testing.assert_close(found.relevance[e], seen.relevance)
        assert torch.equal(found.predictions[e], seen.logits.argmax(dim=1))


@pytest.mark.parametrize(("kernel", "padding", "size"), [(3, 1, 3), (5, 2, 5)])
def test_one_convolution_sees_its_kernel(kernel: int, padding: int, size: int) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, kernel, padding=padding), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.ones_(model[0].weight)
    x = torch.zeros(1, 1, 15, 15)
    x[0, 0, 7, 7] = 1  # every position whose kernel covers it is equally strong: the first one counts
    field = receptive_field(model, "0", x, 0)
    assert (field.bottom - field.top, field.right - field.left) == (size, size)
    half = size // 2
    assert field.position == (7 - half, 7 - half)
    assert (field.top, field.left) == (7 - 2 * half, 7 - 2 * half)


def test_two_strided_convolutions_see_what_arithmetic_says() -> None:
    """3 + (3 − 1) · 2 = 7 pixels a side."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2), nn.Conv2d(2, 1, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    for module in model[:2]:
        nn.init.ones_(module.weight)
    x = torch.zeros(1, 1, 31, 31)
    x[0, 0, 15, 15] = 1
    field = receptive_field(model, "1", x, 0)
    assert (field.bottom - field.top, field.right - field.left) == (7, 7)


def test_a_silent_channel_sees_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.constant_(model[0].bias, -100.0)
    field = receptive_field(model, "1", torch.rand(1, 1, 9, 9), 0)
    assert (field.top, field.left, field.bottom, field.right) == (0, 0, 0, 0)
