"""Measures a model: the robustness table, accuracy against ε and steps, and AutoAttack on what is then left.

Attacks are adaptive: several settings of each are tried, the strongest is counted, the sweep is kept.

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

from cifs.attacks import MAXIMISING, STAGES, Linf, autoattack, check_stages, fooled_at, survives
from cifs.data import Images
from cifs.errors import CheckpointError
from cifs.evaluation.interval import wilson
from cifs.evaluation.table import COLUMNS, TABLE, settings_to_try
from cifs.files import write_json
from cifs.models import CNN
from cifs.modes import eval_mode
from cifs.precision import Precision, device_of
from cifs.selection import mask_matters

FINALISTS = 2  # of a sweep on the first images, so many settings are measured on all
EIGHTHS = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16)  # of ε: where accuracy against ε is measured, beside 0
STEPS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 75, 100)
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
    """One model on one split. Results are kept in `partial` after every setting, and not measured again.

    sweep: try the settings on the first so many images only, and then the most promising on all; None: all on all.
    """

    model: CNN
    images: Images
    eps: float
    about: dict[str, Any]  # what the result is of: model, dataset, split, weights' digest, …
    partial: Path | None = None
    precision: Precision = "bf16"
    batch_size: int = 250
    sweep: int | None = None
    report: Callable[[Progress], None] = lambda progress: None

    def __post_init__(self) -> None:
        self.done: dict[str, Any] = self._read_partial()

    def run(self, columns: Sequence[str] = TABLE) -> dict[str, Any]:
        """The table, as evaluation.json has it. Raises UnknownName for a column, before anything is measured."""
        chosen = [COLUMNS[key] for key in columns]
        cells: dict[str, Any] = {}
        sweep: list[dict[str, Any]] = []
        strongest: dict[str, Linf] = {}
        natural = self._measure("natural", None)
        worst = self._bits(natural)
        for column in chosen:
            if column.attack is None:
                continue
            key, attack = column.key, column.attack(self.eps)
            tries = settings_to_try(self.model, attack)
            swept = len(tries) > 1
            if swept and column.settings_of in strongest:
                tries = [_with(attack, strongest[column.settings_of])]
            entries, best = self._try(key, tries)
            cells[key], strongest[key] = entries[best], tries[best]
            for entry in entries:
                worst[: entry["n"]] &= self._bits(entry)
            if swept:
                sweep += [{"column": key, "counted": i == best, **_overall(entry)} for i, entry in enumerate(entries)]
        if "natural" in columns:
            cells["natural"] = natural
        if "worst" in columns:
            cells["worst"] = {**self._counts(worst), "settings": None}
        attacks = [key for key in cells if COLUMNS[key].attack is not None]
        return {
            **self.about,
            "n": len(self.images),
            "eps": self.eps,
            "criterion": CRITERION,
            "precision": f"gradients in {self.precision}, success confirmed in float32",
            "class_counts": torch.bincount(self.images.labels, minlength=self.model.num_classes).tolist(),
            "cells": {key: cells[key] for key in COLUMNS if key in cells},
            "strongest": min(attacks, key=lambda key: cells[key]["accuracy"], default=None),
            "sweep": sweep,
            "seconds": round(sum(entry["seconds"] for entry in self.done.values()), 1),
            "threads": torch.get_num_threads(),
            "device": str(device_of(self.model)),
        }

    def curves(self, attack: Linf) -> dict[str, Any]:
        """Accuracy against ε, and against steps at this ε, of one attack (its step stays the same share of ε).

        The balls are nested, so an image that fell within a small ε counts as fallen within every larger one.
        """
        natural = self._measure("natural", None)
        standing = self._bits(natural)
        by_eps = [{"eps": 0.0, **natural}]
        for eighths in EIGHTHS:
            share = eighths / 8
            within = replace(attack, eps=share * self.eps, step_size=share * attack.alpha)
            entry = self._measure("curve", within, among=standing)
            standing = self._bits(entry)
            by_eps.append({"eps": within.eps, **entry})
        longest = replace(attack, steps=max(STEPS))
        settings = longest.resolved()
        key = f"steps {json.dumps(settings)}"
        if key not in self.done:

            def fall(x: Tensor, y: Tensor) -> Tensor:
                return fooled_at(self.model, x, y, longest, precision=self.precision)

            began = time.monotonic()
            at = self._in_batches("steps", settings, fall)
            points = [_point({"steps": steps, **self._counts(at > steps)}) for steps in STEPS]
            self._keep(key, {"points": points, "seconds": round(time.monotonic() - began, 1)})
        return {
            "n": len(self.images),
            "settings": attack.resolved(),
            "eps": [_point(entry) for entry in by_eps],
            "steps": self.done[key]["points"],
        }

    def autoattack(self, standing: Tensor, stages: Sequence[str] = STAGES) -> dict[str, Any]:
        """A cell: which of the images `standing` (N,) bool, after all other attacks, also withstand AutoAttack.

        Each stage attacks what is left, in the standard order. Where it matters, those that maximise a loss follow once
        more, through the importance maps. `after` has what each of them left. Raises UnknownName for a stage, before
        any is run.
        """
        check_stages(stages)
        stages = [stage for stage in STAGES if stage in stages]
        passes = [(stage, False) for stage in stages]
        if mask_matters(self.model):
            passes += [(stage, True) for stage in stages if stage in MAXIMISING]
        attacked, seconds = int(standing.sum()), 0.0
        settings: dict[str, Any] = {"name": "autoattack"}
        after: list[dict[str, Any]] = []
        for stage, through_mask in passes:
            key = f"autoattack {stage}{' through the mask' * through_mask} of {pack(standing)}"
            if key not in self.done:
                self._keep(key, self._autoattacked(standing, stage, through_mask))
            entry = self.done[key]
            standing = self._bits(entry)
            settings |= entry["settings"]
            seconds += entry["seconds"]
            told = {"correct": entry["correct"], "remarks": entry["remarks"]}
            after.append({"stage": stage, "through_mask": through_mask, **told})
        settings |= {
            "stages": stages,
            "version": "standard" if len(stages) == len(STAGES) else "custom",
            "through_mask": sorted({through_mask for _, through_mask in passes}),
            "n": attacked,
            "on": "what the others left standing",
        }
        return {**self._counts(standing), "settings": settings, "seconds": round(seconds, 1), "after": after}

    def _autoattacked(self, standing: Tensor, stage: str, through_mask: bool) -> dict[str, Any]:
        """A cell: what one stage of AutoAttack leaves of the images `standing` (N,) bool, with its remarks."""
        settings: dict[str, Any] = {}  # stay empty if none stands
        remarks: dict[str, None] = {}

        def attack(x: Tensor, y: Tensor) -> Tensor:
            found = autoattack(
                self.model, x, y, eps=self.eps, stages=[stage], through_mask=through_mask, batch_size=self.batch_size
            )
            settings.update(found.settings)
            remarks.update(dict.fromkeys(found.remarks))
            return found.robust

        began, column = time.monotonic(), f"autoattack {stage}{' through the mask' * through_mask}"
        counts = self._counts(self._in_batches(column, None, attack, among=standing))
        return {**counts, "settings": settings, "remarks": [*remarks], "seconds": round(time.monotonic() - began, 1)}

    def _try(self, key: str, tries: Sequence[Linf]) -> tuple[list[dict[str, Any]], int]:
        """What each setting leaves standing, and which one of those measured on all images is the strongest."""
        few = self.sweep if len(tries) > FINALISTS else None
        entries = [self._measure(key, settings, n=few) for settings in tries]
        finalists = sorted(range(len(tries)), key=lambda i: entries[i]["correct"])[: None if few is None else FINALISTS]
        for i in finalists:
            entries[i] = self._measure(key, tries[i])
        return entries, min(finalists, key=lambda i: entries[i]["correct"])

    def _measure(
        self, column: str, attack: Linf | None, *, n: int | None = None, among: Tensor | None = None
    ) -> dict[str, Any]:
        """A cell with its settings, on the first n images; those not `among` count as fallen."""
        settings = None if attack is None else attack.resolved()
        n = len(self.images) if n is None else min(n, len(self.images))
        key = f"{column} {json.dumps(settings)}" + (f" first {n}" if n < len(self.images) else "")
        if key not in self.done:

            def stands(x: Tensor, y: Tensor) -> Tensor:
                if attack is not None:
                    return survives(self.model, x, y, attack, precision=self.precision)
                with torch.no_grad(), eval_mode(self.model):
                    return self.model(x).argmax(dim=1) == y

            began = time.monotonic()
            robust = self._in_batches(column, settings, stands, n=n, among=among)
            seconds = round(time.monotonic() - began, 1)
            self._keep(key, {**self._counts(robust), "settings": settings, "seconds": seconds})
        found: dict[str, Any] = self.done[key]
        return found

    def _in_batches(
        self,
        column: str,
        settings: dict[str, Any] | None,
        measure: Callable[[Tensor, Tensor], Tensor],
        *,
        n: int | None = None,
        among: Tensor | None = None,
    ) -> Tensor:
        """`measure` of x (B, C, H, W) and y (B,), each (B,), for the first n images (N,); 0 for those not `among`."""
        device = device_of(self.model)
        n = len(self.images) if n is None else n
        todo = torch.arange(n) if among is None else among[:n].nonzero()[:, 0]
        found: Tensor | None = None
        progress = Progress(column, settings, 0, n)
        # A batch of AutoAttack takes minutes: who is told of progress may stop it in between.
        told = self.model.register_forward_pre_hook(lambda model, args: self.report(progress))
        try:
            for index in todo.split(self.batch_size) if len(todo) else ():
                x, y = self.images.batch(index)
                part = measure(x.to(device, memory_format=torch.channels_last), y.to(device)).cpu()
                found = torch.zeros(n, dtype=part.dtype) if found is None else found
                found[index] = part
                progress = replace(progress, images=int(index[-1]) + 1)
                self.report(progress)
        finally:
            told.remove()
        return torch.zeros(n, dtype=torch.bool) if found is None else found

    def _counts(self, robust: Tensor) -> dict[str, Any]:
        """Of (n,) bool: the accuracy with its interval, right ones by class, and which images stand."""
        correct, n = int(robust.sum()), len(robust)
        low, high = wilson(correct, n)
        by_class = torch.bincount(self.images.labels[:n][robust], minlength=self.model.num_classes).tolist()
        accuracy = {"accuracy": correct / n, "low": low, "high": high, "n": n, "correct": correct}
        return {**accuracy, "by_class": by_class, "robust": pack(robust)}

    @staticmethod
    def _bits(entry: dict[str, Any]) -> Tensor:
        """(n,) bool"""
        return unpack(entry["robust"], entry["n"])

    def _keep(self, key: str, entry: dict[str, Any]) -> None:
        self.done[key] = entry
        self._write_partial()

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


def _overall(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "by_class"}


def _point(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in _overall(entry).items() if key not in ("robust", "settings", "seconds")}


def digest(path: Path) -> str:
    """SHA-256 of a file: which weights a result is of. Raises CheckpointError where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path.parent.name}/{path.name} cannot be read ({error})") from error
