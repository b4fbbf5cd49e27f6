"""AutoAttack (Croce & Hein, arXiv 2003.01690): an adapter to its authors' implementation, the package `pyautoattack`.

The standard version under ℓ∞: APGD on cross-entropy, APGD on the targeted DLR loss, targeted FAB, Square; each attacks
what the ones before left standing. It sees the final logits alone: β_atk and the probes are out of its reach.
"""

import importlib
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from cifs.attacks.attack import Budget
from cifs.errors import CIFSError, UnknownName
from cifs.models.trace import unwrap
from cifs.modes import eval_mode, frozen
from cifs.precision import device_of
from cifs.progress import Progress, Report, unreported
from cifs.registry import settings
from cifs.selection import attached_importance

STAGES = ("apgd-ce", "apgd-t", "fab-t", "square")  # the standard version, in its order
FEWEST = {"apgd-t": 4}  # classes a stage is defined for, where it is more than two
MAXIMISING = ("apgd-ce", "apgd-t")  # follow a loss's gradient as far as ε allows; the others look for the boundary


@settings
class AutoAttack:
    """How AutoAttack is run. `iterations` of APGD and FAB and `queries` of Square are the standard's by default."""

    eps: Budget
    stages: tuple[str, ...] = STAGES
    iterations: int = 100
    queries: int = 5000
    through_mask: bool = Field(default=False, description="let gradients flow through CIFS's importance maps")
    seed: int = 0
    batch_size: int = 250

    @property
    def is_standard(self) -> bool:
        return (self.stages, self.iterations, self.queries) == (STAGES, 100, 5000)


class AutoAttacked(NamedTuple):
    """What AutoAttack left standing."""

    robust: Tensor  # (N,) bool, confirmed by us: within ε and [0, 1], in float32
    x_adv: Tensor  # (N, C, H, W): fools the model where it was right and is not robust, else the image itself
    accuracy: dict[str, float]  # natural, and after each stage of those so far
    remarks: tuple[str, ...]  # the reference's own warnings: randomised, dynamic, zero gradients, …
    settings: dict[str, Any]  # every one of them, with n and the versions; JSON-safe


def autoattack(
    model: nn.Module, x: Tensor, y: Tensor, attack: AutoAttack, *, report: Report = unreported
) -> AutoAttacked:
    """Runs AutoAttack on images x (N, C, H, W) in [0, 1] with labels y (N,).

    All is in float32: the reference takes whom it has fooled off its list, and FAB and Square stop right behind the
    boundary, where rounding would decide. `report` is called before every forward pass with the stage, and how many of
    the images it attacks are done. The model runs frozen in eval mode; torch's global generator is left as it was. A
    stage that is not defined for so few classes (the targeted DLR loss needs four) is left out; settings and remarks
    say so. Raises CIFSError without `pyautoattack`, UnknownName, and what `report` raises.
    """
    check_stages(attack.stages)
    model, reference = unwrap(model), _reference()
    x = x.contiguous()  # it views gradients as flat vectors, which those of channels_last images do not allow
    with (
        eval_mode(model),
        frozen(model),
        attached_importance(model, attack.through_mask),
        torch.random.fork_rng(devices=[x.device] if x.is_cuda else []),
        _remarks(reference) as remarks,
    ):
        logits = _logits(model, x, attack.batch_size)
        classes = logits.shape[1]
        stages = [stage for stage in attack.stages if classes >= FEWEST.get(stage, 2)]
        left_out = [stage for stage in attack.stages if stage not in stages]
        remarks += [f"{stage} is not defined for {classes} classes and was left out" for stage in left_out]
        ensemble = Ensemble(model, attack, _attacker(reference, model, attack, classes), report)
        robust, x_adv = logits.argmax(dim=1) == y, x.clone()
        accuracy = {"natural": float(robust.float().mean())}
        for stage in stages:
            ensemble.run(stage, x, y, robust, x_adv)
            before, accuracy[stage] = accuracy[[*accuracy][-1]], float(robust.float().mean())
            if stage == "square":  # the reference says so only of stages it ran at one go
                square = {"clean": accuracy["natural"], "before": before, "square": accuracy[stage]}
                _part(reference, "checks").check_square_sr(square, logger=ensemble.attacker.logger)
    stated = _stated(attack, n=len(x), classes=classes, left_out=left_out)
    return AutoAttacked(robust, x_adv, accuracy, tuple(remarks), stated)


