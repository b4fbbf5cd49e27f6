"""The verdict of a data set, batch by batch: memory holds one, and a run that was killed goes on after the last."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cifs.data import Images
from cifs.errors import InvalidParameter
from cifs.evaluation import pack, wilson
from cifs.files import UNREADABLE_NPZ, replacing, write_json
from cifs.memory import give_back
from cifs.precision import Precision, device_of
from cifs.progress import Progress, Report, unreported
from cifs.records import Measurement, StageLeft
from cifs.shards import done_together
from cifs.verdict.indicators import INDICATORS, Count, count_all, judged
from cifs.verdict.proof import arrays_of, write_proof
from cifs.verdict.stages import STAGES, Stage, stages_for
from cifs.verdict.trial import STANDS, Trial

VERSION = 1  # of the stages and what they mean: figures of two versions are not compared


@dataclass(frozen=True)
class Verdict:
    """Where every image fell, and whether that is to be trusted."""

    fell: Tensor  # (N,) int: the number of the stage; STANDS; MISTAKEN without any attack
    stages: tuple[Stage, ...]
    eps: float
    counts: Mapping[str, Count]  # by indicator
    passes: int  # forward and backward passes of one image
    precision: str  # of the gradients
    seed: int
    seconds: float
    labels: Tensor  # (N,)

    @property
    def standing(self) -> Tensor:
        """(N,) bool"""
        return self.fell == STANDS

    @property
    def trusted(self) -> bool:
        return all(indicator.passed for indicator in judged(self.counts))

    def measurement(self, classes: int) -> Measurement:
        """As evaluation.json keeps it."""
        correct, n = int(self.standing.sum()), len(self.fell)
        low, high = wilson(correct, n)
        return Measurement(
            accuracy=correct / n,
            low=low,
            high=high,
            correct=correct,
            n=n,
            by_class=torch.bincount(self.labels[self.standing], minlength=classes).tolist(),
            robust=pack(self.standing),
            settings=self.settings(),
            after=self._after(),
            trusted=self.trusted,
            indicators=judged(self.counts),
            passes=self.passes,
            seconds=round(self.seconds, 1),
        )

    def settings(self) -> dict[str, Any]:
        return {
            "name": "verdict",
            "version": VERSION,
            "norm": "linf",
            "eps": self.eps,
            "ensemble": [stage.resolved(self.eps) for stage in self.stages],
            "precision": f"gradients in {self.precision}, success confirmed in float32",
            "seed": self.seed,
            "n": len(self.fell),
        }

    def _after(self) -> list[StageLeft]:
        left, standing = [], int((self.fell >= STANDS).sum())
        for number, stage in enumerate(self.stages):
            standing -= int((self.fell == number).sum())
            through_mask = stage.attack.through_mask
            left.append(StageLeft(stage=stage.name, through_mask=through_mask, correct=standing, remarks=[]))
        return left


def verdict(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    stages: Sequence[Stage] = STAGES,
    precision: Precision = "bf16",
    seed: int = 0,
    report: Report = unreported,
) -> Verdict:
    """The verdict on images x (N, C, H, W) in [0, 1] with labels y (N,), under ℓ∞ within ε, as one batch.

    Raises CIFSError for a model that is no function of the image, InvalidParameter without images, and what `report`
    raises.
    """
    if not len(x):
        raise InvalidParameter("no images: a verdict needs at least one")
    began = time.monotonic()
    trial = Trial(model, x, y, eps, precision, seed, report=report, stages=tuple(stages))
    trial.run()
    counts = count_all(trial)
    seconds = time.monotonic() - began
    return Verdict(trial.fell, trial.stages, eps, counts, trial.passes, trial.precision, seed, seconds, y)


@dataclass(frozen=True)
class Hearing:
    """A model on a data set: what is to be decided, and the folder where decided batches are kept.

    about: what it is of (model, data set, split, digests of weights and configuration), JSON-safe. folder: where
    batches are kept until all are there; a folder of anything else is emptied. shared: by others too, who decide the
    same and take some of the batches; the folder is then theirs alone. Raises InvalidParameter without images.
    """

    model: nn.Module
    images: Images
    eps: float
    folder: Path
    about: Mapping[str, Any] = field(default_factory=dict)
    stages: Sequence[Stage] = STAGES
    indicators: tuple[str, ...] = tuple(INDICATORS)
    precision: Precision = "bf16"
    seed: int = 0
    batch_size: int = 1000
    report: Report = unreported
    shared: bool = False

    def __post_init__(self) -> None:
        if not len(self.images):
            raise InvalidParameter("no images: a verdict needs at least one")

    def run(self) -> Verdict:
        """Every batch that is not decided yet, and the verdict of all. Raises CIFSError, and what `report` raises."""
        if not self.shared:
            self._claim_folder()
            return self._joined([_read(file) or self._decide(number) for number, file in enumerate(self._files)])
        return self._joined(done_together(self._files, _read, self._decide, self._wait))

    def prove(self, path: Path) -> None:
        """Writes the proof of a hearing that has run; the folder goes."""
        write_proof(path, self.identity(), self._files)
        if not self.shared:
            shutil.rmtree(self.folder)

    def identity(self) -> dict[str, Any]:
        """What decided batches, and the proof, are of."""
        return {
            **self.about,
            "images": digest_of(self.images),
            "n": len(self.images),
            "norm": "linf",
            "eps": self.eps,
            "version": VERSION,
            "stages": [stage.resolved(self.eps) for stage in stages_for(self.model, self.stages)],
            "indicators": [*self.indicators],
            "precision": self.precision,
            "seed": self.seed,
            "batch_size": self.batch_size,
        }

    def _claim_folder(self) -> None:
        path, identity = self.folder / "identity.json", self.identity()
        try:
            if json.loads(path.read_text("utf-8")) == json.loads(json.dumps(identity)):
                return
        except (OSError, ValueError):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)
        write_json(path, identity)

    @property
    def _files(self) -> list[Path]:
        """Of the batches."""
        return [self.folder / f"batch-{number:05d}.npz" for number in range(-(-len(self.images) // self.batch_size))]

    def _wait(self) -> None:
        """For those who are at all that is left."""
        decided = sum(self.batch_size for file in self._files if file.exists())
        self.report(Progress("verdict", min(decided, len(self.images)), len(self.images)))

    def _decide(self, number: int) -> dict[str, Any]:
        """Attacks a batch: what is known of it but its images."""
        began = time.monotonic()
        trial = self._attacked(number * self.batch_size)
        notes = {
            "counts": {name: [*count] for name, count in count_all(trial, self.indicators).items()},
            "passes": trial.passes,
            "precision": trial.precision,
        }
        arrays = arrays_of(trial)
        notes["seconds"] = time.monotonic() - began
        with replacing(self._files[number]) as temporary:
            np.savez_compressed(temporary, **{"notes": np.array(json.dumps(notes)), **arrays})  # type: ignore[arg-type]
        fell = trial.fell.cpu()
        del trial
        give_back()
        return {**notes, "fell": fell}

    def _attacked(self, first: int) -> Trial:
        index = torch.arange(first, min(first + self.batch_size, len(self.images)))
        x, y = self.images.batch(index)
        device = device_of(self.model)
        x = x.to(device, memory_format=torch.channels_last)
        trial = Trial(
            self.model, x, y.to(device), self.eps, self.precision, self.seed, first, stages=tuple(self.stages)
        )

        def note(progress: Progress) -> None:
            stage, stages = trial.stage, trial.stages
            done = first + len(y) * stage // len(stages)
            self.report(Progress(f"verdict, {stages[stage].name}", done, len(self.images)))

        trial.report = note
        note(Progress("verdict"))
        trial.run()
        return trial

    def _joined(self, batches: Sequence[Mapping[str, Any]]) -> Verdict:
        sums = [{name: Count(*count) for name, count in batch["counts"].items()} for batch in batches]
        return Verdict(
            fell=torch.cat([batch["fell"] for batch in batches]),
            stages=stages_for(self.model, self.stages),
            eps=self.eps,
            counts={name: reduce(Count.__add__, (counts[name] for counts in sums)) for name in self.indicators},
            passes=sum(batch["passes"] for batch in batches),
            precision=" and ".join(sorted({batch["precision"] for batch in batches})),
            seed=self.seed,
            seconds=sum(batch["seconds"] for batch in batches),
            labels=self.images.labels,
        )


def _read(file: Path) -> dict[str, Any] | None:
    """A decided batch; None where there is none, or a damaged one."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return {**json.loads(str(arrays["notes"])), "fell": torch.from_numpy(arrays["fell"].astype(np.int64))}
    except UNREADABLE_NPZ:
        return None


def digest_of(images: Images) -> str:
    """SHA-256 of images and labels."""
    digest = hashlib.sha256(images.images.contiguous().numpy().data)
    digest.update(images.labels.contiguous().numpy().data)
    return digest.hexdigest()
