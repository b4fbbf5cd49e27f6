"""Annealed: ascent whose step falls from 2ε to nothing along half a cosine, with APGD's inertia.

APGD (arXiv 2003.01690) halves a step once several have not helped, so a short run of it ends with steps that are still
large. Here every run, however short, crosses the ball first and settles last.
"""

from functools import partial
from math import cos, pi
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from cifs.attacks.apgd import APGD, Ascent, Targeted
from cifs.attacks.attack import ATTACKS, Run, Start
from cifs.losses import LOSSES, Loss, margin_to
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
class AnnealedT(Annealed):
    """Annealed, targeted: on the margin to one other class, one run for each of the likeliest wrong classes."""

    targets: int = Field(default=9, ge=1, le=1000, description="likeliest wrong classes, a run each; as many as are")
    target: Literal[None] = Field(default=None, description="any wrong class is a success")
    loss: Literal["margin"] = Field(default="margin", description="what is maximised: the margin to that class")

    @property
    def runs(self) -> int:
        return self.targets * self.restarts

    @property
    def factors(self) -> dict[str, int]:
        return {**super().factors, "targets": self.targets}

    def begin(self, start: Start) -> Targeted | None:
        rivals = self.rank(start) if start.rivals is None else start.rivals[start.todo]
        if rivals is None:
            return None
        sizes = self.first_steps(start)
        return Targeted(*self.rows(start), step_size=sizes, interval=self.first_interval, rivals=rivals)

    def rank(self, start: Start) -> Tensor | None:
        """The class each image is pushed towards in this run, (M,): the likeliest first; None: there are no more."""
        rank, todo = start.number // self.restarts, start.todo
        with torch.no_grad():
            others = start.model(start.x[todo]).scatter(1, start.goal[todo, None], -torch.inf)
        return others.argsort(dim=1, descending=True)[:, rank] if rank < others.shape[1] - 1 else None

    def loss_of(self, run: Run) -> Loss:
        assert isinstance(run, Targeted)
        return partial(margin_to, rivals=run.rivals)
