"""What every chart has in common."""

import plotly.graph_objects as go

from cifs.plot.colours import NEUTRAL

# A saved picture has not the page's own font, and another one is wider than the legend that is clipped to it.
PORTABLE = {"family": "sans-serif"}
WHISKERS = {"thickness": 2, "width": 4, "color": NEUTRAL}  # of a 95 % interval


def compact(figure: go.Figure, *, height: int, legend: bool = True) -> go.Figure:
    """Small margins, the legend in a row above the chart, no drag-to-zoom in the way of a click."""
    return figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 34 if legend else 12, "b": 8},
        showlegend=legend,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.01, "xanchor": "left", "x": 0, "font": PORTABLE},
        dragmode=False,
        hovermode="closest",
    )