@dataclass
class Ensemble:
    """The reference at work on one model."""

    model: nn.Module
    attack: AutoAttack
    attacker: Any
    report: Report

    def run(self, stage: str, x: Tensor, y: Tensor, robust: Tensor, x_adv: Tensor) -> None:
        """One stage on the images that are `robust` (N,) bool; that and x_adv are written for those it fools."""
        eps, batch_size = self.attack.eps, self.attack.batch_size
        self.attacker.attacks_to_run = [stage]
        todo, done = robust.nonzero()[:, 0], 0
        for part in todo.split(batch_size) if len(todo) else ():
            with _reporting(self.model, self.report, Progress(f"AutoAttack, {stage}", done, len(todo))):
                images, _ = self.attacker.run_standard_evaluation(x[part], y[part], batch_size=batch_size)
            # The reference's last bit may lie outside the ball; ours never does.
            images = torch.min(torch.max(images, x[part] - eps), x[part] + eps).clamp(0, 1)
            fooled = _logits(self.model, images, batch_size).argmax(dim=1) != y[part]
            robust[part[fooled]], x_adv[part[fooled]] = False, images[fooled]
            done += len(part)
            self.report(Progress(f"AutoAttack, {stage}", done, len(todo)))


def _attacker(reference: Any, model: nn.Module, attack: AutoAttack, classes: int) -> Any:
    attacker = reference.AutoAttack(model, eps=attack.eps, seed=attack.seed, device=device_of(model))
    attacker.apgd.n_iter = attacker.apgd_targeted.n_iter = attacker.fab.n_iter = attack.iterations
    attacker.square.n_queries = attack.queries
    attacker.apgd_targeted.n_target_classes = attacker.fab.n_target_classes = _targets(classes)
    return attacker


def _targets(classes: int) -> int:
    return min(9, classes - 1)


def _stated(attack: AutoAttack, *, n: int, classes: int, left_out: Sequence[str]) -> dict[str, Any]:
    return {
        "name": "autoattack",
        "version": "standard" if attack.is_standard and not left_out else "custom",
        "norm": "linf",
        **asdict(attack),
        "stages": [stage for stage in attack.stages if stage not in left_out],
        "left_out": [*left_out],
        "targets": _targets(classes),
        "restarts": 1,
        "n": n,
        "precision": "float32",
        "pyautoattack": version("pyautoattack"),
        "torch": str(torch.__version__),
    }


def check_stages(stages: Sequence[str]) -> None:
    """Raises UnknownName."""
    for stage in stages:
        if stage not in STAGES:
            raise UnknownName("stage of AutoAttack", stage, STAGES)


def _reference() -> Any:
    try:
        return importlib.import_module("pyautoattack")
    except ImportError as error:
        raise CIFSError(
            f"AutoAttack needs its authors' package pyautoattack ({error}): pip install 'cifs-lab[autoattack]'"
        ) from error


def _part(reference: Any, name: str) -> Any:
    return importlib.import_module(f"{reference.__name__}.{name}")


@contextmanager
def _reporting(model: nn.Module, report: Report, progress: Progress) -> Iterator[None]:
    """A batch of AutoAttack takes minutes: within the block every forward pass reports, and may be stopped by it."""
    handle = model.register_forward_pre_hook(lambda module, args: report(progress))
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def _logits(model: nn.Module, x: Tensor, batch_size: int) -> Tensor:
    return torch.cat([model(part) for part in x.split(batch_size)])


@contextmanager
def _remarks(reference: Any) -> Iterator[list[str]]:
    """What the reference warns of, each once. It logs, and leaves two traces that are wiped here."""
    remarks: list[str] = []

    class Note(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            if (message := entry.getMessage()) not in remarks:
                remarks.append(message)

    logger, note, tracing = logging.getLogger("auto-attack"), Note(logging.WARNING), sys.gettrace()
    calls = _part(reference, "checks").funcs
    calls.update(dict.fromkeys(calls, 0))  # it counts over all models: one dynamic one would taint the next
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(note)
    try:
        yield remarks
    finally:
        logger.removeHandler(note)
        logger.propagate = propagate
        sys.settrace(tracing)  # it switches tracing off, and with it coverage and debuggers
