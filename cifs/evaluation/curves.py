"""Accuracy against the attack's budget, and against its steps."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from cifs.attacks import GradientAttack, fooled_at
from cifs.evaluation.bench import Bench, titled
from cifs.records import Curves, EpsPoint, StepsPoint

EIGHTHS = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16)  # of ε: where accuracy against ε is measured, beside 0
STEPS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 75, 100)


def accuracy_curves(bench: Bench, attack: GradientAttack) -> Curves:
    """Of one attack: at ever larger ε (its step stays the same share of ε), and after ever more steps at its own."""
    return Curves(
        n=len(bench.images),
        settings=attack.resolved(),
        eps=_against_eps(bench, attack),
        steps=_against_steps(bench, replace(attack, steps=max(STEPS))),
    )


def _against_eps(bench: Bench, attack: GradientAttack) -> list[EpsPoint]:
    """The balls are nested, so an image that fell within a small ε counts as fallen within every larger one."""
    cell = bench.natural()
    points = [EpsPoint(eps=0.0, **_figures(cell.as_json()))]
    for share in (eighths / 8 for eighths in EIGHTHS):
        within = replace(attack, eps=share * bench.eps, step_size=share * attack.alpha)
        cell = bench.under(within, among=cell)
        points.append(EpsPoint(eps=within.eps, **_figures(cell.as_json())))
    return points


def _against_steps(bench: Bench, attack: GradientAttack) -> list[StepsPoint]:
    def fall(x: Tensor, y: Tensor) -> Tensor:
        return fooled_at(bench.model, x, y, attack, precision=bench.precision, report=bench.pulse)

    def measure() -> dict[str, Any]:
        at = bench.values(f"every step of {titled(attack)}", fall)
        return {"points": [{"steps": k, **_figures(bench.counted(at > k).as_json())} for k in STEPS]}

    found = bench.once(f"every step of {json.dumps(attack.resolved())}", measure)
    return [StepsPoint(**point) for point in found["points"]]


def _figures(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {key: cell[key] for key in ("accuracy", "low", "high", "n", "correct")}
