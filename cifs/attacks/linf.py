"""Attacks under ℓ∞. One loop; FGSM, PGD-k and C&W are settings of it.

x_{t+1} = Π(x_t + α·sign ∇ℓ(x_t)), Π onto {‖x' − x‖_∞ ≤ ε} ∩ [0, 1]   (Madry et al., arXiv 1706.06083)

For a model with probes ℓ is the joint loss ℓ_β with the attack's own β, so every attack is adaptive.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from math import isinf
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from cifs.errors import InvalidParameter
from cifs.losses import LOSSES, joint
from cifs.models import CNN, trace
from cifs.modes import eval_mode, frozen
from cifs.precision import Precision, autocast, generator
from cifs.registry import Registry, fraction, settings
from cifs.selection import attached_importance

Budget = Annotated[float, *fraction(ge=0, le=1)]

ATTACKS: Registry[type["Linf"]] = Registry("attack")


@settings
class Linf:
    """ℓ∞ attack."""

    eps: Budget = Field(
        default=8 / 255, description="ε: no pixel moves further than this; a number or a fraction such as 8/255"
    )
    steps: int = Field(default=20, ge=1, le=10_000, description="gradient steps")
    step_size: Budget | None = Field(default=None, description="α: how far a step goes; default ε/10")
    random_start: bool = Field(default=False, description="start from a uniformly random point of the ε-ball")
    restarts: int = Field(
        default=1, ge=1, le=100, description="independent runs; the first that fools counts (needs random_start)"
    )
    loss: Literal["ce", "margin", "dlr"] = Field(
        default="ce", description="what is maximised: cross-entropy, CW margin or DLR"
    )
    beta: float = Field(
        default=2.0,
        ge=0,
        description="β_atk of the joint loss on models with probes; 0 ignores the probes, inf is the probes alone",
    )
    target: int | None = Field(
        default=None, ge=0, description="class to be predicted instead; default: any wrong class"
    )
    through_mask: bool = Field(default=False, description="differentiate through the importance maps of CIFS")
    keep: Literal["last", "best"] = Field(
        default="last", description="return the last iterate, or the one of largest loss"
    )
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="of the random start")

    @property
    def alpha(self) -> float:
        return self.eps / 10 if self.step_size is None else self.step_size

    def resolved(self) -> dict[str, Any]:
        """Name and every parameter, defaults filled in; JSON-safe."""
        beta = "inf" if isinf(self.beta) else self.beta
        return {"name": ATTACKS.name_of(self), **asdict(self), "step_size": self.alpha, "beta": beta}


@ATTACKS.register("fgsm")
@settings
class FGSM(Linf):
    """FGSM: one step of size ε (arXiv 1412.6572)."""

    steps: Literal[1] = Field(default=1, description="always one")

    @property
    def alpha(self) -> float:
        return self.eps if self.step_size is None else self.step_size


@ATTACKS.register("pgd")
@settings
class PGD(Linf):
    """PGD: projected gradient ascent (arXiv 1706.06083)."""


@ATTACKS.register("cw")
@settings
class CW(Linf):
    """C&W under ℓ∞: PGD on the CW margin, 30 steps (not the ℓ2 attack of arXiv 1608.04644)."""

    steps: int = Field(default=30, ge=1, le=10_000, description="gradient steps")
    loss: Literal["ce", "margin", "dlr"] = Field(default="margin", description="what is maximised: the CW margin")


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
    attack: Linf,
    *,
    precision: Precision = "float32",
    record: Record | None = None,
    random: torch.Generator | None = None,
) -> Tensor:
    """Adversarial images x' (N, C, H, W) for images x in [0, 1] and labels y (N,), within ε and [0, 1].

    The model runs in eval mode and every module is put back into the mode it was found in. Random starts are drawn
    from `random`, by default a generator of attack.seed. Raises InvalidParameter for a target that is no class.
    """
    goal = goal_of(model, y, attack)
    random = random or generator(attack.seed)
    with _attacking(model, attack):
        x_adv, todo = x.clone(), torch.arange(len(x), device=x.device)
        for run in range(attack.restarts):
            if run:
                todo = (~fools(model, x_adv, goal, attack)).nonzero()[:, 0]
            start = _start(x, attack, random)[todo]
            x_adv[todo] = _ascend(model, x[todo], start, goal[todo], attack, precision, todo, record)
    return x_adv


def survives(model: nn.Module, x: Tensor, y: Tensor, attack: Linf, *, precision: Precision = "float32") -> Tensor:
    """Whether each image withstands the attack, (N,) bool: no iterate of any restart fools the model, in float32."""
    return fooled_at(model, x, y, attack, precision=precision) > attack.steps


def fooled_at(model: nn.Module, x: Tensor, y: Tensor, attack: Linf, *, precision: Precision = "float32") -> Tensor:
    """After how many steps each image first fools the model, (N,) int; attack.steps + 1: never.

    For when only success counts: an image is dropped from the batch as soon as it is fooled, and is not started again
    (the figure is that of the first restart to succeed). Under bf16 the gradients are approximate, and an image counts
    as fooled only once float32 confirms it.
    """
    goal = goal_of(model, y, attack)
    random = generator(attack.seed)
    fooled = torch.full_like(y, attack.steps + 1)
    with _attacking(model, attack):
        for _ in range(attack.restarts):
            todo = (fooled > attack.steps).nonzero()[:, 0]
            fooled[todo] = _fooled_at(model, x[todo], _start(x, attack, random)[todo], goal[todo], attack, precision)
    return fooled


def goal_of(model: nn.Module, y: Tensor, attack: Linf) -> Tensor:
    """The class the loss speaks of: the label, or the target."""
    if attack.target is None:
        return y
    if isinstance(model, CNN) and attack.target >= model.num_classes:
        raise InvalidParameter(f"target = {attack.target}: the model's classes are 0 to {model.num_classes - 1}")
    return torch.full_like(y, attack.target)


@torch.no_grad()
def fools(model: nn.Module, x: Tensor, goal: Tensor, attack: Linf) -> Tensor:
    """Whether the attack has what it wants of these images, (N,) bool, in float32."""
    return _has_won(model(x), goal, attack)


def _has_won(logits: Tensor, goal: Tensor, attack: Linf) -> Tensor:
    prediction = logits.argmax(dim=1)
    return prediction != goal if attack.target is None else prediction == goal


def _attacking(model: nn.Module, attack: Linf) -> ExitStack:
    stack = ExitStack()
    stack.enter_context(eval_mode(model))
    stack.enter_context(frozen(model))
    stack.enter_context(attached_importance(model, attack.through_mask))
    return stack


def _start(x: Tensor, attack: Linf, random: torch.Generator) -> Tensor:
    if not attack.random_start:
        return x
    noise = torch.rand(x.shape, generator=random).to(x.device) * 2 - 1
    return (x + attack.eps * noise).clamp(0, 1)


def _evaluate(model: nn.Module, x: Tensor, goal: Tensor, attack: Linf, precision: Precision) -> tuple[Tensor, Tensor]:
    """loss (N,) and logits (N, K)"""
    with autocast(x.device, precision):
        traced = trace(model, x)
    return joint(LOSSES[attack.loss], traced.logits, traced.raw_predictions, goal, attack.beta), traced.logits.float()


def _gradient(
    model: nn.Module, x: Tensor, goal: Tensor, attack: Linf, precision: Precision
) -> tuple[Tensor, Tensor, Tensor]:
    """∇_x ℓ (N, C, H, W), loss (N,), logits (N, K)"""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        loss, logits = _evaluate(model, x, goal, attack, precision)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
    return gradient, loss.detach(), logits.detach()


def _step(x_adv: Tensor, gradient: Tensor, x: Tensor, attack: Linf) -> Tensor:
    """One step uphill (towards a target: downhill), back into the ε-ball and [0, 1]."""
    alpha = attack.alpha if attack.target is None else -attack.alpha
    x_adv = x_adv + alpha * gradient.sign()
    return (x + (x_adv - x).clamp(-attack.eps, attack.eps)).clamp(0, 1)


def _ascend(
    model: nn.Module,
    x: Tensor,
    x_adv: Tensor,
    goal: Tensor,
    attack: Linf,
    precision: Precision,
    images: Tensor,
    record: Record | None,
) -> Tensor:
    """The last or the best iterate from the start x_adv; `images` (M,) is what `record` is told these are."""
    sign = 1 if attack.target is None else -1
    best, highest = x_adv, torch.full(goal.shape, -torch.inf, device=x.device)

    def note(step: int, loss: Tensor, logits: Tensor) -> None:
        nonlocal best, highest
        if record is not None:
            record(Step(step, images, loss, logits, x_adv))
        if attack.keep == "best":
            higher = sign * loss > highest
            best = torch.where(higher[:, None, None, None], x_adv, best)
            highest = torch.where(higher, sign * loss, highest)

    for step in range(attack.steps):
        gradient, loss, logits = _gradient(model, x_adv, goal, attack, precision)
        note(step, loss, logits)
        x_adv = _step(x_adv, gradient, x, attack)
    if record is not None or attack.keep == "best":
        with torch.no_grad():
            note(attack.steps, *_evaluate(model, x_adv, goal, attack, precision))
    return best if attack.keep == "best" else x_adv


def _fooled_at(model: nn.Module, x: Tensor, x_adv: Tensor, goal: Tensor, attack: Linf, precision: Precision) -> Tensor:
    """(N,) int: the first iterate from the start x_adv that fools the model. The batch shrinks as images fall."""
    at = torch.full_like(goal, attack.steps + 1)
    left = torch.arange(len(goal), device=goal.device)  # indices of the images not yet fooled

    for step in range(attack.steps):
        if len(left) == 0:
            return at
        gradient, _, logits = _gradient(model, x_adv, goal, attack, precision)
        fooled = _has_won(logits, goal, attack)
        if precision != "float32" and fooled.any():
            fooled[fooled.clone()] = fools(model, x_adv[fooled], goal[fooled], attack)
        x_adv = _step(x_adv, gradient, x, attack)
        if fooled.any():
            at[left[fooled]] = step
            x, x_adv, goal, left = x[~fooled], x_adv[~fooled], goal[~fooled], left[~fooled]
    if len(left):
        at[left[fools(model, x_adv, goal, attack)]] = attack.steps
    return at
