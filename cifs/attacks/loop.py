"""The loop of every attack: from the natural images step by step to adversarial ones, or to who survives.

for each run, for each step:    look at the iterate → note it → drop who is fooled, if only success counts → advance
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.attacks.attack import ATTACKS, Attack, GradientAttack, Run, Start
from cifs.attacks.norms import per_image
from cifs.errors import InvalidParameter
from cifs.losses import cw_margin
from cifs.models import CNN
from cifs.models.folding import folded
from cifs.models.trace import refuse_copies, trace, unwrap
from cifs.modes import eval_mode, frozen
from cifs.precision import Precision, autocast, generator
from cifs.progress import Progress, Report, unreported
from cifs.selection import attached_importance

ROUNDING = 2**-6  # of the largest logit: what bf16 changes a margin by, and more; such images float32 looks at
WORTH_FOLDING = 200  # steps × images from which on it pays: folding costs about what it saves on so many


class Step(NamedTuple):
    """What an attack saw at one iterate; step 0 is the starting point."""

    step: int
    images: Tensor  # (M,) which of the batch; restarts are of those not fooled yet, and what came before is void
    loss: Tensor  # (M,) as maximised (of the target class when targeted: minimised)
    logits: Tensor  # (M, K)
    x: Tensor  # (M, C, H, W) the iterate


Record = Callable[[Step], None]


def perturb(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Attack,
    *,
    precision: Precision = "float32",
    record: Record | None = None,
    report: Report = unreported,
    random: torch.Generator | None = None,
) -> Tensor:
    """Adversarial images x' (N, C, H, W) for images x in [0, 1] and labels y (N,), within ε and [0, 1].

    The model runs in eval mode and every module is put back into the mode it was found in. Random starts are drawn
    from `random`, by default a generator of attack.seed. Under float32, and of a model found in training mode, the
    gradients are those of the model as it stands, bit for bit; else under bf16 of a copy with batch norm folded.
    Raises InvalidParameter for a target that is no class, CIFSError where the attack would not be adaptive because
    modified layers are hidden, and what `report` raises.
    """
    pursuit = Pursuit(unwrap(model), attack, precision, attack.stops_when_fooled, record, report)
    return pursuit.of(x, y, random).x_adv


def survives(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Attack,
    *,
    precision: Precision = "float32",
    report: Report = unreported,
) -> Tensor:
    """Whether each image withstands the attack, (N,) bool: no iterate of any run fools the model, in float32."""
    return fooled_at(model, x, y, attack, precision=precision, report=report) > attack.length


def fooled_at(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Attack,
    *,
    precision: Precision = "float32",
    report: Report = unreported,
) -> Tensor:
    """After how many steps each image first fools the model, (N,) int; attack.length + 1: never.

    For when only success counts: an image is dropped from the batch as soon as it is fooled, and is not started again
    (the figure is that of the first run to succeed). Under bf16 the gradients are approximate, and an image counts as
    fooled only once the model itself confirms it in float32.
    """
    return Pursuit(unwrap(model), attack, precision, True, None, report).of(x, y).at


def goal_of(model: nn.Module, y: Tensor, attack: Attack, x: Tensor | None = None) -> Tensor:
    """The class the loss speaks of, (N,): the label, or the target.

    Raises InvalidParameter for a target that is no class: what the classes are a model of ours knows, and of any other
    the logits of an image of x (N, C, H, W) tell.
    """
    if attack.target is None:
        return y
    classes = model.num_classes if isinstance(model, CNN) else _classes_of(model, x)
    if classes is not None and attack.target >= classes:
        raise InvalidParameter(f"target = {attack.target}: the model's classes are 0 to {classes - 1}")
    return torch.full_like(y, attack.target)


@torch.no_grad()
def _classes_of(model: nn.Module, x: Tensor | None) -> int | None:
    return None if x is None or not len(x) else int(model(x[:1]).shape[1])


@torch.no_grad()
def fools(model: nn.Module, x: Tensor, goal: Tensor, attack: Attack) -> Tensor:
    """Whether the attack has what it wants of these images, (N,) bool, in float32; none need be there."""
    return has_won(model(x), goal, attack) if len(x) else goal.new_zeros(0, dtype=torch.bool)


def has_won(logits: Tensor, goal: Tensor, attack: Attack) -> Tensor:
    """Whether that is what these logits (N, K) say, (N,) bool."""
    prediction = logits.argmax(dim=1)
    return prediction != goal if attack.target is None else prediction == goal


class Outcome(NamedTuple):
    x_adv: Tensor  # (N, C, H, W)
    at: Tensor  # (N,) int: the step that first fooled the model, length + 1 for none; only told if images drop


class Sight(NamedTuple):
    """What is seen at an iterate, a row an image."""

    loss: Tensor  # (M,)
    logits: Tensor  # (M, K)
    uphill: Tensor  # (M, C, H, W) the gradient, towards a target its negative; (M, 0) for attacks without


@dataclass
class Pursuit:
    """One attack on one model."""

    model: nn.Module  # decides who is fooled
    attack: Attack
    precision: Precision
    drops: bool  # whether an image is left alone once it is fooled
    record: Record | None
    report: Report
    surrogate: nn.Module = field(init=False)  # gives losses and gradients

    def __post_init__(self) -> None:
        self.sign = 1 if self.attack.target is None else -1
        self.name = next((name for name, cls in ATTACKS.items() if cls is type(self.attack)), "attack")

    def of(self, x: Tensor, y: Tensor, random: torch.Generator | None = None, rivals: Tensor | None = None) -> Outcome:
        attack, random = self.attack, random or generator(self.attack.seed)
        outcome = Outcome(x.clone(), torch.full_like(y, attack.length + 1))
        folds = self._folds(len(x))
        refuse_copies(self.model)
        with eval_mode(self.model), frozen(self.model), attached_importance(self.model, through_mask(attack)):
            goal = goal_of(self.model, y, attack, x)
            self.surrogate = folded(self.model, x) if folds else self.model
            todo = torch.arange(len(x), device=x.device)
            for number in range(attack.runs):
                if number:
                    todo = self._standing(outcome, goal)
                run = attack.begin(Start(self.model, x, goal, todo, number, random, rivals)) if len(todo) else None
                if run is None:
                    break
                self._follow(run, number, outcome)
        return outcome

    def _folds(self, n: int) -> bool:
        """Not in training, whose recipes are to give the same weights whatever makes a measurement faster."""
        work = self.attack.runs * self.attack.length * n
        return not self.model.training and self.precision != "float32" and work >= WORTH_FOLDING

    def _standing(self, outcome: Outcome, goal: Tensor) -> Tensor:
        """Indices of the images that are not fooled yet."""
        if self.drops:
            return (outcome.at > self.attack.length).nonzero()[:, 0]
        return (~fools(self.model, outcome.x_adv, goal, self.attack)).nonzero()[:, 0]

    def _follow(self, run: Run, number: int, outcome: Outcome) -> None:
        """One run to its end; the outcome is written for its images."""
        attack, total = self.attack, self.attack.runs * self.attack.length
        for step in range(attack.length):
            self.report(Progress(self.name, number * attack.length + step, total, {"left": len(run.goal)}))
            sight = self._look(run, step)
            self._note(run, step, sight)
            if self.drops:
                sight = self._drop(run, step, sight, outcome)
                if not len(run.goal):
                    return
            attack.advance(run, sight.uphill, self.sign * sight.loss)
        self._finish(run, outcome)

    def _look(self, run: Run, step: int) -> Sight:
        attack, gradient = self.attack, self.attack.uses_gradients and step < self.attack.length
        # Without gradients the image itself is judged at step 0 alone: in float32, by the model as it stands.
        exact = step == 0 and not attack.uses_gradients
        model = self.model if exact else self.surrogate
        precision: Precision = "float32" if exact else self.precision
        with torch.set_grad_enabled(gradient):
            x_adv = run.x_adv.detach().requires_grad_(gradient)
            with autocast(x_adv.device, precision):
                traced = trace(model, x_adv)
            loss = attack.score(run, traced.logits, traced.raw_predictions)
            uphill = x_adv.new_empty(len(x_adv), 0)
            if gradient:
                (slope,) = torch.autograd.grad(loss.sum(), x_adv)
                uphill = slope if self.sign > 0 else -slope
        return Sight(loss.detach(), traced.logits.detach().float(), uphill)

    def _note(self, run: Run, step: int, sight: Sight) -> None:
        if self.record is not None:
            self.record(Step(step, run.images, sight.loss, sight.logits, run.x_adv))
        if self.attack.keeps_best:
            run.observe(self.sign * sight.loss)

    def _drop(self, run: Run, step: int, sight: Sight, outcome: Outcome) -> Sight:
        """The sight of the images that are left when those that are fooled are taken out of the run."""
        fooled = has_won(sight.logits, run.goal, self.attack)
        if self.precision != "float32":
            suspects = fooled | self._undecided(sight.logits, run.goal)
            fooled = torch.zeros_like(suspects)
            fooled[suspects] = fools(self.model, run.x_adv[suspects], run.goal[suspects], self.attack)
        if not fooled.any():
            return sight
        outcome.x_adv[run.images[fooled]] = run.x_adv[fooled]
        outcome.at[run.images[fooled]] = step
        run.only(~fooled)
        return Sight(*(values[~fooled] for values in sight))

    def _undecided(self, logits: Tensor, goal: Tensor) -> Tensor:
        """Where rounding in bf16 may hide that the image fools the model, (M,) bool."""
        margin = self.sign * cw_margin(logits, goal)
        return margin > -ROUNDING * logits.abs().amax(dim=1)

    def _finish(self, run: Run, outcome: Outcome) -> None:
        """The last iterate: it may be the best, it may fool, and it is what comes back if it is to."""
        attack = self.attack
        if self.record is not None or attack.keeps_best:
            self._note(run, attack.length, self._look(run, attack.length))
        result = run.best if attack.keeps_best else run.x_adv
        if self.drops:
            fooled = fools(self.model, run.x_adv, run.goal, attack)
            outcome.at[run.images[fooled]] = attack.length
            result = torch.where(per_image(fooled), run.x_adv, result)
        outcome.x_adv[run.images] = result


def through_mask(attack: Attack) -> bool:
    return isinstance(attack, GradientAttack) and attack.through_mask
