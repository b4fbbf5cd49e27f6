"""A training as it goes: the loss of its steps, accuracies on validation images, and on those it trains on."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL
from cifs.plot.layout import compact
from cifs.plot.study import ARMS

VALIDATED = {
    "validation_natural": ("natural", NATURAL),
    "validation_robust": ("attacked", ADVERSARIAL),
    "validation_adaptive": ("attacked adaptively", "#8A2F02"),
}
PROBE = "probe "  # what the accuracies of probes begin with
LOSS, VALIDATION, TRAINING = "Loss of a step", "Accuracy on validation images", "Accuracy on training images, attacked"
NATURALLY, ATTACKED = "Natural validation images", "Attacked validation images"

Line = list[tuple[int, float]]  # (step, value)


class TrainingInfo(NamedTuple):
    """One run. `validated`: by metric; `trained`: of the output ("accuracy") and of every probe, means of an epoch."""

    name: str
    losses: Line
    validated: dict[str, Line]
    trained: dict[str, Line]


def training_info(name: str, reported: Sequence[Mapping[str, Any]]) -> TrainingInfo:
    """Of progress {doing, done, metrics} in its order; one made twice, after a kill, counts the second time."""
    by_step = {int(progress["done"]): progress["metrics"] for progress in reported if progress["doing"] == "training"}
    steps = sorted(by_step.items())
    known = dict.fromkeys(key for _, metrics in steps for key in metrics)
    lines = {key: [(step, m[key]) for step, m in steps if m.get(key) is not None] for key in known}
    epochs = [(step, int(m["epoch"])) for step, m in steps if m.get("epoch") is not None]
    return TrainingInfo(
        name,
        lines.get("loss", []),
        {key: lines[key] for key in VALIDATED if lines.get(key)},
        {key: _by_epoch(lines[key], dict(epochs)) for key in lines if key == "accuracy" or key.startswith(PROBE)},
    )


def _by_epoch(line: Line, epochs: Mapping[int, int]) -> Line:
    """Means over the steps of an epoch, at its last step: those of single batches hide each other."""
    found: dict[int, Line] = {}
    for step, value in line:
        found.setdefault(epochs.get(step, 0), []).append((step, value))
    return [(steps[-1][0], sum(value for _, value in steps) / len(steps)) for steps in found.values()]


def training_figures(runs: Sequence[TrainingInfo]) -> dict[str, go.Figure]:
    """By title: of one run all it reports, in the colours of what is measured; several over each other."""
    figures = _of_one(runs[0]) if len(runs) == 1 else _compared(runs)
    return {title: figure for title, figure in figures.items() if figure.data}


def _of_one(run: TrainingInfo) -> dict[str, go.Figure]:
    validated = [(*VALIDATED[key], line) for key, line in run.validated.items()]
    names = {key: key if key.startswith(PROBE) else "the network" for key in run.trained}
    trained = [(names[key], ARMS[number % len(ARMS)], line) for number, (key, line) in enumerate(run.trained.items())]
    return {
        LOSS: _figure([("loss", NEUTRAL, run.losses)], share=False),
        VALIDATION: _figure(validated),
        TRAINING: _figure(trained),
    }


def _compared(runs: Sequence[TrainingInfo]) -> dict[str, go.Figure]:
    colours = [ARMS[number % len(ARMS)] for number in range(len(runs))]

    def lines(metric: str) -> list[tuple[str, str, Line]]:
        return [(run.name, colour, run.validated.get(metric, [])) for run, colour in zip(runs, colours, strict=True)]

    losses = [(run.name, colour, run.losses) for run, colour in zip(runs, colours, strict=True)]
    return {
        LOSS: _figure(losses, share=False),
        NATURALLY: _figure(lines("validation_natural")),
        ATTACKED: _figure(lines("validation_robust")),
    }


def _figure(lines: Sequence[tuple[str, str, Line]], *, share: bool = True) -> go.Figure:
    figure = go.Figure()
    for name, colour, line in lines:
        if line:
            figure.add_scatter(
                x=[step for step, _ in line], y=[value for _, value in line], name=name,
                mode="lines+markers" if share else "lines", line={"color": colour},
            )  # fmt: skip
    figure.update_xaxes(title_text="step", rangemode="tozero")
    figure.update_yaxes(rangemode="tozero")
    if share:
        figure.update_yaxes(range=[0, 1], tickformat=".0%")
    return compact(figure, height=300, legend=len(figure.data) > 1)
