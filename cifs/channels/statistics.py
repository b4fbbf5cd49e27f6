"""Channel statistics by class: natural against attacked, at every layer.

Memory does not grow with the images, but for the two numbers of each image and layer that its shift is. Sums are kept
in float64, so one batch or fifty give the same means.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cifs.attacks import Attack, perturb
from cifs.channels.activation import active
from cifs.channels.shift import Shift, bootstrap, image_shift
from cifs.channels.view import View, views
from cifs.data import Images
from cifs.errors import CheckpointError, InvalidParameter, UnknownName
from cifs.files import UNREADABLE_NPZ, reason, replacing
from cifs.memory import give_back
from cifs.models import CNN, adapt
from cifs.precision import Precision, device_of
from cifs.progress import Progress, Report, unreported

INPUTS = ("natural", "adversarial")


@dataclass
class ClassMeans:
    """Running means of (N, C) rows by class."""

    num_classes: int
    sums: Tensor | None = None  # float64 (K, C)
    counts: Tensor = field(init=False)  # int64 (K,)

    def __post_init__(self) -> None:
        self.counts = torch.zeros(self.num_classes, dtype=torch.int64)

    def add(self, rows: Tensor, labels: Tensor) -> None:
        rows, labels = rows.detach().double().cpu(), labels.cpu()
        if self.sums is None:
            self.sums = torch.zeros(self.num_classes, rows.shape[1], dtype=torch.float64)
        self.sums.index_add_(0, labels, rows)
        self.counts += torch.bincount(labels, minlength=self.num_classes)

    def mean(self) -> Tensor:
        """(K, C); NaN for a class without images."""
        assert self.sums is not None
        return self.sums / self.counts[:, None]


@dataclass(frozen=True)
class ChannelStatistics:
    """Means over the images of each class, by layer: arrays[f"{layer}/{natural|adversarial}/{quantity}"] is (K, C).

    Quantities: activation, frequency (share of images on which the channel is active), relevance (true, for the label),
    and at modified layers importance and selected.
    """

    arrays: dict[str, NDArray[np.float32]]
    counts: NDArray[np.int64]  # images of each class
    dataset: str
    split: str
    attack: dict[str, Any]
    labels: NDArray[np.int64] | None = None  # (N,) of each image; None, as shifts, in files from before they were kept
    shifts: NDArray[np.float32] | None = None  # (layers, N, 2) of each image, as image_shift

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key.split("/")[0] for key in self.arrays))

    def of(self, layer: str, inputs: str, label: int) -> dict[str, NDArray[np.float32]]:
        """quantity → (C,) of one class. Raises UnknownName."""
        self._check(layer, label)
        prefix = f"{layer}/{inputs}/"
        return {key.removeprefix(prefix): a[label] for key, a in self.arrays.items() if key.startswith(prefix)}

    def partings(self, layer: str) -> NDArray[np.float64]:
        """How far the attack parted NR from PR channels, class by class (K,); NaN for a class without images.

        The mean rise of the class's NR channels less that of its PR channels, over its mean natural |activation|. Kinds
        are told apart by the class's mean relevance. Raises UnknownName.
        """
        self._check(layer, 0)
        natural, g = (self.arrays[f"{layer}/natural/{key}"] for key in ("activation", "relevance"))
        rise = self.arrays[f"{layer}/adversarial/activation"].astype(np.float64) - natural
        nr, pr = (np.where(kind, rise, 0).sum(axis=1) / np.maximum(kind.sum(axis=1), 1) for kind in (g <= 0, g > 0))
        parted: NDArray[np.float64] = (nr - pr) / np.abs(natural).mean(axis=1)
        return parted

    def shift(self, layer: str, label: int | None = None) -> Shift | None:
        """What the attack did at a layer to the images of one class or of all; None where it was not kept.

        Raises UnknownName.
        """
        self._check(layer, label or 0)
        if self.labels is None or self.shifts is None:
            return None
        chosen = slice(None) if label is None else self.labels == label
        nr, pr = (bootstrap(values) for values in self.shifts[self.layers.index(layer), chosen].T)
        # Magnitudes, for where a WRN adds up its blocks activations can be negative.
        mean_activation = np.abs(self.arrays[f"{layer}/natural/activation"]).mean(axis=1)
        seen = self.counts > 0
        return Shift(nr, pr, float(np.average(mean_activation[seen], weights=self.counts[seen])))

    def _check(self, layer: str, label: int) -> None:
        if layer not in self.layers:
            raise UnknownName("layer", layer, self.layers)
        if not 0 <= label < len(self.counts):
            raise UnknownName("class", label, map(str, range(len(self.counts))))

    def save(self, path: Path) -> None:
        about = json.dumps({"dataset": self.dataset, "split": self.split, "attack": self.attack})
        arrays: dict[str, Any] = {**self.arrays, "counts": self.counts, "about": np.array(about)}
        if self.labels is not None and self.shifts is not None:
            arrays |= {"labels": self.labels, "shifts": self.shifts}
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **arrays)

    @classmethod
    def load(cls, path: Path) -> "ChannelStatistics":
        """Raises CheckpointError for a corrupt or foreign file."""
        try:
            # Opened here, for np.load leaves a corrupt file open.
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            about = json.loads(str(arrays.pop("about")))
            of_images = {name: arrays.pop(name, None) for name in ("labels", "shifts")}
            return cls(counts=arrays.pop("counts"), **about, **of_images, arrays=arrays)
        except UNREADABLE_NPZ as error:
            raise CheckpointError(
                f"{path.parent.name}/{path.name} is missing or no channel statistics ({reason(error)})"
            ) from error


def channel_statistics(
    model: nn.Module,
    batches: Iterable[Images],
    attack: Attack,
    *,
    dataset: str,
    split: str,
    precision: Precision = "float32",
    total: int | None = None,
    report: Report = unreported,
) -> ChannelStatistics:
    """Statistics over the images of all batches, natural and attacked. Memory does not grow with their number.

    Of any classifier: at a model's own layers, or at the blocks that `adapt` lists. total: how many images there are,
    for `report`, which is called at every step of the attack and may raise Cancelled.
    """
    gathered: Gathered | None = None
    here = Progress("channel statistics", 0, total)
    report(here)
    for images in batches:
        x, y = (t.to(device_of(model)) for t in images.batch(slice(None)))
        gathered = gathered or Gathered(adapt(model, image_shape=tuple(x.shape[1:])))  # type: ignore[arg-type]

        def pulse(step: Progress, here: Progress = here) -> None:
            report(here)

        x_adv = perturb(gathered.model, x, y, attack, precision=precision, report=pulse)
        gathered.add(x, x_adv, y)
        here = replace(here, done=here.done + len(images))
        give_back()
        report(here)
    if gathered is None:
        raise InvalidParameter("there are no images to make statistics of")
    return gathered.statistics(dataset, split, attack)


class Gathered:
    """What the batches so far came to."""

    def __init__(self, model: CNN) -> None:
        self.model = model
        self.means: dict[str, ClassMeans] = {}
        self.labels: list[Tensor] = []
        self.shifts: dict[str, list[Tensor]] = {layer: [] for layer in model.layers}

    def add(self, x: Tensor, x_adv: Tensor, y: Tensor) -> None:
        """One batch, natural and attacked (N, C₀, H₀, W₀): two passes, whatever the number of layers."""
        self.labels.append(y.cpu())
        natural, adversarial = (views(self.model, self.model.layers, data, classes=y) for data in (x, x_adv))
        for layer, shifts in self.shifts.items():
            before, after = natural[layer], adversarial[layer]
            shifts.append(image_shift(before.relevance, before.activation, after.activation).cpu())
            for inputs, looked_at in zip(INPUTS, (before, after), strict=True):
                self._add_means(f"{layer}/{inputs}", looked_at, y)

    def _add_means(self, prefix: str, looked_at: View, y: Tensor) -> None:
        quantities = {
            "activation": looked_at.activation,
            "frequency": active(looked_at.activation),
            "relevance": looked_at.relevance,
            "importance": looked_at.importance,
            "selected": looked_at.selected,
        }
        for quantity, rows in quantities.items():
            if rows is not None:
                self.means.setdefault(f"{prefix}/{quantity}", ClassMeans(self.model.num_classes)).add(rows, y)

    def statistics(self, dataset: str, split: str, attack: Attack) -> ChannelStatistics:
        labels = torch.cat(self.labels)
        return ChannelStatistics(
            arrays={key: mean.mean().float().numpy() for key, mean in self.means.items()},
            counts=labels.bincount(minlength=self.model.num_classes).numpy(),
            dataset=dataset,
            split=split,
            attack=attack.resolved(),
            labels=labels.numpy(),
            shifts=torch.stack([torch.cat(of_layer) for of_layer in self.shifts.values()]).numpy(),
        )
