"""Accuracies with their 95 % intervals: the table as bars, and the sweep of the attack's β."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import plotly.graph_objects as go

from backend.schemas import Cell, RobustnessRow, RobustnessTable, SweepEntry
from frontend.figures.colours import ADVERSARIAL, ATTACK_SHADES, NATURAL, NEUTRAL
from frontend.figures.layout import compact
from frontend.groups import labels


class Bars(NamedTuple):
    """One column of the table: accuracies in per cent, one a model."""

    title: str
    colour: str
    accuracy: list[float | None]
    above: list[float]  # distance to the upper end of the interval
    below: list[float]


WHISKERS = {"thickness": 2, "width": 4, "color": NEUTRAL}


class RobustnessInfo(NamedTuple):
    models: list[str]
    bars: list[Bars]


def robustness_info(table: RobustnessTable) -> RobustnessInfo:
    attacks = [column.key for column in table.columns if column.key != "natural"]
    bars = []
    for column in table.columns:
        cells = [row.cells.get(column.key) for row in table.rows]
        colour = NATURAL if column.key == "natural" else ATTACK_SHADES[attacks.index(column.key) % len(ATTACK_SHADES)]
        bars.append(
            Bars(
                title=column.title,
                colour=colour,
                accuracy=[None if cell is None else 100 * cell.accuracy for cell in cells],
                above=[_above(cell) for cell in cells],
                below=[_below(cell) for cell in cells],
            )
        )
    return RobustnessInfo(list(labels(table.rows).values()), bars)


def _above(cell: Cell | None) -> float:
    return 0.0 if cell is None else 100 * (cell.high - cell.accuracy)


def _below(cell: Cell | None) -> float:
    return 0.0 if cell is None else 100 * (cell.accuracy - cell.low)


def robustness_figure(info: RobustnessInfo) -> go.Figure:
    figure = go.Figure()
    for bars in info.bars:
        figure.add_bar(
            x=info.models, y=bars.accuracy, name=bars.title, marker={"color": bars.colour, "line_width": 0},
            error_y=WHISKERS | {"array": bars.above, "arrayminus": bars.below},
            hovertemplate="%{x}, %{fullData.name}: %{y:.2f} %<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(title_text="accuracy (%)", range=[0, 100])
    figure.update_layout(barmode="group", bargap=0.25, bargroupgap=0.06)
    return compact(figure, height=400)


class SweepPoint(NamedTuple):
    label: str
    column: str
    accuracy: float  # per cent
    above: float
    below: float
    counted: bool


def sweep_info(row: RobustnessRow) -> list[SweepPoint]:
    return [
        SweepPoint(
            label=sweep_label(entry, row.n), column=entry.column, accuracy=100 * entry.accuracy,
            above=_above(entry), below=_below(entry), counted=entry.counted,
        )
        for entry in row.sweep
    ]  # fmt: skip


def _symbol(point: SweepPoint) -> str:
    return "circle" if point.counted else "circle-open"


def sweep_label(entry: SweepEntry, n: int) -> str:
    """n: images of the table; other settings may have been tried on the first of them only."""
    label = settings_label(entry.settings or {})
    return label if entry.n == n else f"{label} (n = {entry.n:,})"


def settings_label(settings: Mapping[str, Any]) -> str:
    """What sets one setting of a sweep apart."""
    label = f"β = {float(settings['beta']):g}".replace("inf", "∞") if "beta" in settings else "no β"  # JSON says "inf"
    return label + (", through the map" if settings.get("through_mask") else "")


def sweep_figure(points: list[SweepPoint], titles: dict[str, str]) -> go.Figure:
    """Each column's tried settings; the filled one is the strongest, the one the table counts."""
    figure = go.Figure()
    for column in dict.fromkeys(point.column for point in points):
        shown = [point for point in points if point.column == column]
        title = titles.get(column, column)
        figure.add_scatter(
            x=[point.accuracy for point in shown], y=[f"{title}: {point.label}" for point in shown], name=title,
            mode="markers", hovertemplate="%{y}: %{x:.2f} %<extra></extra>",
            marker={"color": ADVERSARIAL, "size": 11, "symbol": [_symbol(point) for point in shown]},
            error_x=WHISKERS | {"array": [p.above for p in shown], "arrayminus": [p.below for p in shown]},
        )  # fmt: skip
    figure.update_xaxes(title_text="accuracy (%)   filled: the strongest, which the table counts")
    figure.update_yaxes(autorange="reversed")
    return compact(figure, height=90 + 26 * len(points), legend=False)
