"""What was measured of a model after it was saved: evaluation.json, checks.json and channel_statistics.npz."""

from dataclasses import asdict
from math import isfinite

import torch

from backend.errors import Refusal, unfit
from backend.log import log
from backend.respond import numbers
from backend.schemas import ChannelShift, ChannelStatistics, ChannelSummary, ModelInfo
from cifs import channels
from cifs.errors import CheckpointError
from cifs.evaluation import compare_evaluations
from cifs.evaluation.rows import robustness_row
from cifs.records import Cell, Comparison, Evaluation, MaskingChecks, RobustnessRow
from cifs.zoo import Entry


def cells(entry: Entry) -> dict[str, Cell] | None:
    """Robust accuracy by column, None where nothing was measured or cannot be read."""
    try:
        evaluation = entry.evaluation()
        return None if evaluation is None else dict(evaluation.cells)
    except CheckpointError as error:
        log.warning("evaluation left out", model=entry.id, error=str(error))
        return None


def row(entry: Entry) -> RobustnessRow:
    """A model's row. Raises Refusal (404) where it was not evaluated, CheckpointError for a malformed evaluation."""
    return robustness_row(entry, _evaluated(entry), _checks(entry))


def comparison(first: Entry, second: Entry) -> Comparison:
    """Raises Refusal (404) where one was not evaluated, InvalidParameter where they were not evaluated alike."""
    return compare_evaluations(_evaluated(first), _evaluated(second))


def _evaluated(entry: Entry) -> Evaluation:
    if (evaluation := entry.evaluation()) is None:
        raise Refusal(404, f"model {entry.id!r} has not been evaluated; `cifs evaluate {entry.id}` does it")
    return evaluation


def _checks(entry: Entry) -> MaskingChecks | None:
    """None where nothing was checked, or it cannot be read: the row stands without."""
    try:
        return entry.checks()
    except CheckpointError as error:
        log.warning("checks left out", model=entry.id, error=str(error))
        return None


def statistics(
    entry: Entry, model: ModelInfo, layer: str | None, class_index: int, *, all_classes: bool
) -> ChannelStatistics:
    """A class at one layer, by default the last. Raises Refusal: 404 where there are none, 422 for a wrong layer."""
    if not entry.statistics_path.exists():
        raise Refusal(404, f"model {model.id!r} has no channel statistics; `cifs statistics {model.id}` measures them")
    found = channels.ChannelStatistics.load(entry.statistics_path)
    layer = layer or found.layers[-1]
    if layer not in found.layers:
        raise unfit("layer", f"no channel statistics of layer {layer!r}; choose from: {', '.join(found.layers)}")
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
        shift_all=_shift(found, layer, None) if all_classes else None,
        partings=[float(parting) if isfinite(parting) else None for parting in found.partings(layer)],
    )


def _shift(found: channels.ChannelStatistics, layer: str, class_index: int | None) -> ChannelShift | None:
    shift = found.shift(layer, class_index)
    return None if shift is None else ChannelShift(**asdict(shift))


def _summary(found: channels.ChannelStatistics, layer: str, inputs: str, class_index: int) -> ChannelSummary:
    quantities = found.of(layer, inputs, class_index)
    return ChannelSummary(**{name: numbers(torch.from_numpy(values), name) for name, values in quantities.items()})
