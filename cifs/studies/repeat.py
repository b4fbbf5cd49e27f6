"""Whether a training of a study came out as it did before: bit for bit, by the same instructions on as many threads."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cifs.errors import InvalidParameter
from cifs.evaluation import unpack
from cifs.studies.conduct import result_of
from cifs.studies.plan import CHECKPOINTS, Study


class Repeated(NamedTuple):
    """One cell, measured twice."""

    cell: str
    by: tuple[str, str]  # the processor's instructions for products in bf16, and threads, before and now
    curve: int  # points of it that are not the same
    epochs: int  # of the best and the last weights, that are not the same
    images: Mapping[str, int]  # by level: on how many, of those of the best and of the last, it came out otherwise

    @property
    def same(self) -> bool:
        return not (self.curve or self.epochs or any(self.images.values()))


def repeated(study: Study, before: Path, now: Path, only: Collection[str] = ()) -> list[Repeated]:
    """The cells that both folders hold; of those named in `only` all.

    Raises UnknownName for a cell the study has not, InvalidParameter for one that a folder lacks, or where none is in
    both, and CheckpointError for one of another recipe.
    """
    found = []
    for cell in study.chosen(only):
        results = [result_of(study, cell, folder) for folder in (before, now)]
        if only and None in results:
            raise InvalidParameter(f"{cell.id} is not measured in {(before, now)[results.index(None)]}")
        if None not in results:
            found.append(_compared(cell.id, study.measured_levels, *results))  # type: ignore[arg-type]
    if not found:
        raise InvalidParameter(f"no training of the study is measured both in {before} and in {now}")
    return found


def _compared(cell: str, levels: Collection[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> Repeated:
    points = max(len(before["curve"]), len(now["curve"]))
    alike = sum(a == b for a, b in zip(before["curve"], now["curve"], strict=False))
    epochs, images = 0, dict.fromkeys(levels, 0)
    for checkpoint in CHECKPOINTS:
        then, again = before["checkpoints"][checkpoint], now["checkpoints"][checkpoint]
        epochs += then["epoch"] != again["epoch"]
        for level in images:
            a, b = (unpack(one["levels"][level]["standing"], one["n"]) for one in (then, again))
            images[level] += int((a != b).sum())
    return Repeated(cell, (_by(before), _by(now)), points - alike, epochs, images)


def _by(result: Mapping[str, Any]) -> str:
    """Earlier files tell one of the two, or neither."""
    instructions, threads = result.get("instructions", "instructions not recorded"), result.get("threads")
    return f"{instructions}, threads {'not recorded' if threads is None else threads}"
