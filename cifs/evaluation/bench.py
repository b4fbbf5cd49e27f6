"""The bench: anything that is measured of one model on images, cell by cell, each once and resumable.

An image counts as robust if neither the last iterate nor any that seemed to on the way fools the model in float32. That
is never more than the accuracy on last iterates, which some libraries report.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cifs.attacks import Attack, GradientAttack, survives
from cifs.data import Images
from cifs.errors import InvalidParameter
from cifs.evaluation.outcomes import accuracy, pack, unpack
from cifs.files import write_json
from cifs.memory import give_back
from cifs.modes import eval_mode
from cifs.precision import Precision, device_of
from cifs.progress import Progress, Report, unreported
from cifs.records import Measurement
from cifs.shards import done_together

CRITERION = "robust: neither the last iterate nor any that seemed to on the way fools the model in float32"

Judge = Callable[[Tensor, Tensor], Tensor]  # x (B, C, H, W), y (B,) → which images stand, (B,) bool
Batch = dict[str, Any]  # what is measured of one: JSON-safe
Measure = Callable[[Tensor, Tensor], Batch]


@dataclass
class Bench:
    """A model on images, and what was measured of it so far. Memory holds one batch.

    subject: what the outcomes are of (model, data set, split, digests), JSON-safe. partial: a file that keeps every
    finished result, from which the same measurement goes on; the caller removes it. shards: a folder that others who
    measure the same open as well; each batch is then measured by one of them. precision: of the gradients; success is
    confirmed in float32. Raises InvalidParameter without images.
    """

    model: nn.Module
    images: Images
    eps: float
    subject: Mapping[str, Any] = field(default_factory=dict)
    partial: Path | None = None
    shards: Path | None = None
    precision: Precision = "bf16"
    batch_size: int = 250
    report: Report = unreported

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise InvalidParameter("no images: measuring needs at least one")
        self.results: dict[str, Any] = self._read_partial()
        self._batch = Progress("")
        self._of_batches = 0.0  # seconds, whoever measured them

    @property
    def seconds(self) -> float:
        """Time spent on what is finished, before a stop too."""
        return round(sum(result["seconds"] for result in self.results.values()), 1)

    @property
    def setting(self) -> dict[str, Any]:
        """What every record of this bench says: of what, on how many images, and how it was measured."""
        return {
            **self.subject,
            "n": len(self.images),
            "norm": "linf",
            "eps": self.eps,
            "seconds": self.seconds,
            "threads": torch.get_num_threads(),
            "device": str(device_of(self.model)),
        }

    def once(self, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A JSON-safe result, measured unless it was, by this process or the one before; with its seconds."""
        if key not in self.results:
            began = time.monotonic()
            before = self._of_batches
            result = measure()
            seconds = time.monotonic() - began if self.shards is None else self._of_batches - before
            self.results[key] = {**result, "seconds": round(seconds, 3)}
            if self.partial is not None:
                write_json(self.partial, {"identity": self._identity(), "results": self.results})
        found: dict[str, Any] = self.results[key]
        return found

    def natural(self) -> Measurement:
        """Which images the model is right about, in float32."""
        return self.cell("natural", self.right)

    def under(self, attack: GradientAttack, *, n: int | None = None, among: Measurement | None = None) -> Measurement:
        """Which of the first n images withstand the attack; those not `among` the standing count as fallen."""

        def judge(x: Tensor, y: Tensor) -> Tensor:
            return survives(self.model, x, y, attack, precision=self.precision, report=self.pulse)

        return self.cell(titled(attack), judge, settings=attack.resolved(), n=n, among=among)

    def cell(
        self,
        doing: str,
        judge: Judge,
        *,
        settings: Mapping[str, Any] | None = None,
        n: int | None = None,
        among: Measurement | None = None,
    ) -> Measurement:
        """Which of the first n images `judge` lets stand. The same doing, settings, n and `among` are measured once."""
        n = len(self.images) if n is None else min(n, len(self.images))
        key = " ".join([doing, json.dumps(settings), f"first {n}", *([f"among {among.robust}"] if among else [])])

        def measure() -> dict[str, Any]:
            standing = self.values(doing, judge, n=n, among=None if among is None else standing_of(among), key=key)
            return {**self.counted(standing).as_json(), "settings": settings}

        return Measurement.model_validate(self.once(key, measure))

    def values(
        self, doing: str, measure: Judge, *, n: int | None = None, among: Tensor | None = None, key: str | None = None
    ) -> Tensor:
        """`measure` of every one of the first n images, (n,); zero for those not `among` (n,) bool."""
        n = len(self.images) if n is None else n
        values: Tensor | None = None

        def as_json(x: Tensor, y: Tensor) -> Batch:
            return {"values": measure(x, y).tolist()}

        for index, batch in self.measured(key or doing, doing, as_json, n=n, among=among):
            part = torch.tensor(batch["values"])
            values = torch.zeros(n, dtype=part.dtype) if values is None else values
            values[index] = part
        return torch.zeros(n, dtype=torch.bool) if values is None else values

    def measured(
        self, key: str, doing: str, measure: Measure, *, n: int | None = None, among: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Batch]]:
        """indices (B,) and `measure` of each batch, by whoever takes it first where there are shards. key: names it."""
        if self.shards is None:
            for index, x, y in self.batches(doing, n=n, among=among):
                yield index, measure(x, y)
            return
        n = len(self.images) if n is None else n
        parts = self._split(n, among)
        identity = json.dumps([key, self._identity(), n, None if among is None else pack(among)])
        folder = self.shards / sha256(identity.encode()).hexdigest()[:32]
        files = {folder / f"{number:05d}.json": part for number, part in enumerate(parts)}

        def note() -> None:
            left = sum(len(part) for file, part in files.items() if not file.exists())
            self._batch = Progress(doing, n - left, n)
            self.report(self._batch)

        def do(number: int) -> Batch:
            note()
            began = time.monotonic()
            batch = {**measure(*self._placed(parts[number])), "seconds": time.monotonic() - began}
            write_json(folder / f"{number:05d}.json", batch)
            give_back()
            return batch

        for index, batch in zip(parts, done_together([*files], _read, do, note), strict=True):
            self._of_batches += batch["seconds"]
            yield index, batch

    def batches(
        self, doing: str, *, n: int | None = None, among: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """indices (B,), x (B, C, H, W) and y (B,) on the model's device; reports before the first and after each."""
        n = len(self.images) if n is None else n
        done = 0
        self.report(Progress(doing, done, n))
        for index in self._split(n, among):
            self._batch = Progress(doing, done, n)
            yield index, *self._placed(index)
            done = int(index[-1]) + 1
            give_back()
            self.report(Progress(doing, done, n))

    def _split(self, n: int, among: Tensor | None) -> tuple[Tensor, ...]:
        """Indices of the images of each batch."""
        todo = torch.arange(n) if among is None else among[:n].nonzero()[:, 0]
        return todo.split(self.batch_size) if len(todo) else ()

    def _placed(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, C, H, W) and y (B,) on the model's device."""
        x, y = self.images.batch(index)
        device = device_of(self.model)
        return x.to(device, memory_format=torch.channels_last), y.to(device)

    def pulse(self, step: Progress) -> None:
        """What an attack reports to within a batch, which may take minutes: the batch's own progress, once more."""
        self.report(self._batch)

    @torch.no_grad()
    def right(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether the model is right about each image, (B,) bool."""
        with eval_mode(self.model):
            return self.model(x).argmax(dim=1) == y

    @property
    def classes(self) -> int:
        return int(getattr(self.model, "num_classes", 0)) or int(self.images.labels.max()) + 1

    def counted(self, standing: Tensor) -> Measurement:
        """Outcomes (n,) bool of the first n images as a cell: by class, and which images stand."""
        n = len(standing)
        by_class = torch.bincount(self.images.labels[:n][standing], minlength=self.classes).tolist()
        return Measurement(**accuracy(standing), n=n, by_class=by_class, robust=pack(standing))

    def _identity(self) -> dict[str, Any]:
        return {**self.subject, "n": len(self.images), "eps": self.eps, "precision": self.precision}

    def _read_partial(self) -> dict[str, Any]:
        """{} where the file is of something else, or damaged: then all is measured again."""
        before = None if self.partial is None else _read(self.partial)
        of_this = isinstance(before, dict) and before.get("identity") == self._identity()
        results: dict[str, Any] = before["results"] if before and of_this else {}
        return results


def _read(path: Path) -> Batch | None:
    try:
        batch: Batch = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return batch


def standing_of(cell: Measurement, n: int | None = None) -> Tensor:
    """(n,) bool: which images a cell counts as robust, by default all of its images."""
    if cell.robust is None:
        raise ValueError("the cell does not say which images it is made of")
    return unpack(cell.robust, cell.n)[:n]


def titled(attack: Attack) -> str:
    """As in "PGD-20 through the mask, β = 2, ε = 0.03137"."""
    mask = " through the mask" if getattr(attack, "through_mask", False) else ""
    beta = f", β = {attack.beta:g}" if isinstance(attack, GradientAttack) else ""
    return f"{attack.resolved()['name'].upper()}-{attack.length}{mask}{beta}, ε = {attack.eps:.4g}"
