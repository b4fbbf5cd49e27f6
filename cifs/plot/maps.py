"""Feature maps of one channel, natural beside adversarial, on one shared colour scale."""

from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import SEQUENTIAL
from cifs.plot.layout import compact


class MapsInfo(NamedTuple):
    channel: int
    titles: list[str]
    maps: list[np.ndarray]  # each (H, W)
    low: float
    high: float  # one scale for all maps


def maps_info(channel: int, natural: Any, adversarial: Any = None) -> MapsInfo:
    """natural, adversarial: the channel's feature map, (H, W), anything that numpy takes for an array."""
    named = [("natural", natural), ("adversarial", adversarial)]
    shown = [(name, np.asarray(values, dtype=float)) for name, values in named if values is not None]
    low = min(0.0, *(values.min() for _, values in shown))
    high = max(values.max() for _, values in shown)
    return MapsInfo(
        channel=channel,
        titles=[f"{name}<br>mean {values.mean():.3g}" for name, values in shown],
        maps=[values for _, values in shown],
        low=float(low),
        high=float(high if high > low else low + 1.0),
    )


def maps_figure(info: MapsInfo) -> go.Figure:
    """The maps side by side, as large as one another."""
    figure = make_subplots(rows=1, cols=len(info.maps), subplot_titles=info.titles, horizontal_spacing=0.06)
    for column, values in enumerate(info.maps, start=1):
        hover = "row %{y}, column %{x}: %{z:.3g}<extra></extra>"
        figure.add_heatmap(z=values, coloraxis="coloraxis", hovertemplate=hover, row=1, col=column)
        figure.update_yaxes(autorange="reversed", scaleanchor=f"x{column}" if column > 1 else "x", row=1, col=column)
    figure.update_xaxes(showticklabels=False, constrain="domain", showgrid=False)
    figure.update_yaxes(showticklabels=False, constrain="domain", showgrid=False)
    figure.update_layout(coloraxis={"colorscale": SEQUENTIAL, "cmin": info.low, "cmax": info.high})
    compact(figure, height=320, legend=False)
    return figure.update_layout(margin_t=48)
