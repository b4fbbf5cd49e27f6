"""Adversarial training with ℓ_β: one loop, resumable to the step.

Every random choice is a function of (seed, purpose, step), so a run that is killed and resumed makes the choices that
one left alone would have made. Choices are made for the whole batch, so several processes make those of one.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from cifs.attacks import NORMS, perturb
from cifs.data import random_crop, random_flip
from cifs.errors import CheckpointError, CIFSError
from cifs.files import UNREADABLE_ZIP, remove_stale, replacing, write_json
from cifs.methods import METHODS
from cifs.models import CNN, build
from cifs.models.folding import folded
from cifs.precision import autocast, generator
from cifs.progress import Cancelled, Progress, Report, unreported
from cifs.selection import Trace
from cifs.training.average import Average
from cifs.training.log import Log
from cifs.training.material import gather
from cifs.training.ranks import ALONE, Ranks, synchronise_batch_norm
from cifs.training.recipe import Recipe, parse_recipe
from cifs.training.validation import validate
from cifs.zoo import Zoo

SHUFFLE, AUGMENT, ATTACK, INITIALISE, LAYERS, NOISE = range(6)  # purposes of random numbers


class Clock(NamedTuple):
    """When a run would have begun, had it never been stopped."""

    wall: float
    cpu: float


@dataclass
class Run:
    """A training run in a folder: state.pt (to resume from), metrics.jsonl, recipe.json, and TensorBoard's on demand.

    With several processes all read the folder, and the first alone writes. The zoo is where `recipe.init` is found.
    Whoever makes one holds the folder (`cifs.files.locked`), for two at once would write over one another.
    """

    recipe: Recipe
    folder: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    ranks: Ranks = ALONE
    zoo: Zoo = field(default_factory=lambda: Zoo(Path("checkpoints")))
    tensorboard: bool = False

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.ranks.check(recipe.batch_size)
        if self.ranks.first:
            remove_stale(self.folder)
        self.log = Log(self.folder, self.tensorboard and self.ranks.first)
        material = gather(recipe, self.zoo)
        self.start, self.held_out = material.start, material.held_out(recipe)
        self.images, self.validation = material.images, material.validation
        self.steps_per_epoch = len(self.images) // recipe.batch_size
        self.steps = self.steps_per_epoch * recipe.epochs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(recipe.seed, INITIALISE).initial_seed() % 2**63)
            model = build(**material.model_arguments(recipe))
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        if self.start is not None:
            self.start.give_to(self.model)
        self.method = self.model.selecting or METHODS[recipe.method]()
        if self.ranks.size > 1:
            synchronise_batch_norm(self.model, self.device)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
        )
        self.average = Average(self.model, recipe.ema) if recipe.ema else None
        self.step = 0
        self.seconds = 0.0  # of training so far, in all processes that went on from one another
        self.cpu_seconds = 0.0  # of this process's cores, alike; what others did on the machine counts for little
        self.best: dict[str, Any] | None = None  # {"score", "epoch", "model"}
        self._unlogged: dict[str, float] | None = None  # of a step that was made, while its epoch is validated
        self._resume()

    @property
    def candidate(self) -> CNN:
        """The network that is validated and may come out of the run: the averaged one, where there is an average."""
        return self.model if self.average is None else self.average.model

    def train(self, report: Report = unreported, *, save_every: int = 500) -> None:
        """Trains to the end, or until `report` raises Cancelled: then the state is saved and Cancelled raised again.

        Every process reports its steps and the first its validations too; a Cancelled in any of them ends all.
        """
        began = Clock(time.monotonic() - self.seconds, time.process_time() - self.cpu_seconds)
        self.model.train()
        with self.log.open():
            if self._unlogged is not None:
                self._conclude(self._unlogged, report, began, save_every)
            for x, y in self.batches():
                metrics = self.train_on(x, y)
                self.step += 1
                self._conclude(metrics, report, began, save_every)
        self.ranks.wait()  # for the first to have saved

    def _conclude(self, metrics: dict[str, float], report: Report, began: Clock, save_every: int) -> None:
        """What follows a step: validation where an epoch ends, the log, the report, and saving where it is due."""
        epoch, rest = divmod(self.step, self.steps_per_epoch)
        ends, epoch = rest == 0, epoch + (rest > 0)
        cancelled = None
        self._unlogged = metrics
        try:
            if ends and self.ranks.first and self._validates_after(epoch):
                metrics = metrics | self._validate(epoch, report)
            if self.ranks.first:
                self.log.add({"step": self.step, "epoch": epoch, **metrics})
            self._unlogged = None
            report(Progress("training", self.step, self.steps, {"epoch": epoch, **metrics}))
        except Cancelled as error:
            cancelled = error
        self.seconds, self.cpu_seconds = time.monotonic() - began.wall, time.process_time() - began.cpu
        stopping = self.ranks.any(cancelled is not None)
        if self.ranks.first and (stopping or ends or self.step % save_every == 0):
            self.save()
        if stopping:
            self.ranks.wait()
            raise cancelled or Cancelled("another process was cancelled")

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of every batch that is left."""
        recipe = self.recipe
        while self.step < self.steps:
            epoch, batch = divmod(self.step, self.steps_per_epoch)
            order = torch.randperm(len(self.images), generator=generator(recipe.seed, SHUFFLE, epoch))
            for index in order.split(recipe.batch_size)[batch : self.steps_per_epoch]:
                x, y = self.images.batch(index)
                random = generator(recipe.seed, AUGMENT, self.step)
                x = random_crop(x, recipe.padding, random)
                x = random_flip(x, random) if recipe.flip else x
                x, y = self.ranks.share(x), self.ranks.share(y)
                yield x.to(self.device, memory_format=torch.channels_last), y.to(self.device)

    def train_on(self, x: Tensor, y: Tensor) -> dict[str, float]:
        recipe = self.recipe
        natural, x = x, self.attacked(x, y)
        lr = recipe.lr_at(self.step / self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        traced = self._trace(x, y)
        loss = self.method.loss(traced, y, recipe.beta, recipe.label_smoothing).mean()
        if self.method.pairs and (added := self._compared(traced, natural, y)) is not None:
            loss = loss + added.mean()
        self.optimizer.zero_grad(set_to_none=True)
        (recipe.loss_scale * loss).backward()
        self.ranks.average([p.grad for p in self.model.parameters() if p.grad is not None])
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.model, self.step)
        told = {"loss": loss.detach(), **_accuracies(traced, y)}
        self.ranks.average([*told.values()])
        return {"lr": lr, **{name: value.item() for name, value in told.items()}}

    def _trace(self, x: Tensor, y: Tensor) -> Trace:
        """In training mode. Layers that draw random numbers draw those of this step and process."""
        with torch.random.fork_rng(devices=[]), autocast(self.device, self.recipe.precision):
            torch.manual_seed(generator(self.recipe.seed, LAYERS, self.step, self.ranks.rank).initial_seed() % 2**63)
            return self.model.trace(x, y)

    def _compared(self, adversarial: Trace, natural: Tensor, y: Tensor) -> Tensor | None:
        """What the method makes of the attacked images beside the natural ones; its layers agree in all processes."""
        layers = {name: self.model.selector(name) for name in self.model.modified}
        added = self.method.compare(adversarial, self._trace(natural, y), layers)
        self.ranks.average([*self.model.selection.buffers()])
        return added

    def _validates_after(self, epoch: int) -> bool:
        return epoch % self.recipe.validate_every == 0 or epoch == self.recipe.epochs

    def attacked(self, x: Tensor, y: Tensor) -> Tensor:
        """The images (N, C, H, W) that this step trains on instead of x.

        With noise as N-FGSM: x' = x + η + α·sign ∇ℓ(x + η), η uniform in [−kε, kε] (arXiv 2202.01181, eq. 4).
        """
        recipe, attack = self.recipe, self.recipe.training_attack
        if attack is None:
            return x
        if recipe.noise:
            eta = NORMS[attack.norm].noise(x, self._random(NOISE, x))
            x = (x + recipe.noise * attack.eps * eta).clamp(0, 1)
        model = folded(self.model, x) if recipe.fold else self.model
        return perturb(model, x, y, attack, precision=recipe.precision, random=self._random(ATTACK, x))

    def _random(self, purpose: int, x: Tensor) -> torch.Generator:
        """Of this step's noise for this process's share, past that of the shares before it."""
        random = generator(self.recipe.seed, purpose, self.step)
        torch.rand(self.ranks.rank * len(x), *x.shape[1:], generator=random)
        return random

    def _validate(self, epoch: int, report: Report) -> dict[str, float]:
        """Remembers the best weights by the last of the scores."""
        scores = validate(self.candidate, self.validation, self.recipe, report)
        score = list(scores.values())[-1] if scores else 0.0
        if scores and (self.best is None or score >= self.best["score"]):
            weights = {name: tensor.detach().clone() for name, tensor in self.candidate.state_dict().items()}
            self.best = {"score": score, "epoch": epoch, "model": weights}
        return scores

    def finished_model(self) -> tuple[CNN, int]:
        """The model the recipe keeps, in eval mode, and the epoch it is of."""
        epoch = self.recipe.epochs
        if self.recipe.keep == "best" and self.best is not None:
            self.candidate.load_state_dict(self.best["model"])
            epoch = self.best["epoch"]
        return self.candidate.eval(), epoch

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "best": self.best,
            "average": None if self.average is None else self.average.model.state_dict(),
            "unlogged": self._unlogged,
        }
        write_json(self.folder / "recipe.json", self.recipe.as_dict())
        with replacing(self.folder / "state.pt") as temporary:
            torch.save(state, temporary)

    def _resume(self) -> None:
        path = self.folder / "state.pt"
        if not path.exists():
            if self.ranks.first:
                self.log.path.unlink(missing_ok=True)
            return
        try:
            written = json.loads((self.folder / "recipe.json").read_text(encoding="utf-8"))
            state = _read_state(path, self.device)
        except (*UNREADABLE_ZIP, TypeError, AttributeError, UnpicklingError) as error:
            raise CheckpointError(
                f"{self.folder}: recipe.json or state.pt is missing or damaged; remove this folder to start again"
            ) from error
        if not _same(written, self.recipe):
            raise CheckpointError(
                f"{self.folder} holds a run of another recipe; give another folder, or remove this one"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        self.cpu_seconds = state.get("cpu_seconds", 0.0)
        self._unlogged = state.get("unlogged")
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
        if self.ranks.first:
            self.log.forget_steps_after(self.step - (self._unlogged is not None))


def _accuracies(traced: Trace, y: Tensor) -> dict[str, Tensor]:
    """Of the network, and of every probe as "probe <layer>"."""
    probes = {f"probe {name}": selection.raw_prediction for name, selection in traced.layers.items()}
    logits = {"accuracy": traced.logits, **probes}
    return {name: (p.detach().argmax(dim=1) == y).float().mean() for name, p in logits.items()}


def _read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """What `save` wrote. Raises one of many errors where it is damaged; a changed weight alone torch would take."""
    with ZipFile(path) as held:
        if (part := held.testzip()) is not None:
            raise BadZipFile(f"{part} is not what was written")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def _same(written: dict[str, Any], recipe: Recipe) -> bool:
    """Whether recipe.json says this recipe; a key that is newer than the file has its default."""
    try:
        before = parse_recipe("recipe.json", written)
    except CIFSError:
        return False
    return before.as_dict() == recipe.as_dict()
