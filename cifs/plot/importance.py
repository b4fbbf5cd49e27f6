"""g → m → selected features: what an importance map generating function makes of one image's channels."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL, translucent
from cifs.plot.layout import compact
from cifs.plot.reading import ChannelReading

LINE, THIN = {"type": "line"}, {"color": NEUTRAL, "width": 1}
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
    curves = []
    for view, thickness in zip(info.curves, THICKNESS, strict=False):
        order = np.argsort(view.relevance)
        curves.append(
            {
                "type": "scatter", "x": view.relevance[order], "y": view.importance[order],
                "customdata": info.channels[order], "name": view.name, "mode": "lines+markers",
                "line": {"color": translucent(view.colour, 0.5), "width": thickness},
                "marker": {"color": view.colour, "size": 4 + thickness},
                "hovertemplate": "channel %{customdata}<br>g = %{x:.4g}, m = %{y:.4g}<extra>%{fullData.name}</extra>",
            }
        )  # fmt: skip
    zero = LINE | {"x0": 0, "x1": 0, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain", "line": THIN | {"dash": "dash"}}
    layout = {
        "xaxis": {"title": {"text": "relevance g   (left of 0: NR, right: PR)"}, "zeroline": False},
        "yaxis": {"title": {"text": f"importance {importance_label(info)}"}, "rangemode": "tozero"},
        "shapes": [zero, *_unchanged(info, "x", "y")],
    }  # fmt: skip
    return compact(go.Figure({"data": curves, "layout": layout}), height=360)


def _unchanged(info: ImportanceInfo, x: str, y: str) -> list[dict[str, Any]]:
    """A line at 1, where a channel passes unchanged, if anything comes near it."""
    if max(view.importance.max() for view in info.curves) <= 0.5:
        return []
    where = {"x0": 0, "x1": 1, "xref": f"{x} domain", "y0": 1, "y1": 1, "yref": y}
    return [LINE | where | {"line": THIN | {"dash": "dot"}}]


def road_figure(info: ImportanceInfo) -> go.Figure:
    """The three stations of the road, channel by channel: relevance, importance, activation before and after."""
    after = "selected features: after" if info.factor == 1 else "selected features: after, times C"
    titles = ("relevance g", f"importance {importance_label(info)}", "activation: before", after)
    layout: dict[str, Any] = {"shapes": _unchanged(info, "x2", "y2"), "annotations": []}
    for row, title in enumerate(titles, start=1):
        bottom, top = (round(edge - (row - 1) * (HEIGHT + GAP), 4) for edge in (1 - HEIGHT, 1))
        layout[f"xaxis{row}"] = {"anchor": f"y{row}", "matches": f"x{len(titles)}", "showticklabels": False}
        layout[f"yaxis{row}"] = {"anchor": f"x{row}", "domain": [max(bottom, 0), top]}
        layout["annotations"].append(
            {"text": title, "showarrow": False, "font": {"size": 16}, "x": 0.5, "xanchor": "center", "xref": "paper",
             "y": top, "yanchor": "bottom", "yref": "paper"}
        )  # fmt: skip
    last = layout[f"xaxis{len(titles)}"]
    del last["matches"]
    last["title"] = {"text": "channels, the most relevant (natural) first"}
    figure = compact(go.Figure({"data": _stations(info), "layout": layout}), height=680)
    return figure.update_layout(legend_y=1.04, margin_t=64)


GAP = 0.07  # between the charts of the road, of its height
HEIGHT = (1 - 3 * GAP) / 4


def _stations(info: ImportanceInfo) -> list[dict[str, Any]]:
    ranks = np.arange(len(info.channels))
    return [
        {
            "type": "scatter", "x": ranks, "y": values, "customdata": info.channels, "name": view.name,
            "legendgroup": view.name, "showlegend": row == 1, "mode": "lines",
            "line": {"color": view.colour, "width": thickness, "shape": "hvh"}, "xaxis": f"x{row}", "yaxis": f"y{row}",
            "hovertemplate": "channel %{customdata}: %{y:.4g}<extra>%{fullData.name}</extra>",
        }
        for view, thickness in zip(info.curves, THICKNESS, strict=False)
        for row, values in enumerate((view.relevance, view.importance, view.activation, view.selected), start=1)
    ]  # fmt: skip
