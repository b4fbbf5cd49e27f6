"""How many points one model is ahead of another, attack by attack, beside the margin the paper reports."""

from collections.abc import Mapping
from typing import NamedTuple

import plotly.graph_objects as go

from backend.schemas import Comparison
from frontend.difference import points
from frontend.figures.colours import METHODS, NEUTRAL
from frontend.figures.layout import compact
from frontend.figures.robustness import WHISKERS


class Margins(NamedTuple):
    """Differences in points of accuracy, one a column of the table."""

    columns: list[str]  # titles
    difference: list[float]
    above: list[float]  # distance to the upper end of the 95 % interval
    below: list[float]
    paper: list[float | None]


def margins(comparison: Comparison, titles: Mapping[str, str], paper: Mapping[str, float]) -> Margins:
    """titles: of the columns, by key. paper: its own margins in points, by key."""
    found = Margins([], [], [], [], [])
    for column in comparison.columns:
        found.columns.append(titles.get(column.column, column.column))
        found.difference.append(points(column))
        found.above.append(100 * column.high - points(column))
        found.below.append(points(column) - 100 * column.low)
        found.paper.append(paper.get(column.column))
    return found


def margin_figure(info: Margins, method: str, second: str) -> go.Figure:
    """method: of the first model, whose colour it gets. second: what to call the other."""
    figure = go.Figure()
    figure.add_hline(y=0, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    if any(value is not None for value in info.paper):
        figure.add_scatter(
            x=info.columns, y=info.paper, name="the paper's margin", mode="markers",
            marker={"symbol": "diamond-open", "size": 11, "color": NEUTRAL, "line_width": 2},
            hovertemplate="%{x}, in the paper: %{y:+.2f} points<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=info.columns, y=info.difference, name="measured here", mode="markers",
        marker={"size": 11, "color": METHODS[method]},
        error_y=WHISKERS | {"array": info.above, "arrayminus": info.below},
        hovertemplate="%{x}: %{y:+.2f} points<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(categoryorder="array", categoryarray=info.columns)
    figure.update_yaxes(title_text=f"points ahead of {second}", zeroline=False)
    return compact(figure, height=300)
