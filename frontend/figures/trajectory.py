"""How an attack climbs: the loss it maximises and the probability of the label, step by step."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from backend.schemas import TrajectoryStep
from frontend.figures.colours import ADVERSARIAL, NATURAL, NEUTRAL
from frontend.figures.layout import compact


class TrajectoryInfo(NamedTuple):
    steps: list[int]
    losses: list[float]
    label_probability: list[float]
    predictions: list[int]
    flipped_at: int | None  # the first step whose prediction is not the label


def trajectory_info(trajectory: Sequence[TrajectoryStep], label: int) -> TrajectoryInfo:
    return TrajectoryInfo(
        steps=[step.step for step in trajectory],
        losses=[step.loss for step in trajectory],
        label_probability=[step.probabilities[label] for step in trajectory],
        predictions=[step.prediction for step in trajectory],
        flipped_at=next((step.step for step in trajectory if step.prediction != label), None),
    )


def trajectory_figure(info: TrajectoryInfo, classes: Sequence[str]) -> go.Figure:
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    names = [classes[k] for k in info.predictions]
    hover = "step %{x}: %{y:.3g}<br>prediction %{customdata}<extra>%{fullData.name}</extra>"
    figure.add_scatter(
        x=info.steps, y=info.losses, customdata=names, name="loss", hovertemplate=hover,
        mode="lines+markers", line={"color": ADVERSARIAL}, marker={"size": 6},
    )  # fmt: skip
    figure.add_scatter(
        x=info.steps, y=info.label_probability, customdata=names, name="probability of the label", hovertemplate=hover,
        mode="lines+markers", line={"color": NATURAL, "dash": "dot"}, marker={"size": 6}, secondary_y=True,
    )  # fmt: skip
    if info.flipped_at is not None:
        figure.add_vline(
            x=info.flipped_at, line={"color": NEUTRAL, "dash": "dash", "width": 1},
            annotation={"text": f"fooled at step {info.flipped_at}"}, annotation_position="top right",
        )  # fmt: skip
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="loss", secondary_y=False)
    figure.update_yaxes(
        title_text="probability",
        range=[-0.03, 1.03],
        tickformat=".0%",
        dtick=0.25,
        tickmode="linear",
        showgrid=False,
        secondary_y=True,
    )
    return compact(figure, height=330)
