"""APGD: gradient ascent that chooses its own step size (Croce & Hein, arXiv 2003.01690), here adaptive to probes too.

A step carries on a quarter of the last one. At checkpoints that come ever closer an image's step is halved, and its run
goes back to the best iterate, if at most 3/4 of the steps since raised the loss, or if the best has not become better.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from cifs.attacks.attack import ATTACKS, Budget, Run, Start
from cifs.attacks.norms import NORMS, per_image, within
from cifs.attacks.pgd import PGD
from cifs.losses import Loss, dlr_targeted
from cifs.registry import settings

INERTIA = 0.25  # share of the last step in the next
RISING = 0.75  # ρ: share of steps that must raise the loss for the step to stay as it is


@dataclass(kw_only=True)
class Ascent(Run):
    """What APGD remembers."""

    step_size: Tensor  # (M,)
    interval: int  # steps to the next checkpoint
    previous: Tensor = field(init=False)  # (M, C, H, W) the iterate before
    best_gradient: Tensor = field(init=False)  # (M, C, H, W) at `best`
    last: Tensor = field(init=False)  # (M,) the loss before; 0 at first, as the authors' code has it
    rises: Tensor = field(init=False)  # (M,) int, steps since the checkpoint that raised the loss
    reached: Tensor = field(init=False)  # (M,) the highest loss at the checkpoint
    halved: Tensor = field(init=False)  # (M,) bool, whether the step was halved at the checkpoint
    taken: int = 0  # steps
    since: int = 0  # steps since the checkpoint

    def __post_init__(self) -> None:
        super().__post_init__()
        self.previous, self.best_gradient = self.x_adv, torch.zeros_like(self.x_adv)
        self.last, self.reached = torch.zeros_like(self.highest), torch.zeros_like(self.highest)
        self.rises, self.halved = torch.zeros_like(self.goal), torch.ones_like(self.improved)


@settings
class APGD(PGD):
    """What the three have in common."""

    steps: int = Field(default=100, ge=1, le=10_000, description="gradient steps")
    step_size: Budget | None = Field(default=None, description="α: how far the first step goes; default 2ε")
    random_start: bool = Field(default=True, description="start from a uniformly random point of the ε-ball")
    keep: Literal["best"] = Field(default="best", description="the iterate of largest loss is returned")

    @property
    def alpha(self) -> float:
        return 2 * self.eps if self.step_size is None else self.step_size

    def begin(self, start: Start) -> Ascent | None:
        return Ascent(*self.rows(start), step_size=self.first_steps(start), interval=self.first_interval)

    def first_steps(self, start: Start) -> Tensor:
        """(M,)"""
        return torch.full((len(start.todo),), self.alpha, device=start.x.device)

    @property
    def first_interval(self) -> int:
        return max(int(0.22 * self.steps), 1)

    def advance(self, run: Run, gradient: Tensor, loss: Tensor) -> None:
        assert isinstance(run, Ascent)
        run.best_gradient = torch.where(per_image(run.improved), gradient, run.best_gradient)
        if run.taken == 0:
            run.reached = loss
        else:
            run.rises += loss > run.last
            run.last = loss
            run.since += 1
        if run.since == run.interval:
            gradient = self._check(run, gradient)
        self._step(run, gradient)

    def _check(self, run: Ascent, gradient: Tensor) -> Tensor:
        """The gradient to go on with: at the best iterate, where the step is halved."""
        stuck = (run.rises <= RISING * run.interval) | (~run.halved & (run.reached >= run.highest))
        run.step_size = torch.where(stuck, run.step_size / 2, run.step_size)
        run.x_adv = torch.where(per_image(stuck), run.best, run.x_adv)
        run.halved, run.reached, run.rises = stuck, run.highest, torch.zeros_like(run.rises)
        run.since, run.interval = 0, max(run.interval - max(int(0.03 * self.steps), 1), int(0.06 * self.steps), 1)
        return torch.where(per_image(stuck), run.best_gradient, gradient)

    def _step(self, run: Ascent, gradient: Tensor) -> None:
        inertia = INERTIA if run.taken else 0.0
        ahead = run.x_adv + per_image(run.step_size) * NORMS[self.norm].steepest(gradient)
        ahead = within(run.x, ahead, self.norm, self.eps)
        moved = run.x_adv + (1 - inertia) * (ahead - run.x_adv) + inertia * (run.x_adv - run.previous)
        run.previous, run.x_adv = run.x_adv, within(run.x, moved, self.norm, self.eps)
        run.taken += 1


@ATTACKS.register("apgd_ce")
@settings
class APGDCE(APGD):
    """APGD-CE: steps of a size it chooses itself, on cross-entropy (arXiv 2003.01690)."""

    loss: Literal["ce"] = Field(default="ce", description="what is maximised: cross-entropy")


@ATTACKS.register("apgd_dlr")
@settings
class APGDDLR(APGD):
    """APGD-DLR: steps of a size it chooses itself, on the difference of logits ratio (arXiv 2003.01690)."""

    loss: Literal["dlr"] = Field(default="dlr", description="what is maximised: the difference of logits ratio")


@dataclass(kw_only=True)
class Targeted(Ascent):
    rivals: Tensor  # (M,) the class this run pushes towards


@settings
class APGDTargets(APGD):
    """What attacks that push towards one other class at a time have in common: a run for each of the likeliest."""

    targets: int = Field(default=9, ge=1, le=1000, description="likeliest wrong classes, a run each; as many as are")
    target: Literal[None] = Field(default=None, description="any wrong class is a success")

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
        return partial(self.loss_to, rivals=run.rivals)

    def loss_to(self, logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
        """What is maximised, (M,), of logits (M, K) and the class each image is pushed towards (M,)."""
        raise NotImplementedError


@ATTACKS.register("apgd_t")
@settings
class APGDT(APGDTargets):
    """APGD-T: on the targeted DLR loss, one run for each of the likeliest wrong classes (arXiv 2003.01690)."""

    loss: Literal["dlr_targeted"] = Field(
        default="dlr_targeted", description="what is maximised: the difference of logits ratio of label and target"
    )

    def loss_to(self, logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
        return dlr_targeted(logits, labels, rivals)
