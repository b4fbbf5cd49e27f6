"""Importance map generating functions: relevance g (N, C) → importance m (N, C), monotone and non-negative.

CIFS, arXiv 2102.05311, section 3.3.
"""

from typing import Annotated, Protocol

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cifs.registry import Registry, settings


class IMGF(Protocol):
    def __call__(self, g: Tensor) -> Tensor: ...


IMGFS: Registry[type[IMGF]] = Registry("IMGF")

Positive = Annotated[float, Field(ge=1e-4, le=1e4)]  # beyond, float32 overflows


@IMGFS.register("softmax")
@settings
class Softmax:
    """softmax: m_i = scale · exp(g_i/T) / Σ_j exp(g_j/T).

    The m_i sum to `scale`, over hundreds of channels; with `per_channel` they sum to scale · n_C, so that 1 means
    "unchanged on average" and features keep their size.
    """

    temperature: Positive = Field(default=1.0, description="T: small sharpens the map, large flattens it")
    scale: Positive = Field(default=1.0, description="what the importances sum to (average to, with per_channel)")
    per_channel: bool = Field(default=False, description="multiply by the number of channels n_C")

    def __call__(self, g: Tensor) -> Tensor:
        m = self.scale * F.softmax(g / self.temperature, dim=1)
        return m * g.shape[1] if self.per_channel else m


@IMGFS.register("softplus")
@settings
class Softplus:
    """softplus: m_i = log(1 + exp(α g_i)) / α."""

    alpha: Positive = Field(default=5.0, description="α: large approaches max(g, 0)")

    def __call__(self, g: Tensor) -> Tensor:
        return F.softplus(g, beta=self.alpha)


@IMGFS.register("sigmoid")
@settings
class Sigmoid:
    """sigmoid: m_i = 1 / (1 + exp(−α g_i))."""

    alpha: Positive = Field(default=10.0, description="α: large approaches a step at g = 0")

    def __call__(self, g: Tensor) -> Tensor:
        return (self.alpha * g).sigmoid()
