"""A figure on the page: what a screen reader says of it, and what its picture is called when it is taken away."""

from typing import Any

import plotly.graph_objects as go
import streamlit as st


def draw(figure: go.Figure, *, key: str, alt: str, name: str | None = None, **options: Any) -> Any:
    """`name`: of the PNG the chart's own button saves."""
    config = {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "png", "filename": file_name(name or alt), "scale": 2},
        "modeBarButtonsToRemove": ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
    }
    return st.plotly_chart(figure, key=key, alt=alt, config=config, **options)


def file_name(text: str) -> str:
    """`channels of layer4.0, image 3` → `channels-of-layer4.0-image-3`."""
    words = "".join(c if c.isalnum() or c in ".-+" else " " for c in text).split()
    return "-".join(words)[:120]
