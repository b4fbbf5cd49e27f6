"""Which images withstand an attack: the one form in which outcomes are kept, counted and compared."""

import numpy as np
import torch
from torch import Tensor

from cifs.evaluation.interval import wilson


def pack(robust: Tensor) -> str:
    """(N,) bool → hexadecimal, eight images a byte: which images an attack left standing, for paired tests."""
    return np.packbits(robust.numpy()).tobytes().hex()


def unpack(text: str, n: int) -> Tensor:
    """The inverse of `pack`: (n,) bool."""
    return torch.from_numpy(np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=n).astype(bool))


def accuracy(standing: Tensor) -> dict[str, float]:
    """Accuracy of outcomes (N,) bool with its 95 % Wilson interval."""
    correct, n = int(standing.sum()), len(standing)
    low, high = wilson(correct, n)
    return {"accuracy": correct / n, "low": low, "high": high, "correct": correct}


def percent(standing: Tensor) -> str:
    return f"{100 * float(standing.double().mean()):.1f} %"
