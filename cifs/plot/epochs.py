"""Accuracy by epoch: of the arms of a study, or of trainings, with the best epoch marked beside the last."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import plotly.graph_objects as go

from cifs.plot.colours import translucent
from cifs.plot.layout import compact
from cifs.plot.study import ARMS
from cifs.records import StudyRecord

Measured = Literal["training", "natural", "unadaptive", "adaptive"]
MEASURED: dict[Measured, str] = {
    "training": "training images, attacked as in training",
    "natural": "validation images, natural",
    "unadaptive": "validation images, unadaptive attack",
    "adaptive": "validation images, adaptive attack",
}
VALIDATED: dict[Measured, str] = {  # what a training reports of itself
    "natural": "validation_natural",
    "unadaptive": "validation_robust",
    "adaptive": "validation_adaptive",
}


class EpochCurve(NamedTuple):
    """Accuracies (%) by epoch: the mean over seeds, and the least and most of them."""

    name: str
    colour: str
    epochs: list[int]
    mean: list[float]
    least: list[float]
    most: list[float]

    @property
    def best(self) -> int:
        """The epoch of the highest mean."""
        return self.epochs[self.mean.index(max(self.mean))]


def study_curves(record: StudyRecord, regime: str, measured: Measured) -> list[EpochCurve]:
    """Of every arm that has curves, each in its own colour, whichever others are there."""
    curves = []
    for number, (arm, title) in enumerate(record.arms.items()):
        points = [point for point in record.curves if (point.regime, point.arm) == (regime, arm)]
        by_epoch = [[100 * share for share in getattr(point, measured)] for point in points]
        if points:
            means = [sum(shares) / len(shares) for shares in by_epoch]
            epochs = [point.epoch for point in points]
            colour = ARMS[number % len(ARMS)]
            curves.append(EpochCurve(title, colour, epochs, means, [*map(min, by_epoch)], [*map(max, by_epoch)]))
    return curves


def run_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]], measured: Measured) -> list[EpochCurve]:
    """Of trainings by name, each the metrics it reported, step by step."""
    curves = []
    for number, (name, reported) in enumerate(runs.items()):
        by_epoch = _training(reported) if measured == "training" else _validated(reported, VALIDATED[measured])
        if by_epoch:
            shares = list(by_epoch.values())
            curves.append(EpochCurve(name, ARMS[number % len(ARMS)], [*by_epoch], shares, shares, shares))
    return curves


def _validated(reported: Sequence[Mapping[str, Any]], key: str) -> dict[int, float]:
    return {int(step["epoch"]): 100 * step[key] for step in reported if step.get(key) is not None}


def _training(reported: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """The mean over the steps of an epoch."""
    steps: dict[int, list[float]] = {}
    for step in reported:
        if step.get("accuracy") is not None:
            steps.setdefault(int(step["epoch"]), []).append(100 * step["accuracy"])
    return {epoch: sum(shares) / len(shares) for epoch, shares in steps.items()}


def epochs_figure(curves: Sequence[EpochCurve], *, marked: bool = True) -> go.Figure:
    """One line each, a band over its seeds; marked: a star at its best epoch and a dot at the last."""
    figure = go.Figure()
    for curve in curves:
        if curve.least != curve.most:
            figure.add_scatter(
                x=[*curve.epochs, *reversed(curve.epochs)], y=[*curve.most, *reversed(curve.least)], fill="toself",
                mode="none", fillcolor=translucent(curve.colour, 0.12), hoverinfo="skip", showlegend=False,
            )  # fmt: skip
        figure.add_scatter(
            x=curve.epochs, y=curve.mean, name=curve.name, mode="lines", line={"color": curve.colour},
            hovertemplate=f"epoch %{{x}}: %{{y:.1f}} %<extra>{curve.name}</extra>",
        )  # fmt: skip
    for curve in curves if marked else ():
        figure.add_scatter(
            x=[curve.best, curve.epochs[-1]], y=[max(curve.mean), curve.mean[-1]], mode="markers", showlegend=False,
            marker={"symbol": ["star", "circle"], "size": [12, 8], "color": curve.colour},
            hoverinfo="skip",
        )  # fmt: skip
    figure.update_xaxes(title_text="epoch", rangemode="tozero")
    figure.update_yaxes(title_text="accuracy (%)", rangemode="tozero")
    return compact(figure, height=300, legend=False)


def common_range(panels: Sequence[Sequence[EpochCurve]]) -> tuple[float, float]:
    """From 0 to a little above the highest: panels of one comparison have the same axis."""
    return 0.0, 1.05 * max((max(curve.most) for curves in panels for curve in curves), default=100.0)
