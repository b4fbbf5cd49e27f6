"""A figure on the page: what a screen reader says of it, and what its files are called when it is taken away."""

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from frontend.shelf import ShownFigure, put_figure

ABOUT = "what files are about"  # of the session: data set, network and ε of the page


def draw(figure: go.Figure, *, key: str, alt: str, name: str | None = None, **options: Any) -> Any:
    """`name`: what it shows, in few words; its files are named after it and what the page is about."""
    file = named(name or key)
    put_figure(ShownFigure(key, file, alt, figure))
    config = {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "png", "filename": file, "scale": 2},
        "modeBarButtonsToRemove": ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
    }
    return st.plotly_chart(figure, key=key, alt=alt, config=config, **options)


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
