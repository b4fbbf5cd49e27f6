"""Augmentations on whole batches of tensors, one random choice an image."""

import torch
import torch.nn.functional as F
from torch import Tensor


def random_crop(x: Tensor, padding: int, random: torch.Generator) -> Tensor:
    """Every image of x (N, C, H, W) padded by zeros and cut back to its size at a place of its own."""
    if padding == 0:
        return x
    n, _, h, w = x.shape
    top, left = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=random)
    rows = top + torch.arange(h)  # (N, H)
    columns = left + torch.arange(w)  # (N, W)
    padded = F.pad(x, (padding,) * 4)
    image = torch.arange(n)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_flip(x: Tensor, random: torch.Generator) -> Tensor:
    """Every image of x (N, C, H, W) mirrored left to right, or not, at even odds."""
    flip = torch.rand(len(x), generator=random) < 0.5
    return torch.where(flip[:, None, None, None], x.flip(3), x)
