"""Accuracy of every class under one attack, models below one another."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from backend.schemas import RobustnessRow
from frontend.figures.colours import SEQUENTIAL
from frontend.figures.layout import compact
from frontend.groups import labels


class ByClassInfo(NamedTuple):
    models: list[str]
    classes: list[str]
    accuracy: list[list[float | None]]  # per cent, a row for each model; None: no image of the class


def by_class_info(rows: Sequence[RobustnessRow], column: str) -> ByClassInfo | None:
    """Of the models that were counted by class under this attack; None where none was."""
    names = labels(rows)
    counted = {names[row.model]: shares for row in rows if (shares := _shares(row, column))}
    return ByClassInfo(list(counted), rows[0].classes, list(counted.values())) if counted else None


def _shares(row: RobustnessRow, column: str) -> list[float | None]:
    cell, counts = row.cells.get(column), row.class_counts
    if cell is None or cell.by_class is None or counts is None or sum(counts) != cell.n:
        return []  # the counts are of the row's n images, and say nothing of the first few
    return [100 * right / n if n else None for right, n in zip(cell.by_class, counts, strict=False)]


def by_class_figure(info: ByClassInfo) -> go.Figure:
    figure = go.Figure()
    figure.add_heatmap(
        z=info.accuracy, x=info.classes, y=info.models, zmin=0, colorscale=SEQUENTIAL, xgap=2, ygap=2,
        texttemplate="%{z:.1f}", colorbar={"title": "%", "thickness": 12},
        hovertemplate="%{y}, %{x}: %{z:.2f} %<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    return compact(figure, height=110 + 46 * len(info.models), legend=False)
