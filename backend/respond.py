"""Tensors → JSON. The one place where they meet, so the one that keeps NaN and infinity from leaving."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from backend.errors import UNFIT, Refusal
from backend.schemas import Prediction
from cifs.registry import Registry


def numbers(values: Tensor, what: str) -> list[Any]:
    """Nested lists of finite numbers. Refusal (422) where parameters of the request have driven them out of range."""
    if not values.isfinite().all():
        raise Refusal(422, f"{what} is not finite with these parameters; smaller ones are needed", kind=UNFIT)
    # A float32 as its shortest decimal would be nicer to read; this is exact and ten times as fast.
    return values.tolist()


def predictions(logits: Tensor, classes: Sequence[str]) -> list[Prediction]:
    """logits (N, K)"""
    probabilities = numbers(logits.float().softmax(dim=1), "the prediction")
    return [
        Prediction(prediction=index, class_name=classes[index], probabilities=row)
        for index, row in zip(logits.argmax(dim=1).tolist(), probabilities, strict=True)
    ]


def resolved(registry: Registry[Any], settings: Any) -> dict[str, Any]:
    """A registered choice with its name and every default filled in."""
    return {"name": registry.name_of(settings), **asdict(settings)}
