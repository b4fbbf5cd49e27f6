"""Networks made to deceive: weak, or no network at all, and hard to attack."""

import torch
from torch import Tensor, nn

from tests.cifs.learned import learned


class Saturated(nn.Module):
    """Huge logits: where it is sure cross-entropy has no gradient left; the margin has."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = learned()

    def forward(self, x: Tensor) -> Tensor:
        return 1e4 * self.inner(x)


class Quantised(nn.Module):
    """Rounds its activations: gradients are zero, and the network is as weak as ever."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = learned()

    def forward(self, x: Tensor) -> Tensor:
        features = self.inner[:4](x)
        return self.inner[4:]((8 * features).round() / 8)


class Shattered(nn.Module):
    """Adds a ripple far finer than any step: the gradient says nothing about where the logits go."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = learned()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + 0.002 * torch.sin(2e4 * x))


class Noisy(nn.Module):
    """Never the same answer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = learned()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + 0.1 * torch.randn_like(x))


class Crowded(nn.Module):
    """Normalises by the batch an image is in."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = learned()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x - x.mean(dim=0) + 0.3)


class WinnersOnly(nn.Module):
    """k-WTA: of every layer's activations only the largest tenth goes on (arXiv 1905.10510)."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = learned()

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.inner[:1], self.inner[2:3]
        return self.inner[4:](winners(second(winners(first(x)))))


def winners(z: Tensor, share: float = 0.1) -> Tensor:
    flat = z.flatten(1)
    least = flat.topk(max(int(share * flat.shape[1]), 1), dim=1).values[:, -1:]
    return (flat * (flat >= least)).view_as(z)


class Detached(nn.Module):
    """Bright pixels are masked by how bright they are, and no gradient is told: brighter is darker above 0.8."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = learned()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x * (10 * (1 - x)).sigmoid().detach())
