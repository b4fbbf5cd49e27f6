"""Models, images and data sets as small as they go, and none of them trivial."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cifs.models import CNN, MODELS, build

K = 10  # classes
METHODS = ("plain", "cas", "cifs")
SMALLEST = {arch: 2 if arch.startswith("wrn") else 4 for arch in MODELS}  # widths


def liven(model: nn.Module, seed: int = 0, scale: float = 1.0) -> None:
    """Random batch-norm statistics and probes, so that eval mode and importance maps have something to say."""
    random = torch.Generator().manual_seed(seed)
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(0.3 * torch.randn(shape, generator=random))
            module.running_var.copy_(0.5 + torch.rand(shape, generator=random))
            module.weight.data.copy_(0.7 + 0.6 * torch.rand(shape, generator=random))
            module.bias.data.copy_(0.3 * torch.randn(shape, generator=random))
        elif isinstance(module, nn.Linear) and "probe" in name:
            module.weight.data.copy_(
                scale * torch.randn(module.weight.shape, generator=random) / module.in_features**0.5
            )
            module.bias.data.copy_(scale * torch.randn(module.bias.shape, generator=random))


@torch.no_grad()
def balance(model: CNN) -> None:
    """Shifts the biases of probes and head: different images get different predictions, and small steps change them."""
    x = torch.rand(64, *model.image_shape, generator=torch.Generator().manual_seed(1))
    for layer in model.modified:
        model.selector(layer).probe.output.bias -= model.trace(x).layers[layer].raw_prediction.mean(dim=0)
    model.fc.bias -= model(x).mean(dim=0)


def tiny(method: str = "plain", *, arch: str = "resnet10", size: int = 8, seed: int = 0, **options: Any) -> CNN:
    """A model in eval mode with weights of this seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        defaults = {"width": SMALLEST.get(arch, 4), "image_size": size, "method": method}
        if method == "cifs":
            defaults["imgf"] = {"name": "softmax", "per_channel": True}
        model = build(arch, **{**defaults, **options})
    liven(model, seed)
    balance(model.eval())
    return model


def fingerprint(tensor: Tensor) -> str:
    """Of its bytes: what two tensors share only if they are equal bit for bit, and what a failed test can print."""
    return sha256(tensor.detach().contiguous().numpy().tobytes()).hexdigest()[:16]


def images(n: int = 4, *, size: int = 8, channels: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """x (n, channels, size, size) in [0, 1], y (n,)"""
    random = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, size, size, generator=random), torch.randint(K, (n,), generator=random)


def npz(folder: Path, name: str = "tiny", *, train: int = 96, test: int = 12, size: int = 8, **changed: Any) -> Path:
    """Three classes told apart by brightness, in the MedMNIST layout; `changed` replaces arrays, None drops them."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, n in (("train", train), ("test", test)):
        labels = np.arange(n) % 3
        noise = random.integers(0, 80, (n, size, size, 3))
        arrays[f"{split}_images"] = (noise + 80 * labels[:, None, None, None]).astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    arrays |= changed
    path = folder / f"{name}.npz"
    np.savez_compressed(path, **{key: array for key, array in arrays.items() if array is not None})
    return path
