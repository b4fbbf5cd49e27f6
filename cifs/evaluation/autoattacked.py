"""What AutoAttack leaves of the images that withstood all else, stage by stage."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cifs.attacks import MAXIMISING, STAGES, AutoAttack, autoattack, check_stages
from cifs.evaluation.bench import Bench, standing_of
from cifs.records import Measurement, StageLeft
from cifs.selection import mask_matters


def autoattack_cell(bench: Bench, standing: Measurement, stages: Sequence[str] = STAGES) -> Measurement:
    """Which of the images standing after all other attacks also withstand AutoAttack.

    Each stage attacks what is left, in the standard order. Where it matters, those that maximise a loss follow once
    more, through the importance maps. `after` has what each of them left. Raises UnknownName for a stage, before any
    is run.
    """
    check_stages(stages)
    ordered = [stage for stage in STAGES if stage in stages]
    passes = [(stage, False) for stage in ordered]
    if mask_matters(bench.model):
        passes += [(stage, True) for stage in ordered if stage in MAXIMISING]
    attacked, seconds = int(standing_of(standing).sum()), 0.0
    settings: dict[str, Any] = {"name": "autoattack"}
    after: list[StageLeft] = []
    left_out: list[str] = []  # with fewer than four classes not every stage is defined
    for stage, through_mask in passes:
        result = _stage(bench, standing, stage, through_mask)
        standing = bench.counted(_left(result))
        settings |= result["settings"]
        left_out += result["settings"].get("left_out", [])
        seconds += result["seconds"]
        left = {"correct": standing.correct, "remarks": result["remarks"]}
        after.append(StageLeft(stage=stage, through_mask=through_mask, **left))
    ran = [stage for stage in ordered if stage not in left_out]
    settings |= {
        "stages": ran,
        "left_out": [*dict.fromkeys(left_out)],
        "version": "standard" if len(ran) == len(STAGES) else "custom",
        "through_mask": sorted({through_mask for _, through_mask in passes}),
        "n": attacked,
        "on": "what the others left standing",
    }
    return standing.with_(settings=settings, seconds=round(seconds, 1), after=after)


def _left(result: dict[str, Any]) -> Tensor:
    return standing_of(Measurement.model_validate(result["cell"]))


def _stage(bench: Bench, standing: Measurement, stage: str, through_mask: bool) -> dict[str, Any]:
    """What one stage leaves, with its settings and the reference's remarks."""
    doing = f"AutoAttack's {stage}{' through the mask' * through_mask}"
    key = f"{doing} of {json.dumps(standing.robust)}"
    how = AutoAttack(eps=bench.eps, stages=(stage,), through_mask=through_mask, batch_size=bench.batch_size)

    def attack(x: Tensor, y: Tensor) -> dict[str, Any]:
        result = autoattack(bench.model, x, y, how, report=bench.pulse)
        return {"robust": result.robust.tolist(), "settings": result.settings, "remarks": [*result.remarks]}

    def measure() -> dict[str, Any]:
        left = torch.zeros(standing.n, dtype=torch.bool)
        settings: dict[str, Any] = {}  # stay empty if none stands
        remarks: dict[str, None] = {}
        for index, batch in bench.measured(key, doing, attack, n=standing.n, among=standing_of(standing)):
            left[index] = torch.tensor(batch["robust"])
            settings |= batch["settings"]
            remarks |= dict.fromkeys(batch["remarks"])
        return {"cell": bench.counted(left).as_json(), "settings": settings, "remarks": [*remarks]}

    return bench.once(key, measure)
