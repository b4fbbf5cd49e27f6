"""Augmentations equal a loop over images, and use every choice there is."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from cifs.data import random_crop, random_flip


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(seed=st.integers(0, 2**31), padding=st.integers(1, 5), n=st.integers(1, 6))
def test_every_crop_is_a_window_of_its_own_padded_image(seed: int, padding: int, n: int) -> None:
    x = torch.rand(n, 2, 6, 9, generator=seeded(seed))
    cropped = random_crop(x, padding, seeded(seed))
    assert cropped.shape == x.shape
    for image, crop in zip(x, cropped, strict=True):
        padded = F.pad(image, (padding,) * 4)
        windows = [padded[:, t : t + 6, s : s + 9] for t in range(2 * padding + 1) for s in range(2 * padding + 1)]
        assert any(torch.equal(window, crop) for window in windows)


def test_crops_equal_a_loop_over_images_with_the_same_random_numbers() -> None:
    x, padding = torch.rand(50, 3, 8, 8), 2
    top, left = torch.randint(0, 5, (2, 50, 1), generator=seeded(7))[..., 0].tolist()
    expected = []
    for image, t, s in zip(x, top, left, strict=True):
        padded = torch.zeros(3, 12, 12)
        padded[:, 2:10, 2:10] = image
        expected.append(padded[:, t : t + 8, s : s + 8])
    assert torch.equal(random_crop(x, padding, seeded(7)), torch.stack(expected))
    assert set(top) == set(left) == {0, 1, 2, 3, 4}


def test_without_padding_nothing_is_cropped() -> None:
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(random_crop(x, 0, seeded(0)), x)


def test_flips_equal_a_loop_over_images_with_the_same_random_numbers() -> None:
    x = torch.rand(50, 3, 4, 8)
    mirrored = (torch.rand(50, generator=seeded(3)) < 0.5).tolist()
    expected = [
        torch.stack([image[:, :, 7 - s] for s in range(8)], dim=2) if m else image
        for image, m in zip(x, mirrored, strict=True)
    ]
    assert torch.equal(random_flip(x, seeded(3)), torch.stack(expected))


@pytest.mark.parametrize("seed", [0, 1])
def test_about_half_of_the_images_are_flipped(seed: int) -> None:
    x = torch.arange(2.0).expand(4000, 1, 1, 2)
    flipped = (random_flip(x, seeded(seed))[:, 0, 0, 0] == 1).float().mean()
    assert 0.46 < float(flipped) < 0.54
