"""Feature maps of one channel, natural beside adversarial, on one shared colour scale."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from cifs.plot.colours import SEQUENTIAL
from cifs.plot.layout import compact

GAP = 0.06  # between maps, of the width
SCALE = {"len": 0.75, "y": 1, "yanchor": "top", "thickness": 16, "outlinewidth": 0}  # beside them, from their top on


class MapsInfo(NamedTuple):
    channel: int
    titles: list[str]
    maps: list[np.ndarray]  # each (H, W)
    low: float
    high: float  # one scale for all maps


def maps_info(channel: int, natural: Any, adversarial: Any = None) -> MapsInfo:
    """natural, adversarial: the channel's feature map, (H, W), anything that numpy takes for an array."""
    both = {"natural": natural, "adversarial": adversarial}
    return images_info(channel, {name: values for name, values in both.items() if values is not None})


def images_info(channel: int, maps: Mapping[str, Any]) -> MapsInfo:
    """The same channel on several images, by what they show."""
    shown = {name: np.asarray(values, dtype=float) for name, values in maps.items()}
    low, high = min(0.0, *(v.min() for v in shown.values())), max(v.max() for v in shown.values())
    titles = [f"{name}<br>mean {values.mean():.3g}" for name, values in shown.items()]
    return MapsInfo(channel, titles, list(shown.values()), float(low), float(high if high > low else low + 1.0))


def maps_figure(info: MapsInfo) -> go.Figure:
    """The maps side by side, as large as one another."""
    layout: dict[str, Any] = {
        "coloraxis": {"colorscale": SEQUENTIAL, "cmin": info.low, "cmax": info.high, "colorbar": SCALE},
        "annotations": [_title(title, _domain(k, len(info.maps))) for k, title in enumerate(info.titles)],
    }
    for k in range(len(info.maps)):
        x, y = _axis("x", k), _axis("y", k)
        plain = {"showticklabels": False, "ticks": "", "constrain": "domain", "showgrid": False}
        layout[x.replace("x", "xaxis")] = plain | {"domain": _domain(k, len(info.maps)), "anchor": y}
        below_title = {"constraintoward": "top", "autorange": "reversed"}  # where the page is narrow
        layout[y.replace("y", "yaxis")] = plain | below_title | {"anchor": x, "scaleanchor": x}
    hover = "row %{y}, column %{x}: %{z:.3g}<extra></extra>"
    maps = [
        {
            "type": "heatmap", "z": values, "coloraxis": "coloraxis", "hovertemplate": hover,
            "xaxis": _axis("x", k), "yaxis": _axis("y", k),
        }
        for k, values in enumerate(info.maps)
    ]  # fmt: skip
    return compact(go.Figure({"data": maps, "layout": layout}), height=320, legend=False).update_layout(
        margin_t=48, margin_r=100
    )


def _axis(letter: str, k: int) -> str:
    return letter if k == 0 else f"{letter}{k + 1}"


def _domain(k: int, n: int) -> list[float]:
    """Of the k-th of n maps side by side."""
    width = (1 - GAP * (n - 1)) / n
    return [k * (width + GAP), k * (width + GAP) + width]


def _title(text: str, domain: list[float]) -> dict[str, Any]:
    place = {"x": sum(domain) / 2, "xref": "paper", "xanchor": "center", "y": 1, "yref": "paper", "yanchor": "bottom"}
    return place | {"text": text, "showarrow": False}
