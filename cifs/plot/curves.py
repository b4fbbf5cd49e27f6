"""Accuracy against the attack's budget or its steps, one line a model with its 95 % band."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import plotly.graph_objects as go

from cifs.plot.colours import NEUTRAL, method_colour, translucent
from cifs.plot.labels import eps_text, labels
from cifs.plot.layout import compact
from cifs.records import RobustnessRow

Axis = Literal["eps", "steps"]
DASHES = ("solid", "dash", "dot", "dashdot")  # models of one method share its colour


class Curve(NamedTuple):
    model: str
    method: str
    dash: str
    eps: float  # the budget of the model's table
    x: list[float]
    accuracy: list[float]  # per cent
    low: list[float]
    high: list[float]


def curve_info(rows: Sequence[RobustnessRow], axis: Axis) -> list[Curve]:
    """Of those models that have curves."""
    names, of_method, curves = labels(rows), Counter[str](), []
    for row in rows:
        if row.curves is None:
            continue
        points = row.curves.eps if axis == "eps" else row.curves.steps
        curves.append(
            Curve(
                model=names[row.model],
                method=row.method,
                dash=DASHES[of_method[row.method] % len(DASHES)],
                eps=row.eps,
                x=[getattr(point, axis) for point in points],
                accuracy=[100 * point.accuracy for point in points],
                low=[100 * point.low for point in points],
                high=[100 * point.high for point in points],
            )
        )
        of_method[row.method] += 1
    return curves


def eps_figure(curves: Sequence[Curve], trained_eps: Sequence[float]) -> go.Figure:
    """Accuracy (%) against ε; dashed where models were trained."""
    figure, usual = _figure(curves), curves[0].eps if curves else None
    for eps in trained_eps:
        figure.add_vline(
            x=eps, line={"color": NEUTRAL, "dash": "dash", "width": 1},
            annotation={"text": f"trained at ε = {eps_text(eps, usual)}"}, annotation_position="top right",
        )  # fmt: skip
    ticks = sorted({x for curve in curves for x in curve.x})[::2]
    texts = [eps_text(eps, usual) for eps in ticks]
    return figure.update_xaxes(title_text="ε of the attack", tickvals=ticks, ticktext=texts)


def steps_figure(curves: Sequence[Curve]) -> go.Figure:
    """Accuracy (%) against the number of steps, on a logarithmic axis."""
    return _figure(curves).update_xaxes(
        title_text="steps of the attack", type="log", tickvals=[1, 2, 5, 10, 20, 50, 100]
    )


def _figure(curves: Sequence[Curve]) -> go.Figure:
    """Bands below all lines, on top the line others are compared with; the legend keeps the order given."""
    figure = go.Figure()
    for curve in curves:
        figure.add_scatter(
            x=[*curve.x, *reversed(curve.x)], y=[*curve.high, *reversed(curve.low)], fill="toself", mode="none",
            fillcolor=translucent(method_colour(curve.method), 0.08), hoverinfo="skip", legendgroup=curve.model,
            showlegend=False,
        )  # fmt: skip
    for rank, curve in sorted(enumerate(curves), key=lambda ranked: ranked[1].method == "vanilla"):
        figure.add_scatter(
            x=curve.x, y=curve.accuracy, name=curve.model, legendgroup=curve.model, legendrank=rank,
            mode="lines+markers", line={"color": method_colour(curve.method), "dash": curve.dash}, marker={"size": 5},
            customdata=list(zip(curve.low, curve.high, strict=True)),
            hovertemplate="%{x:.4g}: %{y:.2f} % (%{customdata[0]:.2f}–%{customdata[1]:.2f})"
            "<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_yaxes(title_text="accuracy (%)", rangemode="tozero")
    return compact(figure, height=400)
