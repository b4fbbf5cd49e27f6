"""What an attack does to every channel, class by class: Figure 1 of arXiv 2102.05311 for all classes at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from cifs.plot.layout import compact

DIVERGING = "RdBu_r"  # what rose is red; told apart by the colour-blind too
GLARING = 99  # percentile of |change| at which the colours end, so that one channel does not fade all others
BORDER = "#000000"


class ChangeInfo(NamedTuple):
    """A row for each class that has images; in it the channels from the most to the least relevant for the class."""

    classes: list[str]
    channels: np.ndarray  # (K, C) the channel at each rank
    relevance: np.ndarray  # (K, C)
    n_pr: np.ndarray  # (K,) the first n_pr ranks of a row are PR, the rest NR
    attack: np.ndarray  # (K, C) mean activation, attacked − natural
    noise: np.ndarray  # (K, C) of the control − natural


class Shares(NamedTuple):
    """Over all pairs of class and channel of a kind, how many follow the paper's claim, and by how much."""

    nr_raised: float
    pr_lowered: float
    nr_change: float  # mean
    pr_change: float


def change_info(classes: Sequence[str], by_class: Any) -> ChangeInfo:
    """by_class: relevance, natural, adversarial and noise, each [K][C] with null for a class without images."""
    there = [k for k, row in enumerate(by_class.relevance) if row is not None]

    def rows(values: Sequence[Any]) -> np.ndarray:
        return np.array([values[k] for k in there], dtype=float)

    relevance, natural = rows(by_class.relevance), rows(by_class.natural)
    order = np.argsort(-relevance, axis=1, kind="stable")
    attack, noise = (
        np.take_along_axis(rows(values) - natural, order, axis=1) for values in (by_class.adversarial, by_class.noise)
    )
    ordered = np.take_along_axis(relevance, order, axis=1)
    return ChangeInfo([classes[k] for k in there], order, ordered, (ordered > 0).sum(axis=1), attack, noise)


def shares(info: ChangeInfo, change: np.ndarray) -> Shares:
    """change: info.attack, or info.noise for the control."""
    pr = info.relevance > 0
    nr_change, pr_change = change[~pr], change[pr]
    return Shares(_mean(nr_change > 0), _mean(pr_change < 0), _mean(nr_change), _mean(pr_change))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0


def change_figure(info: ChangeInfo, *, height: int | None = None) -> go.Figure:
    """Above the attack, below the control, on one colour scale; the line in each row parts PR from NR."""
    limit = float(np.percentile(np.abs(info.attack), GLARING)) or 1.0
    bar = {"orientation": "h", "thickness": 10, "y": 1.07, "yanchor": "bottom", "len": 0.8, "title": {
        "text": "change of the mean activation", "side": "top"}}  # fmt: skip
    names = {"tickvals": list(range(len(info.classes))), "ticktext": info.classes, "autorange": "reversed"}
    last = info.channels.shape[1] - 0.5
    layout: dict[str, Any] = {
        "coloraxis": {
            "colorscale": DIVERGING, "cmin": -limit, "cmax": limit, "colorbar": bar,
        },
        "xaxis": {"anchor": "y", "matches": "x2", "showticklabels": False, "range": [-0.5, last]},
        "xaxis2": {"anchor": "y2", "title": {"text": "channels, the most relevant first"},
                   "range": [-0.5, last]},
        "yaxis": names | {"anchor": "x", "domain": [0.53, 1]},
        "yaxis2": names | {"anchor": "x2", "domain": [0, 0.47]},
        "annotations": [_name("under attack", 1), _name("the control: noise as large", 0.47)],
    }  # fmt: skip
    traces = [*_panel(info, info.attack, "x", "y"), *_panel(info, info.noise, "x2", "y2")]
    figure = compact(go.Figure({"data": traces, "layout": layout}), height=height or _height(info), legend=False)
    return figure.update_layout(margin_t=86)


def _height(info: ChangeInfo) -> int:
    return 180 + 44 * len(info.classes)


def _panel(info: ChangeInfo, change: np.ndarray, x: str, y: str) -> list[dict[str, Any]]:
    kinds = np.where(info.relevance > 0, "PR", "NR")
    hover = "%{y}: channel %{customdata[0]} (%{customdata[1]})<br>%{z:+.3g}<extra></extra>"
    rows = np.arange(len(info.classes))
    border = np.repeat(info.n_pr - 0.5, 2)
    edges = np.stack([rows - 0.5, rows + 0.5], axis=1).ravel()
    return [
        {
            "type": "heatmap", "z": change, "customdata": np.stack([info.channels, kinds], axis=2).tolist(),
            "coloraxis": "coloraxis", "hovertemplate": hover, "xaxis": x, "yaxis": y,
        },
        {
            "type": "scatter", "x": border, "y": edges, "mode": "lines", "hoverinfo": "skip",
            "line": {"color": BORDER, "width": 1.5}, "xaxis": x, "yaxis": y,
        },
    ]  # fmt: skip


def _name(text: str, y: float) -> dict[str, Any]:
    place = {"x": 0, "xref": "paper", "xanchor": "left", "y": y, "yref": "paper", "yanchor": "bottom"}
    return place | {"text": text, "showarrow": False}
