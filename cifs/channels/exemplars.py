"""A page for every channel: the images that tell what it looks for, its class profile, its nearest channels.

One stream over a data set for all channels of all layers. Memory does not grow with the images; sums are in float64.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cifs.channels.statistics import ClassMeans
from cifs.channels.view import View, views
from cifs.data import Images
from cifs.errors import CheckpointError, InvalidParameter, UnknownName
from cifs.files import UNREADABLE_NPZ, replacing
from cifs.models import CNN
from cifs.precision import device_of
from cifs.progress import Progress, Report, unreported

TOP = 12  # images a channel
NEAREST = 6  # channels
RANKINGS = ("activation", "relevance")
Arrays = dict[str, NDArray[Any]]


class ChannelPage(NamedTuple):
    """What is known of one channel."""

    images: dict[str, list[int]]  # by ranking: indices in the split, the best first
    values: dict[str, list[float]]  # by ranking: what they are ranked by
    activation: NDArray[np.float32]  # (K,) mean over the images of each class
    relevance: NDArray[np.float32]  # (K,) mean true relevance for the class of its images: its weight in the class
    nearest: list[int]  # channels of the layer whose activation goes with it over all images, the nearest first
    correlation: list[float]  # with each of them


@dataclass(frozen=True)
class Exemplars:
    """By f"{layer}/{quantity}": images/…, values/… (C, TOP), activation, relevance (K, C), nearest, correlation."""

    arrays: Arrays
    counts: NDArray[np.int64]  # images of each class
    dataset: str
    split: str
    weights: str | None = None  # SHA-256 of the weights' file they are of

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key.split("/")[0] for key in self.arrays))

    def page(self, layer: str, channel: int) -> ChannelPage:
        """Raises UnknownName."""
        if layer not in self.layers:
            raise UnknownName("layer", layer, self.layers)
        of = {key.removeprefix(f"{layer}/"): a for key, a in self.arrays.items() if key.startswith(f"{layer}/")}
        if not 0 <= channel < len(of["nearest"]):
            raise UnknownName("channel", channel, [f"0 to {len(of['nearest']) - 1}"])
        return ChannelPage(
            images={ranking: of[f"images/{ranking}"][channel].tolist() for ranking in RANKINGS},
            values={ranking: of[f"values/{ranking}"][channel].tolist() for ranking in RANKINGS},
            activation=of["activation"][:, channel],
            relevance=of["relevance"][:, channel],
            nearest=of["nearest"][channel].tolist(),
            correlation=of["correlation"][channel].tolist(),
        )

    def save(self, path: Path) -> None:
        about = np.array(json.dumps({"dataset": self.dataset, "split": self.split, "weights": self.weights}))
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **self.arrays, counts=self.counts, about=about)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "Exemplars":
        """Raises CheckpointError for a corrupt or foreign file."""
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            return cls(counts=arrays.pop("counts"), **json.loads(str(arrays.pop("about"))), arrays=arrays)
        except UNREADABLE_NPZ as error:
            raise CheckpointError(f"{path.parent.name}/{path.name} is missing or no exemplars ({error})") from error


def exemplars(
    model: CNN, batches: Iterable[Images], *, dataset: str, split: str, report: Report = unreported
) -> Exemplars:
    """Of all channels over the images of all batches, which follow each other in the split.

    Images are ranked by activation a, and by relevance: g · a for the label, for before a linear head g alone is the
    same for all images of a class.
    """
    streams = {layer: _Stream(model.num_classes) for layer in model.layers}
    first, labels = 0, []
    for images in batches:
        x, y = (tensor.to(device_of(model)) for tensor in images.batch(slice(None)))
        for layer, view in views(model, model.layers, x, classes=y).items():
            streams[layer].add(view, y, first)
        first += len(images)
        labels.append(images.labels)
        report(Progress("looking for what each channel looks for", first))
    if not first:
        raise InvalidParameter("there are no images to look for exemplars in")
    arrays = {f"{layer}/{key}": a for layer, stream in streams.items() for key, a in stream.arrays().items()}
    return Exemplars(arrays, torch.cat(labels).bincount(minlength=model.num_classes).numpy(), dataset, split)


class _Stream:
    """What one layer's channels came to so far."""

    def __init__(self, num_classes: int) -> None:
        self.best: dict[str, tuple[Tensor, Tensor]] = {}  # by ranking: values and images, (≤ TOP, C) each
        self.activation, self.relevance = ClassMeans(num_classes), ClassMeans(num_classes)
        self.n = 0
        self.sums: Tensor | float = 0.0  # (C,) of activations
        self.products: Tensor | float = 0.0  # (C, C)

    def add(self, view: View, labels: Tensor, first: int) -> None:
        a, g = view.activation, view.relevance
        images = torch.arange(first, first + len(a), device=a.device)[:, None].expand(-1, a.shape[1])
        for ranking, values in (("activation", a), ("relevance", g * a)):
            self._rank(ranking, values, images)
        self.activation.add(a, labels)
        self.relevance.add(g, labels)
        rows = a.double().cpu()
        self.n += len(rows)
        self.sums = self.sums + rows.sum(dim=0)
        self.products = self.products + rows.T @ rows

    def _rank(self, ranking: str, values: Tensor, images: Tensor) -> None:
        if ranking in self.best:
            values, images = (torch.cat(pair) for pair in zip(self.best[ranking], (values, images), strict=True))
        # Sorted and stable, so that of equal values the earliest image comes first, however the batches are cut.
        order = values.argsort(dim=0, descending=True, stable=True)[:TOP]
        self.best[ranking] = values.gather(0, order), images.gather(0, order)

    def arrays(self) -> Arrays:
        nearest, correlation = self._nearest()
        found: Arrays = {"nearest": nearest.numpy(), "correlation": correlation.float().numpy()}
        for ranking, (values, images) in self.best.items():
            found[f"values/{ranking}"] = values.T.float().cpu().numpy()
            found[f"images/{ranking}"] = images.T.cpu().numpy()
        for name, means in (("activation", self.activation), ("relevance", self.relevance)):
            found[name] = means.mean().float().numpy()
        return found

    def _nearest(self) -> tuple[Tensor, Tensor]:
        """Channels and Pearson's correlation of their activations with each channel's, (C, NEAREST) each."""
        assert isinstance(self.sums, Tensor)
        covariance = self.products - torch.outer(self.sums, self.sums) / self.n
        spread = covariance.diagonal().clamp_min(0).sqrt()
        # A channel that never changes goes with none.
        correlation = (covariance / torch.outer(spread, spread)).nan_to_num(0.0, 0.0, 0.0).clamp(-1, 1)
        correlation.fill_diagonal_(-torch.inf)
        values, channels = correlation.topk(min(NEAREST, len(correlation) - 1), dim=1)
        return channels, values
