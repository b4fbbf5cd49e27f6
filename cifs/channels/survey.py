"""Many images at once: which of them an attack flips, and what it does to every channel, class by class.

The control is each image's own perturbation with the sign of every pixel drawn at random: as many pixels move as far,
but not where the attack wants them to. Memory does not grow with the images, but for a few numbers of each.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cifs.channels.activation import activation
from cifs.channels.capture import capture
from cifs.channels.statistics import ClassMeans
from cifs.channels.view import views
from cifs.errors import CheckpointError, InvalidParameter, UnknownName
from cifs.files import UNREADABLE_NPZ, reason, replacing
from cifs.losses import cw_margin
from cifs.models import CNN
from cifs.modes import eval_mode

INPUTS = ("natural", "adversarial", "noise")


@dataclass(frozen=True)
class Survey:
    """N images in the order they came. A margin is max_{i≠y} f_i − f_y: above 0 the label is lost."""

    labels: NDArray[np.int64]  # (N,)
    predictions: dict[str, NDArray[np.int64]]  # (N,) by input: natural, adversarial, noise (the control)
    margins: dict[str, NDArray[np.float32]]  # (N,) by input
    means: dict[str, NDArray[np.float32]]  # f"{layer}/{input or relevance}" → (K, C); NaN for a class without images

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key.rpartition("/")[0] for key in self.means))

    def of(self, layer: str) -> dict[str, NDArray[np.float32]]:
        """Means over the images of each class, (K, C): the activation by input, and the natural images' relevance.

        Raises UnknownName.
        """
        if layer not in self.layers:
            raise UnknownName("layer", layer, self.layers)
        return {quantity: self.means[f"{layer}/{quantity}"] for quantity in (*INPUTS, "relevance")}

    def confusion(self, inputs: str) -> NDArray[np.int64]:
        """(K, K): how many images of each class (row) are taken for each class (column)."""
        k = len(next(iter(self.means.values())))
        return np.bincount(self.labels * k + self.predictions[inputs], minlength=k * k).reshape(k, k)

    def save(self, path: Path, about: dict[str, Any]) -> None:
        arrays: dict[str, Any] = {"labels": self.labels, "about": np.array(json.dumps(about))}
        for group in ("predictions", "margins", "means"):
            arrays |= {f"{group}:{key}": array for key, array in getattr(self, group).items()}
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **arrays)

    @classmethod
    def load(cls, path: Path) -> tuple["Survey", dict[str, Any]]:
        """And what `save` was told about it. Raises CheckpointError for a corrupt or foreign file."""
        groups: dict[str, dict[str, Any]] = {"predictions": {}, "margins": {}, "means": {}}
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                for name in file.files:
                    group, colon, key = name.partition(":")
                    if colon:
                        groups[group][key] = file[name]
                return cls(file["labels"], **groups), json.loads(str(file["about"]))
        except UNREADABLE_NPZ as error:
            raise CheckpointError(
                f"{path.parent.name}/{path.name} is missing or no survey ({reason(error)})"
            ) from error


class Surveyor:
    """Looks at one batch after the other; the model is in eval mode meanwhile."""

    def __init__(self, model: CNN, seed: int = 0) -> None:
        self.model = model
        self.random = torch.Generator().manual_seed(seed)
        self.labels: list[Tensor] = []
        self.logits: dict[str, list[Tensor]] = {inputs: [] for inputs in INPUTS}
        self.means: dict[str, ClassMeans] = {}

    def add(self, x: Tensor, x_adv: Tensor, y: Tensor) -> None:
        """Images x in [0, 1], what the attack made of them (N, C, H, W) each, and their labels y (N,)."""
        self.labels.append(y.cpu())
        seen = views(self.model, self.model.layers, x, classes=y)
        self._note("natural", next(iter(seen.values())).logits, {layer: v.activation for layer, v in seen.items()}, y)
        for layer, of_layer in seen.items():
            self._mean(f"{layer}/relevance", of_layer.relevance, y)
        for inputs, images in (("adversarial", x_adv), ("noise", shuffled_signs(x, x_adv, self.random))):
            self._note(inputs, *_activations(self.model, images), y)

    def _note(self, inputs: str, logits: Tensor, activations: dict[str, Tensor], y: Tensor) -> None:
        self.logits[inputs].append(logits.float().cpu())
        for layer, rows in activations.items():
            self._mean(f"{layer}/{inputs}", rows, y)

    def _mean(self, key: str, rows: Tensor, y: Tensor) -> None:
        self.means.setdefault(key, ClassMeans(self.model.num_classes)).add(rows, y)

    def survey(self) -> Survey:
        """Of all that was looked at. Raises InvalidParameter where that was nothing."""
        if not self.labels:
            raise InvalidParameter("there are no images to survey")
        labels = torch.cat(self.labels)
        logits = {inputs: torch.cat(rows) for inputs, rows in self.logits.items()}
        return Survey(
            labels=labels.numpy(),
            predictions={inputs: rows.argmax(dim=1).numpy() for inputs, rows in logits.items()},
            margins={inputs: cw_margin(rows, labels).numpy() for inputs, rows in logits.items()},
            means={key: mean.mean().float().numpy() for key, mean in self.means.items()},
        )


def shuffled_signs(x: Tensor, x_adv: Tensor, random: torch.Generator) -> Tensor:
    """x moved as far as x' in every pixel, up or down by chance, and back into [0, 1]: (N, C, H, W)."""
    signs = 2 * torch.randint(0, 2, x.shape, generator=random).to(x) - 1
    return (x + signs * (x_adv - x)).clamp(0, 1)


@torch.no_grad()
def _activations(model: CNN, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits (N, K), and the activation (N, C) of every layer."""
    with eval_mode(model), ExitStack() as stack:
        captured = {layer: stack.enter_context(capture(model, layer)) for layer in model.layers}
        logits = model(x)
    return logits, {layer: activation(found.features) for layer, found in captured.items()}
