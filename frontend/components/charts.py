"""A figure on the page: what a screen reader says of it, and what its files are called when it is taken away."""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import streamlit as st
from plotly.basedatatypes import BaseFigure, BasePlotlyType

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
    "title": {"x": 0, "xanchor": "left", "font": {"size": 16}}, "margin": {"pad": 8}, "legend": {"bgcolor": CLEAR},
    "modebar": {"bgcolor": CLEAR, "color": NEUTRAL, "activecolor": NEUTRAL},
}  # fmt: skip
COLOURS = {"len": 0.75, "y": 0.5745, "thickness": 16, "outlinewidth": 0}  # of a bar that says nothing of its place
AXIS = {"automargin": True, "gridcolor": GRID, "zerolinecolor": GRID}
AXES = {
    "xaxis": AXIS | {"showgrid": False, "zeroline": False, "title": {"font": {"size": 14}, "standoff": 20}},
    "yaxis": AXIS | {"title": {"font": {"size": 14}, "standoff": 24}},
}


def draw(figure: go.Figure, *, key: str, alt: str, name: str | None = None, **options: Any) -> Any:
    """`name`: what it shows, in few words; its files are named after it and what the page is about."""
    file = named(name or key)
    drawn = with_looks_of_the_page(figure)
    put_figure(ShownFigure(key, file, alt, drawn))
    config = {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "png", "filename": file, "scale": 2},
        "modeBarButtonsToRemove": ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
    }
    return st.plotly_chart(Drawn(drawn), key=key, alt=alt, config=config, theme=None, **options)


class Drawn(BaseFigure):
    """What is drawn, for Streamlit: of a dict it would have Plotly check each property once more, which is slow."""

    def __init__(self, drawn: dict[str, Any]):
        self._drawn = drawn

    def to_dict(self) -> dict[str, Any]:
        return self._drawn


def with_looks_of_the_page(figure: go.Figure) -> dict[str, Any]:
    """What is drawn: the looks of the page where the figure says nothing else.

    A dict: of a figure Plotly checks each property that is changed, which is slow.
    """
    parts = {"data": figure.data, "layout": figure.layout, "frames": figure.frames}
    drawn = {name: _plain(part) for name, part in parts.items() if part}
    layout = drawn["layout"]
    for axes, usual in AXES.items():
        for axis in {axes, *(name for name in layout if name.startswith(axes))}:
            layout[axis] = _filled(layout.get(axis, {}), usual)
    bar = {} if "y" in layout.get("coloraxis", {}).get("colorbar", {}) else {"coloraxis": {"colorbar": COLOURS}}
    drawn["layout"] = layout = _filled(layout, LOOKS | bar)
    # Plotly draws arrays anew only under a new revision: that of what they hold.
    layout["datarevision"] = crc32(pio.to_json(drawn, validate=False).encode())
    return drawn


def _plain(part: Any) -> Any:
    """Of a part of a figure: dicts and lists."""
    if isinstance(part, np.ndarray):
        return part.tolist()
    if isinstance(part, BasePlotlyType):
        return _plain(part.to_plotly_json())
    if isinstance(part, dict):
        return {name: _plain(value) for name, value in part.items()}
    return [_plain(value) for value in part] if isinstance(part, (list, tuple)) else part


def _filled(said: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """What is said, and what is usual where nothing is."""
    also = {
        name: _filled(said.get(name) or {}, value) if isinstance(value, dict) else value
        for name, value in usual.items()
        if isinstance(value, dict) or said.get(name) is None
    }
    return {**said, **also}


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
