"""Accuracies with their 95 % intervals: the table as bars, and the sweep of the attack's β."""

from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import ADVERSARIAL, ATTACK_SHADES, NATURAL, NEUTRAL
from cifs.plot.labels import labels, settings_label
from cifs.plot.layout import WHISKERS, compact
from cifs.records import Cell, RobustnessRow, RobustnessTable

OUTLINE = {"width": 1, "color": NEUTRAL}  # the palest and the darkest shade are near one of the backgrounds


class AttackBars(NamedTuple):
    """One column of the table: accuracies in per cent, one a model."""

    title: str
    colour: str
    accuracy: list[float | None]
    above: list[float]  # distance to the upper end of the interval
    below: list[float]


class RobustnessInfo(NamedTuple):
    models: list[str]
    bars: list[AttackBars]


def robustness_info(table: RobustnessTable) -> RobustnessInfo:
    """Accuracies of every model under every column; None where one was not measured."""
    attacks = [column.key for column in table.columns if column.key != "natural"]
    bars = []
    for column in table.columns:
        cells = [row.cells.get(column.key) for row in table.rows]
        colour = NATURAL if column.key == "natural" else ATTACK_SHADES[attacks.index(column.key) % len(ATTACK_SHADES)]
        bars.append(
            AttackBars(
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
    """A group of bars for each model, with 95 % intervals."""
    figure = go.Figure()
    for bars in info.bars:
        figure.add_bar(
            x=info.models, y=bars.accuracy, name=bars.title, marker={"color": bars.colour, "line": OUTLINE},
            error_y=WHISKERS | {"array": bars.above, "arrayminus": bars.below},
            hovertemplate="%{x}, %{fullData.name}: %{y:.2f} %<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(title_text="accuracy (%)", range=[0, 100])
    figure.update_layout(barmode="group", bargap=0.25, bargroupgap=0.06)
    return compact(figure, height=400)


class SweepPoint(NamedTuple):
    label: str
    column: str
    n: int  # images it was tried on
    accuracy: float  # per cent
    above: float
    below: float
    counted: bool


def sweep_info(row: RobustnessRow) -> list[SweepPoint]:
    """Every setting of the attack the model was measured under."""
    return [
        SweepPoint(
            label=settings_label(entry.settings or {}), column=entry.column, n=entry.n, accuracy=100 * entry.accuracy,
            above=_above(entry), below=_below(entry), counted=entry.counted,
        )
        for entry in row.sweep
    ]  # fmt: skip


def sweep_figure(points: list[SweepPoint], titles: dict[str, str]) -> go.Figure:
    """A panel for each number of images: most settings were tried on the first few, those chosen there on all.

    Filled: the strongest, which counts. Panels do not compare, and stand side by side on a phone: titles are short.
    """
    sizes = sorted({point.n for point in points})
    names = [f"{titles.get(point.column, point.column)}: {point.label}" for point in points]
    figure = make_subplots(
        cols=len(sizes), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[f"first {n:,}<br>images" for n in sizes[:-1]] + [f"{sizes[-1]:,}<br>images"],
    )  # fmt: skip
    for k, n in enumerate(sizes):
        shown = [(name, point) for name, point in zip(names, points, strict=True) if point.n == n]
        few = n < sizes[-1]
        figure.add_scatter(
            x=[point.accuracy for _, point in shown], y=[name for name, _ in shown], name=f"n = {n:,}", mode="markers",
            hovertemplate="%{y}: %{x:.2f} % (%{fullData.name})<extra></extra>",
            marker={"color": ADVERSARIAL, "size": 11, "symbol": [_symbol(point, few) for _, point in shown]},
            error_x=WHISKERS | {"array": [p.above for _, p in shown], "arrayminus": [p.below for _, p in shown]},
            row=1, col=k + 1,
        )  # fmt: skip
        figure.update_xaxes(title_text="accuracy (%)", row=1, col=k + 1)
    figure.update_xaxes(matches="x").update_annotations(font_size=12)
    figure.update_yaxes(categoryorder="array", categoryarray=list(dict.fromkeys(names)), autorange="reversed")
    return compact(figure, height=120 + 26 * len(points), legend=False, rows=names).update_layout(margin_t=46)


def _symbol(point: SweepPoint, few: bool) -> str:
    return "circle" if point.counted else "diamond-open" if few else "circle-open"
