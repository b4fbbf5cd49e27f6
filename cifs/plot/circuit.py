"""The circuit of a failure: the margin against the number of channels patched, in several orders."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL, translucent
from cifs.plot.layout import compact


class PatchInfo(NamedTuple):
    """Each (P,), by the number of channels patched."""

    counts: Sequence[int]
    circuit: Sequence[float]
    relevance: Sequence[float]
    random: Sequence[float]
    random_low: Sequence[float]
    random_high: Sequence[float]
    size: int  # of the circuit
    reached: bool
    restoring: bool  # natural activations into the attacked pass, else attacked ones into the natural pass


def patch_figure(info: PatchInfo, *, height: int = 380) -> go.Figure:
    """Above 0 a wrong class is ahead, below 0 the label is."""
    figure = go.Figure()
    hover = "%{x} patched: margin %{y:.3g}<extra>%{fullData.name}</extra>"
    figure.add_scatter(
        x=[*info.counts, *reversed(info.counts)], y=[*info.random_high, *reversed(info.random_low)], fill="toself",
        fillcolor=translucent(NEUTRAL, 0.25), line={"width": 0}, hoverinfo="skip", name="range of random orders",
    )  # fmt: skip
    colour = NATURAL if info.restoring else ADVERSARIAL
    for name, values, line in (
        ("random order, mean", info.random, {"color": NEUTRAL, "width": 2}),
        ("by |relevance|", info.relevance, {"color": colour, "width": 2, "dash": "dot"}),
        ("the circuit, then the others", info.circuit, {"color": colour, "width": 3}),
    ):
        figure.add_scatter(x=list(info.counts), y=list(values), name=name, line=line, mode="lines", hovertemplate=hover)
    figure.add_hline(y=0, line={"color": NEUTRAL, "dash": "dash", "width": 1})
    if info.reached:
        figure.add_vline(
            x=info.size, line={"color": colour, "dash": "dash", "width": 1},
            annotation={"text": f"{info.size} channels"}, annotation_position="top right",
        )  # fmt: skip
    figure.update_xaxes(title_text="channels patched", rangemode="tozero")
    figure.update_yaxes(title_text="margin: best wrong class − label", zeroline=False)
    return compact(figure, height=height)
