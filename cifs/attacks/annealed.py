"""Annealed: ascent whose step falls from 2ε to nothing along half a cosine, with APGD's inertia.

APGD (arXiv 2003.01690) halves a step once several have not helped, so a short run of it ends with steps that are still
large. Here every run, however short, crosses the ball first and settles last.
"""

from math import cos, pi
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from cifs.attacks.apgd import APGD, APGDTargets, Ascent
from cifs.attacks.attack import ATTACKS, Run
from cifs.losses import LOSSES, margin_to
from cifs.registry import Named, settings


@ATTACKS.register("annealed")
@settings
class Annealed(APGD):
    """Annealed: ascent with steps that fall from 2ε to 0 along half a cosine, on any loss."""

    steps: int = Field(default=30, ge=1, le=10_000, description="gradient steps")
    loss: Annotated[str, Named(LOSSES)] = Field(default="margin", description="what is maximised")

    def advance(self, run: Run, gradient: Tensor, loss: Tensor) -> None:
        assert isinstance(run, Ascent)
        size = self.alpha * (1 + cos(pi * run.taken / self.steps)) / 2
        run.step_size = torch.full_like(run.step_size, size)
        self._step(run, gradient)


@ATTACKS.register("annealed_t")
@settings
class AnnealedT(Annealed, APGDTargets):
    """Annealed, targeted: on the margin to one other class, one run for each of the likeliest wrong classes."""

    target: Literal[None] = Field(default=None, description="any wrong class is a success")
    loss: Literal["margin"] = Field(default="margin", description="what is maximised: the margin to that class")

    def loss_to(self, logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
        return margin_to(logits, labels, rivals)
