"""Norms: what it means that x' is within ε of x. A norm owns the start, the step and the way back into its ball.

A new norm is one class here. Perturbations δ = x' − x are (N, C, H, W); all is per image.
"""

from typing import Protocol

import torch
from torch import Tensor

from cifs.registry import Registry


class Norm(Protocol):
    @staticmethod
    def size(delta: Tensor) -> Tensor:
        """‖δ‖, (N,)."""
        ...

    @staticmethod
    def noise(x: Tensor, random: torch.Generator) -> Tensor:
        """A random point of the unit ball for every image, as x (N, C, H, W); drawn on the CPU."""
        ...

    @staticmethod
    def steepest(gradient: Tensor) -> Tensor:
        """The direction of size 1 along which a loss of this gradient rises fastest; 0 where the gradient is 0."""
        ...

    @staticmethod
    def project(delta: Tensor, eps: float) -> Tensor:
        """The nearest point of the ball of radius ε."""
        ...


NORMS: Registry[type[Norm]] = Registry("norm")


@NORMS.register("linf")
class Linf:
    """ℓ∞: no pixel moves further than ε."""

    @staticmethod
    def size(delta: Tensor) -> Tensor:
        return delta.abs().amax(dim=(1, 2, 3))

    @staticmethod
    def noise(x: Tensor, random: torch.Generator) -> Tensor:
        return torch.rand(x.shape, generator=random).to(x.device) * 2 - 1

    @staticmethod
    def steepest(gradient: Tensor) -> Tensor:
        return gradient.sign()

    @staticmethod
    def project(delta: Tensor, eps: float) -> Tensor:
        return delta.clamp(-eps, eps)


@NORMS.register("l2")
class L2:
    """ℓ2: the root of the sum of all squared changes is at most ε."""

    @staticmethod
    def size(delta: Tensor) -> Tensor:
        return delta.flatten(1).norm(dim=1)

    @staticmethod
    def noise(x: Tensor, random: torch.Generator) -> Tensor:
        """Uniform in the ball: a uniform direction, and as most of its volume is far out, a radius of u^(1/d)."""
        direction = torch.randn(x.shape, generator=random)
        radius = torch.rand(len(x), generator=random) ** (1 / max(x[:1].numel(), 1))
        return (L2.steepest(direction) * per_image(radius)).to(x.device)

    @staticmethod
    def steepest(gradient: Tensor) -> Tensor:
        # By the largest value first, for the squares of a saturated model's gradients would be 0 in float32.
        tiny = torch.finfo(gradient.dtype).tiny
        scaled = gradient / gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=tiny)
        return scaled / per_image(L2.size(scaled)).clamp(min=tiny)

    @staticmethod
    def project(delta: Tensor, eps: float) -> Tensor:
        size = per_image(L2.size(delta))
        return delta * (eps / size.clamp(min=torch.finfo(delta.dtype).tiny)).clamp(max=1)


def per_image(values: Tensor) -> Tensor:
    """(N,) → (N, 1, 1, 1)"""
    return values[:, None, None, None]


def within(x: Tensor, x_adv: Tensor, norm: str, eps: float) -> Tensor:
    """x' brought back into the ball around x, and into [0, 1]."""
    return (x + NORMS[norm].project(x_adv - x, eps)).clamp(0, 1)
