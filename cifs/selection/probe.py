"""Probes A^l: auxiliary classifiers on pooled features, whose relevance has a closed form.

CIFS, arXiv 2102.05311, section 3.2. Both forms pool first, so raising every position of channel i by δ_i raises the
pooled feature by exactly δ_i, and g = ∇_δ Σ_{i ∈ classes} A(z + δ1ᵀ)[i] needs no autograd.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from cifs.registry import Registry, settings


class _Pool(torch.autograd.Function):
    """The mean over positions, with its gradient laid out as the features are.

    Autograd lays it out channels first, whatever the features' layout; the sum with other gradients of the same
    features, and all that is below, then runs on mixed layouts: a sixth of a CIFS network's training step.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.shape, ctx.stride = z.shape, z.stride()
        return z.mean(dim=(2, 3))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        height, width = ctx.shape[2:]
        spread: Tensor = (gradient / (height * width))[:, :, None, None].expand(ctx.shape)
        return spread.contiguous(memory_format=torch.channels_last if ctx.stride[1] == 1 else torch.contiguous_format)


def pool(z: Tensor) -> Tensor:
    """Activation a of every channel: (N, C, H, W) → (N, C)."""
    pooled: Tensor = _Pool.apply(z)
    return pooled


class LinearProbe(nn.Module):
    """A(z) = W·pool(z) + b."""

    relevance_depends_on_features = False

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.output = nn.Linear(channels, num_classes)

    def forward(self, z: Tensor) -> Tensor:
        return self.output(pool(z))

    def relevance(self, z: Tensor, classes: Tensor) -> Tensor:
        """g = Σ_i W[i]. z (N, C, H, W), classes (N, k) → (N, C)."""
        return self.relevance_of(z, self.output.weight[classes].sum(dim=1))

    def relevance_of(self, z: Tensor, row: Tensor) -> Tensor:
        """g of the score row·(what the last layer receives). z (N, C, H, W), row (N, C) → (N, C)."""
        return row


class MLPProbe(nn.Module):
    """A(z) = W·softplus_β(U·pool(z) + b) + c."""

    relevance_depends_on_features = True

    def __init__(self, channels: int, num_classes: int, *, hidden: int, sharpness: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels, hidden)
        self.softplus = nn.Softplus(beta=sharpness)
        self.output = nn.Linear(hidden, num_classes)
        self.sharpness = sharpness

    def forward(self, z: Tensor) -> Tensor:
        return self.output(self.softplus(self.hidden(pool(z))))

    def relevance(self, z: Tensor, classes: Tensor) -> Tensor:
        """g = ((Σ_i W[i]) ⊙ σ(β·(U·pool(z) + b)))·U. z (N, C, H, W), classes (N, k) → (N, C)."""
        return self.relevance_of(z, self.output.weight[classes].sum(dim=1))

    def relevance_of(self, z: Tensor, row: Tensor) -> Tensor:
        """g of the score row·(what the last layer receives). z (N, C, H, W), row (N, hidden) → (N, C)."""
        slope = (self.sharpness * self.hidden(pool(z))).sigmoid()  # derivative of softplus_β
        return (row * slope) @ self.hidden.weight


@settings
class Linear:
    """Linear probe on pooled features."""

    def build(self, channels: int, num_classes: int) -> LinearProbe:
        return LinearProbe(channels, num_classes)


@settings
class MLP:
    """Probe with one softplus hidden layer on pooled features."""

    hidden: int = Field(default=128, ge=1, le=8192, description="hidden units")
    sharpness: float = Field(default=5.0, gt=0, le=1000, description="β of the softplus")

    def build(self, channels: int, num_classes: int) -> MLPProbe:
        return MLPProbe(channels, num_classes, hidden=self.hidden, sharpness=self.sharpness)


Probe = LinearProbe | MLPProbe
PROBES: Registry[type[Linear] | type[MLP]] = Registry("probe")
PROBES.register("linear")(Linear)
PROBES.register("mlp")(MLP)


def autograd_relevance(probe: Probe, z: Tensor, classes: Tensor) -> Tensor:
    """The same g by its definition, ∇_δ Σ_i A(z + δ1ᵀ)[i] at δ = 0: the reference for the closed forms."""
    with torch.enable_grad():
        delta = z.new_zeros(z.shape[:2]).requires_grad_()
        score = probe(z.detach() + delta[:, :, None, None]).gather(1, classes).sum()
        return torch.autograd.grad(score, delta)[0]
