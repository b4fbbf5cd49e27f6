"""A figure as an HTML page that needs nothing else, and can be moved and read off as on the dashboard."""

from collections.abc import Mapping
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

WIDEST = 1000  # pixels, about what a chart has on the dashboard: wider ones are flat


def figure_page(title: str, figure: go.Figure | Mapping[str, Any]) -> str:
    """title: what a screen reader says of it, and the browser's tab."""
    drawn = go.Figure(figure).update_layout(template="plotly_white")
    inner = drawn.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True})
    said = escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{said}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>body {{ max-width: {WIDEST}px; margin: 1rem auto }}</style><script>{get_plotlyjs()}</script></head>"
        f'<body><div role="img" aria-label="{said}">{inner}</div></body></html>\n'
    )
