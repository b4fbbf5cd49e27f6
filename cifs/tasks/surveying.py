"""`survey`: which images an attack flips and what it does to every channel, saved beside the checkpoint."""

import json
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field

from cifs.attacks import ATTACKS, Attack, perturb
from cifs.channels.survey import Survey, Surveyor
from cifs.data import Images, Split
from cifs.models import CNN
from cifs.precision import device_of
from cifs.progress import Progress, Report
from cifs.registry import configure, settings
from cifs.tasks.base import TASKS, Prepared, Workspace, first_images
from cifs.zoo import Entry

BATCH = 250


class SurveyRecord(BaseModel):
    """What `survey` tells; each image is in the file."""

    model: str
    dataset: str
    n: int
    attack: dict[str, Any]
    right: int = Field(description="images the model gets right before any attack")
    flipped: int = Field(description="of those, how many the attack takes away")
    flipped_by_noise: int = Field(description="of those, how many the control does: as large, of random sign")
    saved: str


@TASKS.register("survey")
@settings
class SurveyImages:
    """Attack many test images: who is flipped, by which margin, and every channel by class, with a control."""

    model: str = Field(description="id in the zoo")
    attack: str = Field(default="pgd", description="a registered attack")
    set: dict[str, Any] = Field(default_factory=dict, description="its parameters, e.g. eps=8/255 or steps=20")
    data: str | None = Field(default=None, description="data set; default: the model's own")
    n: int | None = Field(default=None, ge=1, description="first n test images only")

    def prepare(self, workspace: Workspace) -> Prepared:
        entry = workspace.zoo.entry(self.model)
        attack = configure(ATTACKS, self.attack, self.set)
        data = self.data or entry.info.dataset
        images = first_images(data, "test", self.n)
        path = survey_path(entry, data, "test", len(images), attack)
        run = partial(self._run, entry, workspace.load(entry, data), data, images, attack)
        return Prepared(run, saves=path)

    def _run(self, entry: Entry, model: CNN, data: str, images: Images, attack: Attack, report: Report) -> SurveyRecord:
        found = _survey(model, images, attack, report)
        path = survey_path(entry, data, "test", len(images), attack)
        found.save(path, {"weights": entry.digests()["weights"], "attack": attack.resolved()})
        right = found.predictions["natural"] == found.labels
        flipped, by_noise = (right & (found.predictions[i] != found.labels) for i in ("adversarial", "noise"))
        return SurveyRecord(
            model=self.model,
            dataset=data,
            n=len(images),
            attack=attack.resolved(),
            right=int(right.sum()),
            flipped=int(flipped.sum()),
            flipped_by_noise=int(by_noise.sum()),
            saved=str(path),
        )


def _survey(model: CNN, images: Images, attack: Attack, report: Report) -> Survey:
    surveyor, here = Surveyor(model, attack.seed), Progress("attacking images", 0, len(images))
    report(here)
    for index in torch.arange(len(images)).split(BATCH):
        x, y = (t.to(device_of(model)) for t in images[index].batch(slice(None)))

        def pulse(step: Progress, here: Progress = here) -> None:
            report(here)

        surveyor.add(x, perturb(model, x, y, attack, report=pulse), y)
        here = replace(here, done=here.done + len(index))
        report(here)
    return surveyor.survey()


def survey_path(entry: Entry, data: str, split: Split, n: int, attack: Attack) -> Path:
    """Of the first n images of a split under this very attack."""
    resolved = json.dumps(attack.resolved(), sort_keys=True)
    return entry.folder / "surveys" / f"{data}-{split}-{n}-{sha256(resolved.encode()).hexdigest()[:12]}.npz"


def survey_of(entry: Entry, data: str, split: Split, n: int, attack: Attack) -> Survey | None:
    """The one saved of the entry's weights; None where there is none. Raises CheckpointError for a corrupt file."""
    path = survey_path(entry, data, split, n, attack)
    if not path.exists():
        return None
    found, about = Survey.load(path)
    return found if about.get("weights") == entry.digests()["weights"] else None
