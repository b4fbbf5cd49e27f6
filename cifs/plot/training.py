"""A training as it goes: the loss, and accuracy on the validation images, against the share of the run."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL
from cifs.plot.layout import compact

DASHES = ("solid", "dot", "dash", "dashdot", "longdash")  # tell runs apart; colours tell what is measured
VALIDATED = {"validation_natural": ("natural images", NATURAL), "validation_robust": ("attacked images", ADVERSARIAL)}


class TrainingInfo(NamedTuple):
    """One run. `accuracies` by metric, each a list of (step, share of the validation images)."""

    name: str
    steps: list[int]
    losses: list[float]
    accuracies: dict[str, list[tuple[int, float]]]


def training_info(name: str, reported: Sequence[Mapping[str, Any]]) -> TrainingInfo:
    """Of progress {doing, done, metrics} in its order; one made twice, after a kill, counts the second time."""
    by_step = {int(progress["done"]): progress["metrics"] for progress in reported if progress["doing"] == "training"}
    lines = {
        key: [(step, metrics[key]) for step, metrics in sorted(by_step.items()) if metrics.get(key) is not None]
        for key in ("loss", *VALIDATED)
    }
    losses = lines.pop("loss")
    accuracies = {key: line for key, line in lines.items() if line}
    return TrainingInfo(name, [step for step, _ in losses], [loss for _, loss in losses], accuracies)


def training_figure(runs: Sequence[TrainingInfo]) -> go.Figure:
    """Loss on the left, accuracies on the right; several runs by their dashes."""
    figure = make_subplots(cols=2, horizontal_spacing=0.1, subplot_titles=("loss of a step", "accuracy on validation"))
    for number, run in enumerate(runs):
        dash = DASHES[number % len(DASHES)]
        prefix = f"{run.name}: " if len(runs) > 1 else ""
        figure.add_scatter(
            x=run.steps, y=run.losses, name=f"{prefix}loss", mode="lines", line={"color": NEUTRAL, "dash": dash},
            row=1, col=1,
        )  # fmt: skip
        for key, line in run.accuracies.items():
            title, colour = VALIDATED[key]
            figure.add_scatter(
                x=[step for step, _ in line], y=[share for _, share in line], name=f"{prefix}{title}",
                mode="lines+markers", line={"color": colour, "dash": dash}, row=1, col=2,
            )  # fmt: skip
    figure.update_xaxes(title_text="step", rangemode="tozero")
    figure.update_yaxes(rangemode="tozero", col=1)
    figure.update_yaxes(range=[0, 1], tickformat=".0%", col=2)
    return compact(figure, height=340).update_layout(margin={"t": 70}, legend={"y": 1.12})
