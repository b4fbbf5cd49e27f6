"""Measures a model by the robustness table: adaptive attacks, the strongest setting of each counted, the sweep kept.

An image counts as robust if neither the last iterate nor any that seemed to on the way fools the model in float32. That
is never more than the accuracy on last iterates, which some libraries report.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cifs.attacks import Linf, survives
from cifs.data import Images
from cifs.evaluation.interval import wilson
from cifs.evaluation.table import COLUMNS, settings_to_try
from cifs.files import write_json
from cifs.models import CNN
from cifs.modes import eval_mode
from cifs.precision import Precision, device_of

CRITERION = "robust: neither the last iterate nor any that seemed to on the way fools the model in float32"


def pack(robust: Tensor) -> str:
    """(N,) bool → hexadecimal, eight images a byte: which images an attack left standing, for paired tests."""
    return np.packbits(robust.numpy()).tobytes().hex()


def unpack(text: str, n: int) -> Tensor:
    """The inverse of `pack`: (n,) bool."""
    return torch.from_numpy(np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=n).astype(bool))


@dataclass(frozen=True)
class Progress:
    column: str
    settings: dict[str, Any] | None
    images: int  # done of this setting
    total: int


@dataclass
class Evaluation:
    """One model on one split. Results are kept in `partial` after every setting, and not measured again."""

    model: CNN
    images: Images
    eps: float
    about: dict[str, Any]  # what the result is of: model, dataset, split, weights' digest, …
    partial: Path | None = None
    precision: Precision = "bf16"
    batch_size: int = 500
    report: Callable[[Progress], None] = lambda progress: None

    def run(self, columns: Sequence[str] = tuple(COLUMNS)) -> dict[str, Any]:
        """evaluation.json as a dictionary. Raises UnknownName for a column, before anything is measured."""
        chosen = [COLUMNS[key] for key in columns]
        self.done = self._read_partial()
        n = len(self.images)
        cells: dict[str, Any] = {}
        sweep: list[dict[str, Any]] = []
        strongest: dict[str, Linf] = {}
        natural = self._measure("natural", None)
        worst = unpack(natural["robust"], n)
        for column in chosen:
            if column.attack is None:
                continue
            key = column.key
            attack = column.attack(self.eps)
            tries = settings_to_try(self.model, attack)
            if column.settings_of in strongest and len(tries) > 1:
                found = strongest[column.settings_of]
                tries = [_with(attack, found)]
            entries = [(self._measure(key, settings), settings) for settings in tries]
            counted, strongest[key] = min(entries, key=lambda pair: pair[0]["accuracy"])
            for entry, _ in entries:
                worst &= unpack(entry["robust"], n)
                if len(settings_to_try(self.model, attack)) > 1:
                    sweep.append({"column": key, "counted": entry is counted, **_public(entry)})
            cells[key] = counted
        if "natural" in columns:
            cells["natural"] = natural
        if "worst" in columns:
            cells["worst"] = {**_accuracy(worst), "robust": pack(worst), "settings": None}
        attacks = [key for key in cells if COLUMNS[key].attack is not None]
        return {
            **self.about,
            "n": n,
            "eps": self.eps,
            "criterion": CRITERION,
            "precision": f"gradients in {self.precision}, success confirmed in float32",
            "cells": {key: cells[key] for key in COLUMNS if key in cells},
            "strongest": min(attacks, key=lambda key: cells[key]["accuracy"], default=None),
            "sweep": sweep,
            "seconds": round(sum(entry["seconds"] for entry in self.done.values()), 1),
            "threads": torch.get_num_threads(),
            "device": str(device_of(self.model)),
        }

    def _measure(self, column: str, attack: Linf | None) -> dict[str, Any]:
        settings = None if attack is None else attack.resolved()
        key = f"{column} {json.dumps(settings)}"
        if key not in self.done:
            began = time.monotonic()
            robust = self._robust(column, attack, settings)
            seconds = round(time.monotonic() - began, 1)
            self.done[key] = {**_accuracy(robust), "settings": settings, "seconds": seconds, "robust": pack(robust)}
            self._write_partial()
        return self.done[key]

    def _robust(self, column: str, attack: Linf | None, settings: dict[str, Any] | None) -> Tensor:
        """(N,) bool"""
        parts = []
        device = device_of(self.model)
        for index in torch.arange(len(self.images)).split(self.batch_size):
            x, y = self.images.batch(index)
            x, y = x.to(device, memory_format=torch.channels_last), y.to(device)
            if attack is None:
                with torch.no_grad(), eval_mode(self.model):
                    parts.append(self.model(x).argmax(dim=1) == y)
            else:
                parts.append(survives(self.model, x, y, attack, precision=self.precision))
            self.report(Progress(column, settings, int(index[-1]) + 1, len(self.images)))
        return torch.cat(parts).cpu()

    def _identity(self) -> dict[str, Any]:
        return {**self.about, "n": len(self.images), "eps": self.eps, "precision": self.precision}

    def _read_partial(self) -> dict[str, dict[str, Any]]:
        if self.partial is None or not self.partial.exists():
            return {}
        found = json.loads(self.partial.read_text(encoding="utf-8"))
        return found["done"] if found["identity"] == self._identity() else {}

    def _write_partial(self) -> None:
        if self.partial is not None:
            write_json(self.partial, {"identity": self._identity(), "done": self.done})


def _with(attack: Linf, found: Linf) -> Linf:
    """The attack with β_atk and the mask mode of a setting that was found strongest."""
    return replace(attack, beta=found.beta, through_mask=found.through_mask)


def _accuracy(robust: Tensor) -> dict[str, Any]:
    correct, n = int(robust.sum()), len(robust)
    low, high = wilson(correct, n)
    return {"accuracy": correct / n, "low": low, "high": high, "n": n, "correct": correct}


def _public(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "robust"}


def digest(path: Path) -> str:
    """SHA-256 of a file: which weights a result is of."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
