"""Notions of relevance compared: what is left of the class while channels go, and while only the first are in."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import NEUTRAL
from cifs.plot.layout import compact

# told apart by dash as well as by hue, for there are more than four
LOOKS = (("#085CE5", "solid"), ("#F1590C", "solid"), ("#0FA86B", "dash"), ("#C52CA5", "dash"), ("#975F0C", "dot"))


class NotionCurves(NamedTuple):
    title: str
    deletion: Sequence[float]
    insertion: Sequence[float]
    control: bool  # a random order


def faithfulness_figure(shares: Sequence[float], notions: Sequence[NotionCurves], *, height: int = 400) -> go.Figure:
    titles = ("deletion: the most<br>relevant go first", "insertion: only the<br>most relevant are in")
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.1, subplot_titles=titles)
    hover = "%{x:.0%} of the channels: %{y:.1%}<extra>%{fullData.name}</extra>"
    for number, notion in enumerate(notions):
        colour, dash = (NEUTRAL, "solid") if notion.control else LOOKS[number % len(LOOKS)]
        for col, values in enumerate((notion.deletion, notion.insertion), start=1):
            figure.add_scatter(
                x=list(shares), y=list(values), name=notion.title, legendgroup=notion.title, showlegend=col == 1,
                mode="lines", line={"color": colour, "dash": dash, "width": 2}, hovertemplate=hover, row=1, col=col,
            )  # fmt: skip
    figure.update_xaxes(tickvals=[0, 0.5, 1], ticktext=["0", "50 %", "100 %"], title_text="channels")
    figure.update_yaxes(title_text="probability of the class", tickformat=".0%", rangemode="tozero", col=1)
    figure.update_annotations(font_size=13)
    below = {"y": -0.3, "yanchor": "top"}  # above, its many rows on a phone would lie over the titles
    return compact(figure, height=height).update_layout(legend=below)
