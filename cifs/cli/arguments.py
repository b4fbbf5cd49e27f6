"""From words on the command line to models, images and settings."""

import json
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from cifs.attacks import ATTACKS
from cifs.data import dataset, load_images
from cifs.errors import CheckpointError, InvalidParameter
from cifs.models import CNN
from cifs.registry import configure
from cifs.zoo import Entry


def load(entry: Entry, device: str, data: str, *, last: bool = False) -> CNN:
    """The model, if images of this data set fit it."""
    model, spec = entry.load(device, last=last), dataset(data)
    if spec.image_shape != model.image_shape or len(spec.classes) != model.num_classes:
        raise InvalidParameter(
            f"data set {data!r} has images of {spec.image_shape} in {len(spec.classes)} classes; "
            f"{entry.id!r} takes {model.image_shape} and knows {model.num_classes}"
        )
    return model


def evaluated(entry: Entry) -> dict[str, Any]:
    if (evaluation := entry.evaluation()) is None:
        raise CheckpointError(f"{entry.id} has not been evaluated; `cifs evaluate {entry.id}` does it")
    return evaluation


def more_images(found: dict[str, Any] | None, weights: str, n: int | None) -> int | None:
    """How many images a kept result is of, if it is of these weights and of more than the first n (None: all)."""
    return found["n"] if found and n and found["weights"] == weights and found["n"] > n else None


def budget_of(eps: str | None, data: str) -> float:
    return dataset(data).eps if eps is None else configure(ATTACKS, "pgd", {"eps": eps}).eps


def parameters(overrides: list[str] | None) -> dict[str, Any]:
    pairs = [override.partition("=") for override in overrides or []]
    if wrong := [key for key, separator, _ in pairs if not separator]:
        raise InvalidParameter(f"--set {wrong[0]!r}: write parameter=value, for example eps=8/255")
    return {key: _number_or_text(value) for key, _, value in pairs}


def _number_or_text(value: str) -> Any:
    """20, 0.1 and true as JSON has them, 8/255 as it stands."""
    with suppress(ValueError):
        return json.loads(value, parse_constant=str)
    return value


def test_images(data: str, index: list[int]) -> tuple[Tensor, Tensor]:
    images = load_images(data, "test")
    if wrong := [i for i in index if not 0 <= i < len(images)]:
        raise InvalidParameter(f"index {wrong[0]}: {data} has test images 0 to {len(images) - 1}")
    return images.batch(torch.tensor(index))
