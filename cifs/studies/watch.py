"""A study from outside while it runs: how far every cell is, and the record there is of it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cifs.errors import CheckpointError
from cifs.files import in_use
from cifs.records import StudyCell, StudyRecord
from cifs.studies.plan import STUDIES, Cell, Study

TAIL = 65_536  # bytes of a run's metrics that are looked at: several epochs of any recipe here
# Of studies that were run for this project: in the repository, and inside the package that was built from it.
PUBLISHED = (Path(__file__).parents[2] / "docs" / "studies", STUDIES / "published")


def watch(study: Study, folder: Path) -> Iterator[StudyCell]:
    """Every cell in the study's order, by what lies in `folder`; nothing is computed."""
    for cell in study.cells():
        run = folder / "runs" / cell.id
        epochs = study.recipe_of(cell).epochs
        latest = _latest(run / "metrics.jsonl")
        if in_use(run / "claim"):  # also once more, for a level that it lacks
            yield _cell(cell, "running", latest.get("epoch", 0), epochs, latest)
        elif (folder / f"{cell.id}.json").exists():
            yield _cell(cell, "measured", epochs, epochs, latest)
        else:
            yield _cell(cell, "begun" if latest else "missing", latest.get("epoch", 0), epochs, latest)


def _cell(cell: Cell, state: Any, epoch: int, epochs: int, latest: dict[str, Any]) -> StudyCell:
    validated = {key: value for key, value in latest.items() if key.startswith("validation_")}
    return StudyCell(
        id=cell.id, regime=cell.regime, arm=cell.arm, seed=cell.seed, state=state, epoch=epoch, epochs=epochs,
        validated=validated,
    )  # fmt: skip


def _latest(metrics: Path) -> dict[str, Any]:
    """The last step of a run with the last validation before it; {} where it made none."""
    try:
        with metrics.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().split(b"\n")
    except OSError:
        return {}
    found: dict[str, Any] = {}
    for line in lines:
        try:
            found |= json.loads(line)
        except ValueError:  # cut off at either end
            continue
    return found


def record_of(name: str, folder: Path) -> tuple[StudyRecord | None, bool]:
    """The record of most trainings: that in `folder`, or the one published with the project; and whether it is that.

    None where nothing is measured. Raises CheckpointError where one cannot be read.
    """
    places = (folder, *(place / name for place in PUBLISHED))
    records = [(record, place != folder) for place in places if (record := _record(name, place)) and record.measured]
    return max(records, key=lambda found: found[0].measured, default=(None, False))


def _record(name: str, folder: Path) -> StudyRecord | None:
    path = folder / "record.json"
    if not path.exists():
        return None
    try:
        return StudyRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CheckpointError(f"{path.name} of study {name} cannot be read: {error}") from None
