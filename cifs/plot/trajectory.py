"""How an attack climbs: the loss it maximises and the probability of the label, step by step."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL
from cifs.plot.layout import compact


class Iterate(Protocol):
    """One image at one step of an attack, as REST's `TrajectoryStep` tells it."""

    @property
    def step(self) -> int: ...

    @property
    def loss(self) -> float: ...

    @property
    def prediction(self) -> int: ...

    @property
    def probabilities(self) -> Sequence[float]: ...


class RecordedIterate(NamedTuple):
    """An `Iterate` read from what `cifs.attacks.perturb` records."""

    step: int
    loss: float
    prediction: int
    probabilities: list[float]


def iterates(steps: Sequence[Any], image: int = 0) -> list[RecordedIterate]:
    """Of one image of the batch, from the steps `perturb(…, record=steps.append)` recorded.

    A restart voids what came before: the run told is the last one the image was part of.
    """
    run: list[RecordedIterate] = []
    for step in steps:
        images = step.images.tolist()
        if image not in images:
            continue
        if step.step == 0:
            run.clear()
        at = images.index(image)
        logits = np.asarray(step.logits[at].tolist())
        probabilities = np.exp(logits - logits.max())
        probabilities /= probabilities.sum()
        loss = float(step.loss[at])
        run.append(RecordedIterate(step.step, loss, int(logits.argmax()), probabilities.tolist()))
    return run


class TrajectoryInfo(NamedTuple):
    steps: list[int]
    losses: list[float]
    watched: int  # the class whose probability is shown: the label, or the target of a targeted attack
    probability: list[float]
    predictions: list[int]
    fooled_at: int | None  # the first step at which the attack has what it wants
    targeted: bool  # the loss is the target's, and falls


def trajectory_info(trajectory: Sequence[Iterate], label: int, target: int | None = None) -> TrajectoryInfo:
    """label: what the attack leads away from. target: the class it leads to instead, where it is a targeted one."""
    watched = label if target is None else target
    wins = [(step.prediction == watched) == (target is not None) for step in trajectory]
    return TrajectoryInfo(
        steps=[step.step for step in trajectory],
        losses=[step.loss for step in trajectory],
        watched=watched,
        probability=[step.probabilities[watched] for step in trajectory],
        predictions=[step.prediction for step in trajectory],
        fooled_at=next((step.step for step, wins in zip(trajectory, wins, strict=True) if wins), None),
        targeted=target is not None,
    )


def trajectory_figure(info: TrajectoryInfo, classes: Sequence[str]) -> go.Figure:
    """Loss (left axis) and probability (right axis) by step; dashed where the attack succeeds."""
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    names = [classes[k] for k in info.predictions]
    hover = "step %{x}: %{y:.3g}<br>prediction %{customdata}<extra>%{fullData.name}</extra>"
    figure.add_scatter(
        x=info.steps, y=info.losses, customdata=names, name="loss", hovertemplate=hover,
        mode="lines+markers", line={"color": ADVERSARIAL}, marker={"size": 6},
    )  # fmt: skip
    figure.add_scatter(
        x=info.steps, y=info.probability, customdata=names, hovertemplate=hover,
        name=f"probability of {classes[info.watched]}",
        mode="lines+markers", line={"color": NATURAL, "dash": "dot"}, marker={"size": 6}, secondary_y=True,
    )  # fmt: skip
    if info.fooled_at is not None:
        figure.add_vline(
            x=info.fooled_at, line={"color": NEUTRAL, "dash": "dash", "width": 1},
            annotation={"text": f"fooled at step {info.fooled_at}"}, annotation_position="top right",
        )  # fmt: skip
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="loss (minimised)" if info.targeted else "loss (maximised)", secondary_y=False)
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
