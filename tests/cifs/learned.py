"""A small classifier that has really learned something, in a second or two."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifs.data import Images, load_images

DATA = "fashion_mnist_mini"


@cache
def learned() -> nn.Sequential:
    """Two convolutions and a linear layer, trained on embedded images for 60 steps: about 70 % right."""
    images = load_images(DATA, "train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU(), nn.Flatten()
        ).append(nn.Linear(16 * 4 * 4, 10))
        optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
        for _ in range(60):
            x, y = images.batch(torch.randint(len(images), (64,)))
            optimiser.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimiser.step()
    return model.eval()


def first(n: int) -> tuple[Tensor, Tensor]:
    """The first n embedded test images: x (n, 1, 28, 28), y (n,)"""
    return load_images(DATA, "test").batch(torch.arange(n))


def first_images(n: int) -> Images:
    return load_images(DATA, "test")[:n]
