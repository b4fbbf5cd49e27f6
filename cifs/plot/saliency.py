"""Saliency of the natural and the attacked image on one colour scale."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import SEQUENTIAL
from cifs.plot.layout import compact
from cifs.plot.maps import SCALE

DIVERGING = "RdBu"  # signed maps: told apart by the colour-blind too


class SaliencyInfo(NamedTuple):
    titles: list[str]
    maps: list[np.ndarray]  # each (H, W)
    signed: bool
    limit: float  # the scale reaches from 0, or from −limit where signed, to limit


def saliency_info(titles: Sequence[str], maps: Sequence[Sequence[Sequence[float]]], *, signed: bool) -> SaliencyInfo:
    arrays = [np.asarray(values, dtype=float) for values in maps]
    return SaliencyInfo(list(titles), arrays, signed, max(float(np.abs(values).max()) for values in arrays) or 1.0)


def saliency_figure(info: SaliencyInfo, *, height: int = 300) -> go.Figure:
    figure = make_subplots(
        cols=len(info.maps),
        subplot_titles=[title.replace(": ", ":<br>") for title in info.titles],
        horizontal_spacing=0.04,
    )
    for k, values in enumerate(info.maps):
        figure.add_heatmap(z=values, coloraxis="coloraxis", hovertemplate="%{z:.3g}<extra></extra>", row=1, col=k + 1)
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain", constraintoward="top")
    for k in range(len(info.maps)):
        figure.update_yaxes(scaleanchor=f"x{k + 1 if k else ''}", row=1, col=k + 1)
    low = -info.limit if info.signed else 0.0
    scale = DIVERGING if info.signed else SEQUENTIAL
    figure.update_annotations(font_size=12)
    compact(figure, height=height, legend=False)
    colours = {"colorscale": scale, "cmin": low, "cmax": info.limit, "colorbar": SCALE}
    return figure.update_layout(coloraxis=colours, margin={"t": 44})
