"""`exemplars`: what every channel looks for, saved in exemplars.npz: one stream over natural and attacked images."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field

from cifs.attacks import PGD, Attack
from cifs.channels.exemplars import Exemplars, exemplars
from cifs.data import Images
from cifs.models import CNN
from cifs.progress import Progress, Report
from cifs.registry import settings
from cifs.tasks.base import TASKS, Budget, Prepared, Workspace, budget_of, first_images
from cifs.zoo import Entry

BATCH = 250
STEPS = 20  # of PGD


class ExemplarsRecord(BaseModel):
    """What `exemplars` tells; the pages are in the file."""

    model: str
    dataset: str
    n: int
    attack: dict[str, Any] | None = None  # resolved; None where no image was attacked
    seconds: float
    channels: dict[str, int]  # by layer
    saved: str


@TASKS.register("exemplars")
@settings
class FindExemplars:
    """The images that tell what each channel looks for, natural and under PGD-20, its class profile, its neighbours."""

    model: str = Field(description="id in the zoo")
    data: str | None = Field(default=None, description="data set; default: the model's own")
    n: int | None = Field(default=None, ge=1, description="first n test images only")
    eps: Budget | None = Field(default=None, description="ε of PGD-20; default: the data set's; 0: no attack")

    def prepare(self, workspace: Workspace) -> Prepared:
        entry = workspace.zoo.entry(self.model)
        data = self.data or entry.info.dataset
        images = first_images(data, "test", self.n)
        eps = budget_of(self.eps, entry.info.dataset)
        attack = PGD(eps=eps, steps=STEPS) if eps else None
        run = partial(self._run, entry, workspace.load(entry, data), data, images, attack)
        return Prepared(run, saves=exemplars_path(entry))

    def _run(
        self, entry: Entry, model: CNN, data: str, images: Images, attack: Attack | None, report: Report
    ) -> ExemplarsRecord:
        began = time.perf_counter()

        def tell(progress: Progress) -> None:
            report(Progress(progress.doing, progress.done, len(images)))

        tell(Progress("looking for what each channel looks for"))
        batches = (images[index] for index in torch.arange(len(images)).split(BATCH))
        found = exemplars(model, batches, dataset=data, split="test", attack=attack, precision="bf16", report=tell)
        replace(found, weights=entry.digests()["weights"]).save(exemplars_path(entry))
        channels = {layer: len(found.arrays[f"{layer}/nearest"]) for layer in found.layers}
        saved = str(exemplars_path(entry))
        return ExemplarsRecord(
            model=self.model,
            dataset=data,
            n=len(images),
            attack=found.attack,
            seconds=time.perf_counter() - began,
            channels=channels,
            saved=saved,
        )


def exemplars_path(entry: Entry) -> Path:
    return entry.folder / "exemplars.npz"


def exemplars_of(entry: Entry) -> Exemplars | None:
    """Those of the entry's weights; None where there are none. Raises CheckpointError for a corrupt file."""
    path = exemplars_path(entry)
    if not path.exists():
        return None
    found = Exemplars.load(path)
    return found if found.weights in (None, entry.digests()["weights"]) else None
