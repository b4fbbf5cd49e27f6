"""g → m → selected features: what an importance map generating function makes of one image's channels."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL, translucent
from cifs.plot.layout import compact
from cifs.plot.reading import ChannelReading

THICKNESS = (3.0, 1.5)  # natural below adversarial: where the two agree, both are seen


class ImportanceCurve(NamedTuple):
    """One input's channels, in the order of the natural relevance; each (C,)."""

    name: str
    colour: str
    relevance: np.ndarray
    importance: np.ndarray  # multiplied by `ImportanceInfo.factor`
    activation: np.ndarray
    selected: np.ndarray


class ImportanceInfo(NamedTuple):
    channels: np.ndarray  # (C,) channel at each rank, the highest natural relevance first
    factor: float  # C for softmax, whose m_i sum to 1, so that 1 means unchanged on average; else 1
    own: bool  # the model's own m, of the relevance its probe assessed; else a what-if IMGF of the relevance asked for
    curves: list[ImportanceCurve]


def importance_info(
    natural: ChannelReading,
    adversarial: ChannelReading | None = None,
    *,
    imgf: Mapping[str, Any] | None = None,
    own: bool = True,
) -> ImportanceInfo | None:
    """Of one image and its attacked twin; None where the layer has no importance.

    imgf: the function that made m, by name and parameters. own: whether it is the model's, of what its probe assessed.
    """
    if natural.importance is None:
        return None
    order = np.argsort(-_relevance(natural, own), kind="stable")
    factor = importance_factor(imgf, len(order))
    named = (("natural", NATURAL, natural), ("adversarial", ADVERSARIAL, adversarial))
    curves = [
        _curve(name, colour, reading, own, order, factor) for name, colour, reading in named if reading is not None
    ]
    return ImportanceInfo(order, factor, own, curves)


def _relevance(reading: ChannelReading, own: bool) -> np.ndarray:
    """The g that m was made of: what the model itself assessed, or what was asked for."""
    return np.asarray(reading.assessed if own and reading.assessed is not None else reading.relevance, dtype=float)


def importance_factor(imgf: Mapping[str, Any] | None, channels: int) -> float:
    """What m is multiplied by on charts, so that 1 means unchanged (on average, where the m_i share a fixed sum)."""
    sums_to_one = imgf is not None and imgf.get("name") == "softmax" and not imgf.get("per_channel")
    return float(channels) if sums_to_one else 1.0


def _curve(
    name: str, colour: str, reading: ChannelReading, own: bool, order: np.ndarray, factor: float
) -> ImportanceCurve:
    importance = np.asarray(reading.importance, dtype=float)
    activation = np.asarray(reading.activation, dtype=float)
    selected = importance * activation if reading.selected is None else np.asarray(reading.selected, dtype=float)
    return ImportanceCurve(
        name, colour, _relevance(reading, own)[order], factor * importance[order], activation[order],
        factor * selected[order],
    )  # fmt: skip


def importance_label(info: ImportanceInfo) -> str:
    return "C · m" if info.factor != 1 else "m"


def curve_figure(info: ImportanceInfo) -> go.Figure:
    """m against g, each point a channel, joined to the function's curve."""
    figure = go.Figure()
    for view, thickness in zip(info.curves, THICKNESS, strict=False):
        order = np.argsort(view.relevance)
        figure.add_scatter(
            x=view.relevance[order], y=view.importance[order], customdata=info.channels[order], name=view.name,
            mode="lines+markers",
            line={"color": translucent(view.colour, 0.5), "width": thickness},
            marker={"color": view.colour, "size": 4 + thickness},
            hovertemplate="channel %{customdata}<br>g = %{x:.4g}, m = %{y:.4g}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": NEUTRAL, "dash": "dash", "width": 1})
    _mark_unchanged(figure, info)
    figure.update_xaxes(title_text="relevance g   (left of 0: NR, right: PR)", zeroline=False)
    figure.update_yaxes(title_text=f"importance {importance_label(info)}", rangemode="tozero")
    return compact(figure, height=360)


def _mark_unchanged(figure: go.Figure, info: ImportanceInfo, **where: int) -> None:
    """A line at 1, where a channel passes unchanged, if anything comes near it."""
    if max(view.importance.max() for view in info.curves) > 0.5:
        figure.add_hline(y=1, line={"color": NEUTRAL, "dash": "dot", "width": 1}, **where)


def road_figure(info: ImportanceInfo) -> go.Figure:
    """The three stations of the road, channel by channel: relevance, importance, activation before and after."""
    after = "selected features: after" if info.factor == 1 else "selected features: after, times C"
    titles = ("relevance g", f"importance {importance_label(info)}", "activation: before", after)
    figure = make_subplots(rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.07, subplot_titles=titles)
    ranks = np.arange(len(info.channels))
    for view, thickness in zip(info.curves, THICKNESS, strict=False):
        for row, values in enumerate((view.relevance, view.importance, view.activation, view.selected), start=1):
            figure.add_scatter(
                x=ranks, y=values, customdata=info.channels, name=view.name, legendgroup=view.name, showlegend=row == 1,
                mode="lines", line={"color": view.colour, "width": thickness, "shape": "hvh"},
                hovertemplate="channel %{customdata}: %{y:.4g}<extra>%{fullData.name}</extra>", row=row, col=1,
            )  # fmt: skip
    _mark_unchanged(figure, info, row=2, col=1)
    figure.update_xaxes(showticklabels=False)
    figure.update_xaxes(title_text="channels, the most relevant (natural) first", row=4, col=1)
    compact(figure, height=680)
    return figure.update_layout(legend_y=1.04, margin_t=64)
