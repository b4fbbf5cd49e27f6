"""A page for every channel: the images that tell what it looks for, its class profile, its nearest channels.

One stream over a data set for all channels of all layers, natural and attacked. Memory does not grow with the images;
sums are in float64.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cifs.attacks import Attack, perturb
from cifs.channels.statistics import ClassMeans
from cifs.channels.view import View, views
from cifs.data import Images
from cifs.errors import CheckpointError, InvalidParameter, UnknownName
from cifs.files import UNREADABLE_NPZ, reason, replacing
from cifs.models import CNN
from cifs.precision import Precision, device_of
from cifs.progress import Progress, Report, unreported

TOP = 12  # images a channel
NEAREST = 6  # channels
RANKINGS = ("activation", "relevance")
Arrays = dict[str, NDArray[Any]]


class ChannelPage(NamedTuple):
    """What is known of one channel."""

    images: dict[str, list[int]]  # by ranking: indices in the split, the best first
    values: dict[str, list[float]]  # by ranking: what they are ranked by
    attacked_images: dict[str, list[int]]  # the same of the attacked images; empty where none were attacked
    attacked_values: dict[str, list[float]]
    activation: NDArray[np.float32]  # (K,) mean over the images of each class
    relevance: NDArray[np.float32]  # (K,) mean true relevance for the class of its images: its weight in the class
    nearest: list[int]  # channels of the layer whose activation goes with it over all images, the nearest first
    correlation: list[float]  # with each of them


@dataclass(frozen=True)
class Exemplars:
    """By f"{layer}/{quantity}": images/…, values/… (C, TOP), activation, relevance (K, C), nearest, correlation.

    And of attacked images attacked/images/…, attacked/values/… (C, TOP).
    """

    arrays: Arrays
    counts: NDArray[np.int64]  # images of each class
    dataset: str
    split: str
    weights: str | None = None  # SHA-256 of the weights' file they are of
    attack: dict[str, Any] | None = None  # resolved; None where no image was attacked

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

        def ranked(kind: str) -> dict[str, list[Any]]:
            return {name: of[f"{kind}/{name}"][channel].tolist() for name in RANKINGS if f"{kind}/{name}" in of}

        return ChannelPage(
            images=ranked("images"),
            values=ranked("values"),
            attacked_images=ranked("attacked/images"),
            attacked_values=ranked("attacked/values"),
            activation=of["activation"][:, channel],
            relevance=of["relevance"][:, channel],
            nearest=of["nearest"][channel].tolist(),
            correlation=of["correlation"][channel].tolist(),
        )

    def save(self, path: Path) -> None:
        about = {key: getattr(self, key) for key in ("dataset", "split", "weights", "attack")}
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **self.arrays, counts=self.counts, about=np.array(json.dumps(about)))  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "Exemplars":
        """Raises CheckpointError for a corrupt or foreign file."""
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            return cls(counts=arrays.pop("counts"), **json.loads(str(arrays.pop("about"))), arrays=arrays)
        except UNREADABLE_NPZ as error:
            raise CheckpointError(
                f"{path.parent.name}/{path.name} is missing or no exemplars ({reason(error)})"
            ) from error


def exemplars(
    model: CNN,
    batches: Iterable[Images],
    *,
    dataset: str,
    split: str,
    attack: Attack | None = None,
    precision: Precision = "float32",
    report: Report = unreported,
) -> Exemplars:
    """Of all channels over the images of all batches, which follow each other in the split.

    Images are ranked by activation a, and by relevance: g · a for the label, for before a linear head g alone is the
    same for all images of a class. With an attack so are the images it makes, by their own a and g: `precision` is of
    its gradients alone. `report` is called at every step of it, and may raise Cancelled.
    """
    streams = {layer: _Stream(model.num_classes) for layer in model.layers}
    attacked = {layer: _Best() for layer in model.layers}
    labels: list[Tensor] = []
    here = Progress("looking for what each channel looks for", 0)
    for images in batches:
        x, y = (tensor.to(device_of(model)) for tensor in images.batch(slice(None)))
        for layer, view in views(model, model.layers, x, classes=y).items():
            streams[layer].add(view, y, here.done)
        if attack is not None:

            def pulse(step: Progress, here: Progress = here) -> None:
                report(here)

            x_adv = perturb(model, x, y, attack, precision=precision, report=pulse)
            for layer, view in views(model, model.layers, x_adv, classes=y).items():
                attacked[layer].add(view, here.done)
        labels.append(images.labels)
        here = replace(here, done=here.done + len(images))
        report(here)
    if not here.done:
        raise InvalidParameter("there are no images to look for exemplars in")
    arrays = {f"{layer}/{key}": a for layer, stream in streams.items() for key, a in stream.arrays().items()}
    arrays |= {f"{layer}/attacked/{key}": a for layer, best in attacked.items() for key, a in best.arrays().items()}
    counts = torch.cat(labels).bincount(minlength=model.num_classes).numpy()
    return Exemplars(arrays, counts, dataset, split, attack=None if attack is None else attack.resolved())


def ranked_by(view: View) -> dict[str, Tensor]:
    """By ranking, what the images of a view are ranked by: (N, C) each."""
    return dict(zip(RANKINGS, (view.activation, view.relevance * view.activation), strict=True))


class _Best:
    """The images at which one layer's channels were the most active, and the most relevant, so far."""

    def __init__(self) -> None:
        self.by: dict[str, tuple[Tensor, Tensor]] = {}  # by ranking: values and images, (≤ TOP, C) each

    def add(self, view: View, first: int) -> None:
        a = view.activation
        images = torch.arange(first, first + len(a), device=a.device)[:, None].expand(-1, a.shape[1])
        for ranking, values in ranked_by(view).items():
            self._rank(ranking, values, images)

    def _rank(self, ranking: str, values: Tensor, images: Tensor) -> None:
        if ranking in self.by:
            values, images = (torch.cat(pair) for pair in zip(self.by[ranking], (values, images), strict=True))
        # Sorted and stable, so that of equal values the earliest image comes first, however the batches are cut.
        order = values.argsort(dim=0, descending=True, stable=True)[:TOP]
        self.by[ranking] = values.gather(0, order), images.gather(0, order)

    def arrays(self) -> Arrays:
        found: Arrays = {}
        for ranking, (values, images) in self.by.items():
            found[f"values/{ranking}"] = values.T.float().cpu().numpy()
            found[f"images/{ranking}"] = images.T.cpu().numpy()
        return found


class _Stream:
    """What one layer's channels came to so far."""

    def __init__(self, num_classes: int) -> None:
        self.best = _Best()
        self.activation, self.relevance = ClassMeans(num_classes), ClassMeans(num_classes)
        self.n = 0
        self.sums: Tensor | float = 0.0  # (C,) of activations
        self.products: Tensor | float = 0.0  # (C, C)

    def add(self, view: View, labels: Tensor, first: int) -> None:
        self.best.add(view, first)
        self.activation.add(view.activation, labels)
        self.relevance.add(view.relevance, labels)
        rows = view.activation.double().cpu()
        self.n += len(rows)
        self.sums = self.sums + rows.sum(dim=0)
        self.products = self.products + rows.T @ rows

    def arrays(self) -> Arrays:
        nearest, correlation = self._nearest()
        found = self.best.arrays() | {"nearest": nearest.numpy(), "correlation": correlation.float().numpy()}
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
