"""What was measured of a model after it was saved: its evaluation.json and its channel_statistics.npz."""

from typing import Any

import torch
from pydantic import ValidationError

from backend.errors import Refusal, invalid
from backend.log import log
from backend.respond import numbers
from backend.schemas import (
    Cell,
    ChannelStatistics,
    ChannelSummary,
    Column,
    ModelInfo,
    RobustnessRow,
    RobustnessTable,
    SweepEntry,
)
from cifs import channels
from cifs.errors import CheckpointError
from cifs.evaluation import COLUMNS
from cifs.zoo import Entry


def cells(entry: Entry) -> dict[str, Cell] | None:
    """Robust accuracy by column, None where nothing was measured or cannot be read."""
    try:
        found = entry.evaluation()
        return None if found is None else _cells(entry, found)
    except CheckpointError as error:
        log.warning("evaluation left out", model=entry.id, error=str(error))
        return None


def row(entry: Entry, model: ModelInfo) -> RobustnessRow:
    """A model's row. Raises Refusal (404) where it was not evaluated, CheckpointError for a malformed evaluation."""
    found = entry.evaluation()
    if found is None:
        raise Refusal(404, f"model {model.id!r} has not been evaluated; `cifs evaluate {model.id}` does it")
    try:
        return RobustnessRow(
            model=model.id,
            title=model.title,
            method=model.method,
            dataset=found["dataset"],
            arch=model.arch,
            width=model.width,
            eps=found["eps"],
            split=found["split"],
            n=found["n"],
            cells=_cells(entry, found),
            strongest=found["strongest"],
            sweep=[SweepEntry.model_validate(entry) for entry in found["sweep"]],
            notes=[found[note] for note in ("criterion", "precision") if note in found],
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise _malformed(entry, error) from error


def table(rows: list[RobustnessRow]) -> RobustnessTable:
    columns = [Column(key=c.key, title=c.title, description=c.description) for c in COLUMNS.values()]
    return RobustnessTable(columns=columns, rows=rows)


def _cells(entry: Entry, found: dict[str, Any]) -> dict[str, Cell]:
    try:
        return {key: Cell.model_validate(cell) for key, cell in found["cells"].items()}
    except (KeyError, AttributeError, ValidationError) as error:
        raise _malformed(entry, error) from error


def _malformed(entry: Entry, error: Exception) -> CheckpointError:
    return CheckpointError(f"{entry.id}/evaluation.json was not written by this project ({error!r})")


def statistics(entry: Entry, model: ModelInfo, layer: str | None, class_index: int) -> ChannelStatistics:
    """A class at one layer, by default the last. Raises Refusal: 404 where there are none, 422 for a wrong layer."""
    if not entry.statistics_path.exists():
        raise Refusal(404, f"model {model.id!r} has no channel statistics; `cifs statistics {model.id}` measures them")
    found = channels.ChannelStatistics.load(entry.statistics_path)
    layer = layer or found.layers[-1]
    if layer not in found.layers:
        raise invalid("layer", f"no channel statistics of layer {layer!r}; choose from: {', '.join(found.layers)}")
    n = int(found.counts[class_index])
    if n == 0:
        raise Refusal(404, f"no image of class {class_index} ({model.classes[class_index]}) was counted")
    return ChannelStatistics(
        model=model.id,
        dataset=found.dataset,
        split=found.split,
        layer=layer,
        layers=list(found.layers),
        class_index=class_index,
        class_name=model.classes[class_index],
        n=n,
        attack=found.attack,
        natural=_summary(found, layer, "natural", class_index),
        adversarial=_summary(found, layer, "adversarial", class_index),
    )


def _summary(found: channels.ChannelStatistics, layer: str, inputs: str, class_index: int) -> ChannelSummary:
    quantities = found.of(layer, inputs, class_index)
    return ChannelSummary(**{name: numbers(torch.from_numpy(values), name) for name, values in quantities.items()})
