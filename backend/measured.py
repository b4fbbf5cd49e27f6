"""What was measured of a model after it was saved: evaluation.json, checks.json and channel_statistics.npz."""

from contextlib import suppress
from dataclasses import asdict
from typing import Any

import torch
from pydantic import ValidationError

from backend.errors import Refusal, invalid
from backend.log import log
from backend.respond import numbers
from backend.schemas import (
    Cell,
    ChannelShift,
    ChannelStatistics,
    ChannelSummary,
    CheckResult,
    Checks,
    Column,
    ComparedColumn,
    ComparedSetting,
    Comparison,
    ModelInfo,
    PaperRow,
    RobustnessRow,
    RobustnessTable,
    SweepEntry,
)
from cifs import channels
from cifs.errors import CheckpointError
from cifs.evaluation import COLUMNS, compare_columns, compare_settings, paper
from cifs.zoo import Entry, Info


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
    found = _evaluated(entry)
    try:
        return RobustnessRow(
            model=model.id,
            title=model.title,
            method=model.method,
            imgf=model.imgf and model.imgf.name,
            dataset=found["dataset"],
            arch=model.arch,
            width=model.width,
            epochs=_epochs(entry.info),
            eps=found["eps"],
            trained_eps=model.eps,
            split=found["split"],
            n=found["n"],
            classes=model.classes,
            class_counts=found.get("class_counts"),
            cells=_cells(entry, found),
            strongest=found["strongest"],
            sweep=[SweepEntry.model_validate(entry) for entry in found["sweep"]],
            notes=[found[note] for note in ("criterion", "precision") if note in found],
            curves=found.get("curves"),
            last=found.get("last"),
            more=found.get("more"),
            checks=_checks(entry),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise _malformed(entry, error) from error


def table(rows: list[RobustnessRow], dataset: str | None = None) -> RobustnessTable:
    """Of one data set, or of all."""
    columns = [Column(key=c.key, title=c.title, description=c.description) for c in COLUMNS.values()]
    return RobustnessTable(
        columns=columns,
        rows=[row for row in rows if dataset in (None, row.dataset)],
        paper=[_of_paper(row) for row in paper.REPORTED] if dataset in (None, paper.DATASET) else [],
    )


def _of_paper(row: paper.Reported) -> PaperRow:
    fractions = {key: round(value / 100, 4) for key, value in row.accuracy.items()}
    about = {"title": row.title, "strongest": row.strongest, "dataset": paper.DATASET, "eps": paper.EPS}
    return PaperRow.model_validate(row._asdict() | about | {"accuracy": fractions})


def comparison(first: Entry, second: Entry) -> Comparison:
    """Raises Refusal (404) where one was not evaluated, InvalidParameter where they were not evaluated alike."""
    evaluations = _evaluated(first), _evaluated(second)
    columns = [ComparedColumn(column=key, **found._asdict()) for key, found in compare_columns(*evaluations).items()]
    place = {key: evaluations[0][key] for key in ("dataset", "split", "eps")}
    settings = [
        ComparedSetting(column=tried.column, settings=tried.settings, counted=tried.counted, **tried.compared._asdict())
        for tried in compare_settings(*evaluations)
    ]
    return Comparison(first=first.id, second=second.id, **place, columns=columns, settings=settings)


def _evaluated(entry: Entry) -> dict[str, Any]:
    if (found := entry.evaluation()) is None:
        raise Refusal(404, f"model {entry.id!r} has not been evaluated; `cifs evaluate {entry.id}` does it")
    return found


def _epochs(info: Info) -> int | None:
    with suppress(KeyError, TypeError, ValueError):
        training = info.training or {}
        return int(training.get("total_epochs") or training["recipe"]["epochs"])
    return None


def _checks(entry: Entry) -> Checks | None:
    """None where nothing was checked, or it cannot be read: the row stands without."""
    try:
        if (found := entry.checks()) is None:
            return None
        results = [CheckResult.model_validate({"name": name, **check}) for name, check in found["checks"].items()]
        return Checks(n=found["n"], eps=found["eps"], criterion=found["criterion"], results=results)
    except (CheckpointError, KeyError, TypeError, AttributeError, ValidationError) as error:
        log.warning("checks left out", model=entry.id, error=str(error))
        return None


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
        shift=_shift(found, layer, class_index),
        shift_all=_shift(found, layer, None),
    )


def _shift(found: channels.ChannelStatistics, layer: str, class_index: int | None) -> ChannelShift | None:
    shift = found.shift(layer, class_index)
    return None if shift is None else ChannelShift(**asdict(shift))


def _summary(found: channels.ChannelStatistics, layer: str, inputs: str, class_index: int) -> ChannelSummary:
    quantities = found.of(layer, inputs, class_index)
    return ChannelSummary(**{name: numbers(torch.from_numpy(values), name) for name, values in quantities.items()})
