"""One channel: its class profile, and its response to an attack of growing ε."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import NATURAL, NEUTRAL, NR, PR
from cifs.plot.layout import compact


class ProfileInfo(NamedTuple):
    """By class, the strongest first; None where there were no images."""

    classes: list[str]
    activation: list[float | None]
    relevance: list[float | None]


def profile_info(
    classes: Sequence[str], activation: Sequence[float | None], relevance: Sequence[float | None]
) -> ProfileInfo:
    strength = [float("-inf") if a is None else a for a in activation]
    order = sorted(range(len(classes)), key=lambda k: -strength[k])
    return ProfileInfo([classes[k] for k in order], [activation[k] for k in order], [relevance[k] for k in order])


def profile_figure(info: ProfileInfo) -> go.Figure:
    """Left: mean activation on each class's images. Right: mean relevance for the class, PR and NR told apart."""
    titles = ("activation", "relevance")
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    figure.add_bar(
        y=info.classes, x=info.activation, orientation="h", marker={"color": NATURAL, "line_width": 0},
        hovertemplate="%{y}: %{x:.3g}<extra></extra>", row=1, col=1,
    )  # fmt: skip
    colours = [PR if (g or 0) > 0 else NR for g in info.relevance]
    figure.add_bar(
        y=info.classes, x=info.relevance, orientation="h", marker={"color": colours, "line_width": 0},
        hovertemplate="%{y}: %{x:+.3g}<extra></extra>", row=1, col=2,
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    return compact(figure, height=70 + 24 * len(info.classes), legend=False).update_layout(margin_t=28)


class ResponseInfo(NamedTuple):
    eps: Sequence[float]
    activation: Sequence[float]
    relevance: Sequence[float]
    budget: float  # the attack's own ε
    falls_at: float | None  # the first ε at which the label falls


def response_figure(info: ResponseInfo, *, height: int = 340) -> go.Figure:
    """Activation (left axis) and relevance for the label (right axis) against ε; where is what, the legend says: words
    in the chart would lie on its curves."""
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    hover = "ε = %{x:.4g}: %{y:.4g}<extra>%{fullData.name}</extra>"
    figure.add_scatter(
        x=list(info.eps), y=list(info.activation), name="activation", line={"color": NATURAL}, hovertemplate=hover
    )
    figure.add_scatter(
        x=list(info.eps), y=list(info.relevance), name="relevance", hovertemplate=hover, secondary_y=True,
        line={"color": PR if info.relevance[0] > 0 else NR, "dash": "dot"},
    )  # fmt: skip
    figure.add_vline(
        x=info.budget, line={"color": NEUTRAL, "dash": "dash", "width": 1}, name="the attack's ε", showlegend=True,
    )  # fmt: skip
    if info.falls_at is not None:
        figure.add_vline(
            x=info.falls_at, line={"color": NEUTRAL, "dash": "dot", "width": 2}, name="the label falls",
            showlegend=True,
        )  # fmt: skip
    figure.update_xaxes(title_text="ε")
    figure.update_yaxes(title_text="activation", rangemode="tozero", secondary_y=False)
    figure.update_yaxes(title_text="relevance g", showgrid=False, tickmode="auto", secondary_y=True)
    return compact(figure, height=height)
