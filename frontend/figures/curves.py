"""Accuracy against the attack's budget or its steps, one line a model with its 95 % band."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import plotly.graph_objects as go

from backend.schemas import RobustnessRow
from frontend.figures.colours import METHODS, NEUTRAL, translucent
from frontend.figures.layout import compact
from frontend.groups import eps_text, labels

Axis = Literal["eps", "steps"]
DASHES = ("solid", "dash", "dot", "dashdot")  # models of one method share its colour


class Curve(NamedTuple):
    model: str
    colour: str
    dash: str
    x: list[float]
    accuracy: list[float]  # per cent
    low: list[float]
    high: list[float]


def curve_info(rows: Sequence[RobustnessRow], axis: Axis) -> list[Curve]:
    """Of those models that have curves."""
    names, seen, curves = labels(rows), Counter[str](), []
    for row in rows:
        if row.curves is None:
            continue
        points = row.curves.eps if axis == "eps" else row.curves.steps
        curves.append(
            Curve(
                model=names[row.model],
                colour=METHODS[row.method],
                dash=DASHES[seen[row.method] % len(DASHES)],
                x=[getattr(point, axis) for point in points],
                accuracy=[100 * point.accuracy for point in points],
                low=[100 * point.low for point in points],
                high=[100 * point.high for point in points],
            )
        )
        seen[row.method] += 1
    return curves


def eps_figure(curves: Sequence[Curve], trained_eps: Sequence[float]) -> go.Figure:
    figure = _figure(curves)
    for eps in trained_eps:
        figure.add_vline(
            x=eps, line={"color": NEUTRAL, "dash": "dash", "width": 1},
            annotation={"text": f"trained at ε = {eps_text(eps)}"}, annotation_position="top right",
        )  # fmt: skip
    ticks = sorted({x for curve in curves for x in curve.x})[::2]
    figure.update_xaxes(title_text="ε of the attack", tickvals=ticks, ticktext=[eps_text(eps) for eps in ticks])
    return figure


def steps_figure(curves: Sequence[Curve]) -> go.Figure:
    return _figure(curves).update_xaxes(
        title_text="steps of the attack", type="log", tickvals=[1, 2, 5, 10, 20, 50, 100]
    )


def _figure(curves: Sequence[Curve]) -> go.Figure:
    figure = go.Figure()
    for curve in curves:
        figure.add_scatter(
            x=[*curve.x, *reversed(curve.x)], y=[*curve.high, *reversed(curve.low)], fill="toself", mode="none",
            fillcolor=translucent(curve.colour, 0.18), hoverinfo="skip", legendgroup=curve.model, showlegend=False,
        )  # fmt: skip
        figure.add_scatter(
            x=curve.x, y=curve.accuracy, name=curve.model, legendgroup=curve.model, mode="lines+markers",
            line={"color": curve.colour, "dash": curve.dash}, marker={"size": 5},
            customdata=list(zip(curve.low, curve.high, strict=True)),
            hovertemplate="%{x:.4g}: %{y:.2f} % (%{customdata[0]:.2f}–%{customdata[1]:.2f})"
            "<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_yaxes(title_text="accuracy (%)", rangemode="tozero")
    return compact(figure, height=400)
