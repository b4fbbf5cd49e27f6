"""What every chart has in common."""

from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go

from cifs.plot.colours import NEUTRAL

# A saved picture has not the page's own font, and another one is wider than the legend that is clipped to it.
PORTABLE = {"family": "sans-serif"}
WHISKERS = {"thickness": 2, "width": 4, "color": NEUTRAL}  # of a 95 % interval
LEFT, BELOW = (30, 36), (26, 30)  # pixels that an axis's labels and its title need


def compact(figure: go.Figure, *, height: int, legend: bool = True, rows: Iterable[str] = ()) -> go.Figure:
    """Small margins, the legend in a row above the chart, no drag-to-zoom in the way of a click.

    rows: names on the left. Room for what axes say is left at once: where it is missing Plotly finds that out by
    drawing everything twice.
    """
    left = max([_room(figure.select_yaxes(), *LEFT), *(24 + 6 * len(name) for name in rows)])
    layout = {
        "height": height,
        "margin": {"l": left, "r": 8, "t": 46 if legend else 12, "b": _room(figure.select_xaxes(), *BELOW)},
        "showlegend": legend,
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.01, "xanchor": "left", "x": 0, "font": PORTABLE},
        "dragmode": False,
        "hovermode": "closest",
    }
    return figure.update_layout(layout, overwrite=True)  # to compare with what is there takes Plotly five times as long


def _room(axes: Iterable[Any], labels: int, title: int) -> int:
    seen = [axis for axis in axes if axis.visible is not False]
    labelled = any(axis.showticklabels is not False for axis in seen)
    return 8 + labels * labelled + title * any(axis.title.text for axis in seen)
