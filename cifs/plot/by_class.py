"""Accuracy of every class under one attack, models below one another."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from cifs.plot.colours import SEQUENTIAL, ink
from cifs.plot.labels import labels
from cifs.plot.layout import compact
from cifs.records import RobustnessRow


class ByClassInfo(NamedTuple):
    models: list[str]
    classes: list[str]
    accuracy: list[list[float | None]]  # per cent, a row for each model; None: no image of the class
    images: list[list[int]]  # of each class, a row for each model


def by_class_info(rows: Sequence[RobustnessRow], column: str) -> ByClassInfo | None:
    """Of the models that were counted by class under this attack; None where none was."""
    names = labels(rows)
    counted = [(row, shares) for row in rows if (shares := _shares(row, column))]
    if not counted:
        return None
    return ByClassInfo(
        models=[names[row.model] for row, _ in counted],
        classes=rows[0].classes,
        accuracy=[shares for _, shares in counted],
        images=[row.class_counts or [] for row, _ in counted],
    )


def _shares(row: RobustnessRow, column: str) -> list[float | None]:
    cell, counts = row.cells.get(column), row.class_counts
    if cell is None or cell.by_class is None or counts is None or sum(counts) != cell.n:
        return []  # the counts are of the row's n images, and say nothing of the first few
    return [100 * right / n if n else None for right, n in zip(cell.by_class, counts, strict=False)]


def by_class_figure(info: ByClassInfo) -> go.Figure:
    """A heatmap, a row for each model, its accuracies (%) written in the cells."""
    figure = go.Figure()
    figure.add_heatmap(
        z=info.accuracy, x=info.classes, y=info.models, customdata=info.images, xgap=2, ygap=2,
        zmin=0, zmax=100, colorscale=SEQUENTIAL,  # the same on every page, so that colours compare
        showscale=False,  # the cells say it, and have its room on a phone
        hovertemplate="%{y}, %{x}: %{z:.2f} % of %{customdata:,} images<extra></extra>",
    )  # fmt: skip
    cells = [
        (model, name, share)
        for model, shares in zip(info.models, info.accuracy, strict=True)
        for name, share in zip(info.classes, shares, strict=True)
        if share is not None
    ]
    figure.add_scatter(  # a heatmap's own text has one colour, or one that falls short of 4.5:1 mid-scale
        x=[name for _, name, _ in cells], y=[model for model, _, _ in cells], mode="text", hoverinfo="skip",
        text=[f"{share:.1f}" for _, _, share in cells],
        textfont={"color": [ink(c) for c in sample_colorscale(SEQUENTIAL, [share / 100 for _, _, share in cells])]},
    )  # fmt: skip
    few, many = min(map(min, info.images)), max(map(max, info.images))
    n = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    figure.update_xaxes(title_text=f"n = {n} images of each class")
    figure.update_yaxes(autorange="reversed")
    return compact(figure, height=134 + 46 * len(info.models), legend=False)
