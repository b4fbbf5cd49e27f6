"""The models that are measured, and their images."""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from cifs.data import load_images
from cifs.data.datasets import data_dir
from cifs.models import CNN
from cifs.zoo import Zoo

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
EMBEDDED = "fmnist-resnet10-w16-vanilla"
NARROW, WIDE = "cifar10-resnet18-w16-vanilla", "cifar10-resnet18-w64-vanilla"
DATA = {"fashion_mnist": "fashion_mnist_mini"}  # embedded: the first 2,000 test images


class Subject(NamedTuple):
    name: str
    model: CNN
    eps: float
    x: Tensor  # (N, C, H, W) in [0, 1]
    y: Tensor  # (N,)


def missing(name: str) -> str | None:
    """Why a model cannot be measured here. Nothing is downloaded."""
    if name not in Zoo(CHECKPOINTS).ids():
        return f"there is no checkpoints/{name}"
    if name.startswith("cifar10") and not (data_dir() / "cifar10.npz").exists():
        return f"there is no cifar10.npz in $CIFS_DATA ({data_dir()})"
    return None


def subject(name: str, n: int) -> Subject:
    """The model and the first n test images of its data set."""
    entry = Zoo(CHECKPOINTS).entry(name)
    assert entry.info.eps is not None
    data = DATA.get(entry.info.dataset, entry.info.dataset)
    x, y = load_images(data, "test")[:n].batch(slice(None))
    return Subject(name, entry.load(), entry.info.eps, x, y)


def any_subject(n: int) -> Subject:
    """The CIFAR-10 network where its images are there, else the one whose images are embedded."""
    return subject(EMBEDDED if missing(NARROW) else NARROW, n)
