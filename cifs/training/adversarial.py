"""Adversarial training with ℓ_β: one loop, resumable to the step.

Every random choice is a function of (seed, purpose, step), so a run that is killed and resumed makes the choices that
one left alone would have made. Choices are made for the whole batch, so several processes make those of one.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from cifs.attacks import Attack, perturb, survives
from cifs.data import Images, random_crop, random_flip
from cifs.errors import CheckpointError, CIFSError
from cifs.files import replacing, write_json
from cifs.methods import METHODS
from cifs.models import CNN, build
from cifs.modes import eval_mode
from cifs.precision import autocast, device_of, generator
from cifs.training.material import gather
from cifs.training.ranks import ALONE, Ranks, synchronise_batch_norm
from cifs.training.recipe import Recipe, parse_recipe
from cifs.zoo import Zoo

SHUFFLE, AUGMENT, ATTACK, INITIALISE = range(4)  # purposes of random numbers


@dataclass(frozen=True)
class Progress:
    step: int
    steps: int
    epoch: int
    metrics: dict[str, float]  # of this step; of the validation at the end of an epoch


@dataclass
class Run:
    """A training run in a folder: state.pt (to resume from), metrics.jsonl, recipe.json.

    With several processes all read the folder, and the first alone writes. The zoo is where `recipe.init` is found.
    """

    recipe: Recipe
    folder: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    ranks: Ranks = ALONE
    zoo: Zoo = field(default_factory=lambda: Zoo(Path("checkpoints")))

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.ranks.check(recipe.batch_size)
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
        self.step = 0
        self.seconds = 0.0  # of training so far, over all sessions
        self.best: dict[str, Any] | None = None  # {"score", "epoch", "model"}
        self._resume()

    def train(
        self,
        *,
        report: Callable[[Progress], None] = lambda progress: None,
        stop: Callable[[], bool] = lambda: False,
        save_every: int = 500,
    ) -> bool:
        """Trains to the end or until `stop` says so; the state is saved either way. Returns whether it is the end.

        With several processes the first alone reports, and any of them can stop all.
        """
        started = time.monotonic() - self.seconds
        self.model.train()
        for x, y in self._batches():
            metrics = self._train_on(x, y)
            self.step += 1
            epoch = (self.step - 1) // self.steps_per_epoch + 1
            if self.step % self.steps_per_epoch == 0 and self.ranks.first and self._validates_after(epoch):
                metrics |= self._validate(epoch)
            self.seconds = time.monotonic() - started
            if self.ranks.first:
                self._log({"step": self.step, "epoch": epoch, **metrics})
                report(Progress(self.step, self.steps, epoch, metrics))
            stopping = self.ranks.any(stop())
            due = stopping or self.step % save_every == 0 or self.step % self.steps_per_epoch == 0
            if due and self.ranks.first:
                self.save()
            if stopping:
                break
        self.ranks.wait()  # for the first to have saved
        return self.step == self.steps

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
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

    def _train_on(self, x: Tensor, y: Tensor) -> dict[str, float]:
        recipe = self.recipe
        if recipe.training_attack is not None:
            random = generator(recipe.seed, ATTACK, self.step)
            torch.rand(self.ranks.rank * len(x), *x.shape[1:], generator=random)  # noise of the shares before this one
            x = perturb(self.model, x, y, recipe.training_attack, precision=recipe.precision, random=random)
        lr = recipe.lr_at(self.step / self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with autocast(self.device, recipe.precision):
            traced = self.model.trace(x, y)
        loss = self.method.loss(traced, y, recipe.beta).mean()
        self.optimizer.zero_grad(set_to_none=True)
        (recipe.loss_scale * loss).backward()
        self.ranks.average([p.grad for p in self.model.parameters() if p.grad is not None])
        self.optimizer.step()
        loss, accuracy = loss.detach(), (traced.logits.argmax(dim=1) == y).float().mean()
        self.ranks.average([loss, accuracy])
        return {"lr": lr, "loss": loss.item(), "accuracy": accuracy.item()}

    def _validates_after(self, epoch: int) -> bool:
        return epoch % self.recipe.validate_every == 0 or epoch == self.recipe.epochs

    def _validate(self, epoch: int) -> dict[str, float]:
        """Accuracies on the validation images; remembers the best weights by the last of them."""
        if len(self.validation) == 0:
            return {}
        scores = {"validation_natural": natural_accuracy(self.model, self.validation)}
        if self.recipe.checking_attack is not None:
            robust = self._standing(self.recipe.checking_attack, torch.ones(len(self.validation), dtype=torch.bool))
            scores["validation_robust"] = robust.float().mean().item()
            for attack in self.recipe.further_checking_attacks:
                robust = self._standing(attack, robust)
                scores["validation_adaptive"] = robust.float().mean().item()
        score = list(scores.values())[-1]
        if self.best is None or score >= self.best["score"]:
            weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            self.best = {"score": score, "epoch": epoch, "model": weights}
        return scores

    def _standing(self, attack: Attack, among: Tensor) -> Tensor:
        """Which of the validation images `among` (N,) bool withstand an attack, (N,) bool."""
        standing = torch.zeros_like(among)
        for index in among.nonzero()[:, 0].split(500):
            x, y = (t.to(self.device) for t in self.validation.batch(index))
            standing[index] = survives(self.model, x, y, attack, precision=self.recipe.precision).cpu()
        return standing

    def finished_model(self) -> tuple[CNN, int]:
        """The model the recipe keeps, in eval mode, and the epoch it is of."""
        epoch = self.recipe.epochs
        if self.recipe.keep == "best" and self.best is not None:
            self.model.load_state_dict(self.best["model"])
            epoch = self.best["epoch"]
        return self.model.eval(), epoch

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
        }
        write_json(self.folder / "recipe.json", self.recipe.as_dict())
        with replacing(self.folder / "state.pt") as temporary:
            torch.save(state, temporary)

    def _resume(self) -> None:
        path = self.folder / "state.pt"
        if not path.exists():
            if self.ranks.first:
                (self.folder / "metrics.jsonl").unlink(missing_ok=True)
            return
        try:
            written = json.loads((self.folder / "recipe.json").read_text(encoding="utf-8"))
            state = torch.load(path, map_location=self.device, weights_only=True)
        except (OSError, ValueError, RuntimeError, EOFError, UnpicklingError) as error:
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
        if self.ranks.first:
            self._forget_steps_after(self.step)

    def _forget_steps_after(self, step: int) -> None:
        """Steps that were logged but not saved will be made, and logged, again."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        with replacing(path) as temporary:
            kept = (line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step)
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def _log(self, metrics: dict[str, float]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")


def _same(written: dict[str, Any], recipe: Recipe) -> bool:
    """Whether recipe.json says this recipe; a key that is newer than the file has its default."""
    try:
        before = parse_recipe("recipe.json", written)
    except CIFSError:
        return False
    return before.as_dict() == recipe.as_dict()


@torch.no_grad()
def natural_accuracy(model: CNN, images: Images, *, batch_size: int = 500) -> float:
    """Share of images the model predicts right, in eval mode and float32."""
    right = 0
    with eval_mode(model):
        for index in torch.arange(len(images)).split(batch_size):
            x, y = (t.to(device_of(model)) for t in images.batch(index))
            right += int((model(x).argmax(dim=1) == y).sum())
    return right / len(images)
