"""A figure on the page: what a screen reader says of it, and what its files are called when it is taken away."""

from typing import Any
from zlib import crc32

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import streamlit as st

from cifs.plot.colours import NEUTRAL, translucent
from frontend.shelf import ShownFigure, put_figure

ABOUT = "what files are about"  # of the session: data set, network and ε of the page
# Streamlit hands each chart to Plotly twice; a template, or arrays in binary, would make that two drawings. So these
# are its looks without either, fit for both backgrounds: the style sheet has the colours of the page's own.
pio.templates.default = None
CLEAR = "rgba(0, 0, 0, 0)"
GRID, TEXT = translucent(NEUTRAL, 0.25), {"family": '"Source Sans", sans-serif', "size": 12, "color": "#3F4853"}
LOOKS = {
    "font": TEXT, "paper_bgcolor": "#FFFFFF", "plot_bgcolor": CLEAR,
    "title": {"x": 0, "xanchor": "left", "font_size": 16}, "margin_pad": 8, "legend_bgcolor": CLEAR,
    "modebar": {"bgcolor": CLEAR, "color": NEUTRAL, "activecolor": NEUTRAL},
}  # fmt: skip
COLOURS = {"len": 0.75, "y": 0.5745, "thickness": 16, "outlinewidth": 0}  # of a bar that says nothing of its place
AXIS = {"automargin": True, "gridcolor": GRID, "zerolinecolor": GRID, "title_font_size": 14}
X_AXIS = AXIS | {"showgrid": False, "zeroline": False, "title_standoff": 20}
Y_AXIS = AXIS | {"title_standoff": 24}


def draw(figure: go.Figure, *, key: str, alt: str, name: str | None = None, **options: Any) -> Any:
    """`name`: what it shows, in few words; its files are named after it and what the page is about."""
    file = named(name or key)
    put_figure(ShownFigure(key, file, alt, figure))
    looks_of_the_page(figure)
    config = {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "png", "filename": file, "scale": 2},
        "modeBarButtonsToRemove": ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
    }
    return st.plotly_chart(figure, key=key, alt=alt, config=config, theme=None, **options)


def looks_of_the_page(figure: go.Figure) -> None:
    """Where the figure says nothing else."""
    for trace in figure.data:
        arrays = {name: value for name, value in trace.to_plotly_json().items() if isinstance(value, np.ndarray)}
        trace.update(dict.fromkeys(arrays))  # else Plotly keeps what is equal
        trace.update({name: value.tolist() for name, value in arrays.items()})
    if figure.layout.coloraxis.colorbar.y is None:
        figure.update_layout(coloraxis_colorbar=COLOURS)
    # Plotly draws arrays anew only under a new revision: that of what they hold.
    figure.update_layout(LOOKS | {"datarevision": crc32(figure.to_json().encode())})
    for axes, usual in ((figure.select_xaxes(), X_AXIS), (figure.select_yaxes(), Y_AXIS)):
        for axis in axes:
            axis.update({name: value for name, value in usual.items() if axis[name] is None})


def files_are_about(text: str) -> None:
    """What the page looks at; every file's name says it."""
    st.session_state[ABOUT] = text


def named(what: str) -> str:
    """As in `channels-of-layer4.0-fashion_mnist-cifs-eps-0.1`."""
    return file_name(f"{what}, {st.session_state.get(ABOUT, '')}")


def file_name(text: str) -> str:
    """`channels of layer4.0, image 3` → `channels-of-layer4.0-image-3`."""
    words = "".join(c if c.isalnum() or c in ".-+_" else " " for c in text.replace("ε =", "eps")).split()
    return "-".join(words)[:120]
