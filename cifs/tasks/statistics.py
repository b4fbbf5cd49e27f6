"""`statistics`: every channel by class, natural and attacked, saved in channel_statistics.npz (Figures 1 and 2)."""

from functools import partial

import torch
from pydantic import BaseModel, Field

from cifs.attacks import PGD
from cifs.channels import ChannelStatistics, Estimate, channel_statistics
from cifs.data import Images, dataset
from cifs.models import CNN
from cifs.progress import Report
from cifs.registry import settings
from cifs.tasks.base import TASKS, Budget, Prepared, Workspace, budget_of, first_images
from cifs.zoo import Entry


class ShiftFigures(BaseModel):
    """How far the attack shifted a layer's channels; intervals are 95 % bootstrap, in units of activation."""

    layer: str
    mean_activation: float
    nr_over_activation: tuple[float, float, float] | None  # mean, low, high
    pr_under_activation: tuple[float, float, float] | None


class StatisticsRecord(BaseModel):
    """What `statistics` tells; the means by class are in the file."""

    model: str
    n: int
    norm: str = "linf"
    eps: float
    saved: str | None
    layers: list[ShiftFigures]


@TASKS.register("statistics")
@settings
class MeasureStatistics:
    """Channel statistics by class, natural against PGD-20, and how far NR and PR channels were shifted."""

    model: str = Field(description="id in the zoo")
    n: int | None = Field(default=None, ge=1, description="first n test images only")
    eps: Budget | None = Field(default=None, description="ε of the PGD-20 attack; default: the data set's")

    def prepare(self, workspace: Workspace) -> Prepared:
        entry = workspace.zoo.entry(self.model)
        images = first_images(entry.info.dataset, "test", self.n)
        attack = PGD(eps=budget_of(self.eps, entry.info.dataset), steps=20)
        better = _is_better(entry, images, attack)
        note = f"{entry.statistics_path} is of more images, or of the data set's own ε; this is not saved"
        run = partial(self._run, entry, workspace.load(entry, entry.info.dataset), images, attack, not better)
        return Prepared(run, (note,) if better else (), False, None if better else entry.statistics_path)

    def _run(
        self, entry: Entry, model: CNN, images: Images, attack: PGD, saved: bool, report: Report
    ) -> StatisticsRecord:
        batches = (images[index] for index in torch.arange(len(images)).split(250))
        result = channel_statistics(
            model, batches, attack, dataset=entry.info.dataset, split="test", total=len(images), report=report
        )
        if saved:
            result.save(entry.statistics_path)
        return StatisticsRecord(
            model=self.model,
            n=len(images),
            eps=attack.eps,
            saved=str(entry.statistics_path) if saved else None,
            layers=_shifts(result),
        )


def _is_better(entry: Entry, images: Images, attack: PGD) -> bool:
    """Whether the saved ones are the better to have: at the data set's own ε, or at the same and of more images."""
    if not entry.statistics_path.exists():
        return False
    saved = ChannelStatistics.load(entry.statistics_path)
    usual, eps = dataset(saved.dataset).eps, saved.attack["eps"]
    if (eps == usual) != (attack.eps == usual):
        return bool(eps == usual)
    return bool(eps == attack.eps and saved.counts.sum() > len(images))


def _shifts(statistics: ChannelStatistics) -> list[ShiftFigures]:
    shifts = ((layer, statistics.shift(layer)) for layer in statistics.layers)
    return [
        ShiftFigures(
            layer=layer,
            mean_activation=shift.mean_activation,
            nr_over_activation=_figures(shift.nr_over_activation),
            pr_under_activation=_figures(shift.pr_under_activation),
        )
        for layer, shift in shifts
        if shift
    ]


def _figures(estimate: Estimate | None) -> tuple[float, float, float] | None:
    return None if estimate is None else (estimate.mean, estimate.low, estimate.high)
