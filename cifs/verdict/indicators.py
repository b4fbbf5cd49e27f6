"""Signs that a verdict is not to be trusted: an attack that fails proves nothing where attacks cannot work.

After Indicators of Attack Failure (Pintor et al., arXiv 2106.09947) and the symptoms of masked gradients (Athalye et
al., arXiv 1802.00420, section 3.1). Each counts images, over all batches; it is a bad sign where they are more than its
limit allows. One image alone proves nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cifs.attacks import Annealed, Square
from cifs.attacks.loop import Pursuit
from cifs.losses import cw_margin
from cifs.modes import eval_mode, frozen
from cifs.precision import generator
from cifs.records import IndicatorResult
from cifs.registry import Registry
from cifs.verdict.trial import TOGETHER, Trial

PROBED = 32  # images of a batch that an indicator attacks anew
QUERIES = 300  # of Square on each of them
EVERYWHERE = 0.5  # ε from which on the ball holds a grey image, which looks like every other
STUCK = 1e-4  # of the image's own margin: less is no rise
STEP = 0.1  # of ε, as a step of PGD: so short a way every network that was learned is nearly linear
ASTRAY = 0.5  # of the rise the gradient promises: a rise further from it is another function's


class Count(NamedTuple):
    """How many images show a sign, of how many."""

    showing: int
    of: int

    def __add__(self, other: "Count") -> "Count":  # type: ignore[override]  # of counts, not of tuples
        return Count(self.showing + other.showing, self.of + other.of)


@dataclass(frozen=True)
class Indicator:
    title: str  # what is counted
    limit: float  # share of the images above which it is a bad sign
    count: Callable[[Trial], Count]  # of a batch all stages have been run on


INDICATORS: Registry[Indicator] = Registry("indicator")


def count_all(trial: Trial, names: Sequence[str] | None = None) -> dict[str, Count]:
    """The indicators of one batch, by default all. Raises UnknownName."""
    with eval_mode(trial.model), frozen(trial.model):
        return {name: INDICATORS[name].count(trial) for name in names or INDICATORS}


def judged(counts: Mapping[str, Count]) -> list[IndicatorResult]:
    """Whether each passes, of the sums over all batches."""
    results = []
    for name, (showing, of) in counts.items():
        indicator = INDICATORS[name]
        passed = showing <= max(1, indicator.limit * of)
        results.append(
            IndicatorResult(
                name=name, title=indicator.title, count=showing, of=of, limit=indicator.limit, passed=passed
            )
        )
    return results


def _indicator(name: str, title: str, limit: float) -> Callable[[Callable[[Trial], Count]], Callable[[Trial], Count]]:
    def register(count: Callable[[Trial], Count]) -> Callable[[Trial], Count]:
        INDICATORS.register(name)(Indicator(title, limit, count))
        return count

    return register


@_indicator("gradient", "standing images at which the margin has no gradient, or one that is no number", 0.01)
def vanishing(trial: Trial) -> Count:
    bad = 0
    for part in _standing(trial):
        _, gradient = _margin(trial, part)
        steepest = gradient.abs().amax(dim=(1, 2, 3))
        bad += int((~steepest.isfinite() | (steepest == 0)).sum())
    return Count(bad, int(trial.standing.sum()))


@_indicator("promise", "standing images where a step of ε/10 raises the margin otherwise than its gradient says", 0.15)
def broken_promises(trial: Trial) -> Count:
    """Where activations jump, are rounded or ripple, or a part of the network is kept from the gradient.

    What is learned of images and ReLUs keeps nearly all its promises; CIFS breaks a few, where the classes change that
    its relevance is of (0 to 4 in a hundred images of the shipped models); k-WTA breaks 42.
    """
    bad = 0
    for part in _standing(trial):
        margin, gradient = _margin(trial, part)
        step = (trial.x[part] + STEP * trial.eps * gradient.sign()).clamp(0, 1) - trial.x[part]
        with torch.no_grad():
            rise = cw_margin(trial.model(trial.x[part] + step), trial.y[part]) - margin
        promised = (gradient * step).sum(dim=(1, 2, 3))
        bad += int((~((rise - promised).abs() <= ASTRAY * promised) | (promised == 0)).sum())
    return Count(bad, int(trial.standing.sum()))


@_indicator("ascent", "standing images whose margin no attack raised", 0.02)
def stuck(trial: Trial) -> Count:
    reached, natural = trial.margins.amax(dim=1), trial.natural
    standing = trial.standing
    return Count(int((standing & (reached <= natural + STUCK * natural.abs())).sum()), int(standing.sum()))


@_indicator("square", f"standing images that fall to Square, without gradients, in {QUERIES} queries", 0.01)
def felled_by_square(trial: Trial) -> Count:
    return _felled(trial, Square(queries=QUERIES, eps=trial.eps), _sample(trial))


@_indicator("everywhere", f"standing images that withstand attacks within ε = {EVERYWHERE}, where none can", 0.05)
def standing_everywhere(trial: Trial) -> Count:
    images = _sample(trial)
    fallen = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for loss in ("margin", "ce"):
        attack = Annealed(eps=EVERYWHERE, steps=20, loss=loss, beta=0.0, random_start=True)
        left = (~fallen).nonzero()[:, 0]
        fallen[left] = _falls(trial, attack, images[left])
    return Count(int((~fallen).sum()), len(images))


@_indicator("budget", "images that fell to the last stage alone: more of it would fell more", 0.002)
def still_falling(trial: Trial) -> Count:
    stages = trial.stages
    return Count(int((trial.fell == len(stages) - 1).sum()) if len(stages) > 1 else 0, len(trial.y))


def _standing(trial: Trial) -> Sequence[Tensor]:
    """Indices of the standing images, as many together as one pass takes."""
    standing = trial.standing.nonzero()[:, 0]
    return standing.split(TOGETHER) if len(standing) else ()


def _margin(trial: Trial, part: Tensor) -> tuple[Tensor, Tensor]:
    """The margin (M,) at these images themselves, and its gradient (M, C, H, W), in float32."""
    x = trial.x[part].requires_grad_()
    with torch.enable_grad():
        margin = cw_margin(trial.model(x), trial.y[part])
        (gradient,) = torch.autograd.grad(margin.sum(), x, materialize_grads=True)
    return margin.detach(), gradient


def _sample(trial: Trial) -> Tensor:
    """Indices of a few standing images, drawn evenly."""
    standing = trial.standing.nonzero()[:, 0]
    order = torch.randperm(len(standing), generator=generator(trial.seed, trial.first))
    return standing[order[:PROBED].to(standing.device)].sort().values


def _felled(trial: Trial, attack: Annealed | Square, images: Tensor) -> Count:
    return Count(int(_falls(trial, attack, images).sum()), len(images))


def _falls(trial: Trial, attack: Annealed | Square, images: Tensor) -> Tensor:
    """Whether each of these images falls to the attack, (M,) bool."""
    pursuit = Pursuit(trial.model, attack, trial.precision, True, None, trial.report)
    return pursuit.of(trial.x[images], trial.y[images]).at <= attack.length
