"""How many points one model is ahead of another: attack by attack, and setting by setting of an adaptive attack."""

from collections.abc import Mapping
from typing import NamedTuple

import plotly.graph_objects as go

from cifs.plot.colours import NEUTRAL, method_colour
from cifs.plot.labels import settings_label
from cifs.plot.layout import WHISKERS, compact
from cifs.records import ComparedOutcomes, ComparedSetting, Comparison


class ColumnMargin(NamedTuple):
    """How far ahead under a column of the table, each model under its own strongest attack, in points."""

    title: str
    difference: float
    above: float  # distance to the upper end of the 95 % interval
    below: float
    paper: float | None


def margins(comparison: Comparison, titles: Mapping[str, str], paper: Mapping[str, float]) -> list[ColumnMargin]:
    """titles: of the columns, by key. paper: its own margins in points, by key."""
    return [
        ColumnMargin(titles.get(column.column, column.column), *_with_whiskers(column), paper.get(column.column))
        for column in comparison.columns
    ]


def margin_figure(margins: list[ColumnMargin], method: str, second: str) -> go.Figure:
    """method: of the first model, whose colour it gets. second: what to call the other."""
    figure, titles = go.Figure(), [m.title for m in margins]
    figure.add_hline(y=0, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    if any(m.paper is not None for m in margins):
        figure.add_scatter(
            x=titles, y=[m.paper for m in margins], name="the paper's margin", mode="markers",
            marker={"symbol": "diamond-open", "size": 11, "color": NEUTRAL, "line_width": 2},
            hovertemplate="%{x}, in the paper: %{y:+.2f} points<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=titles, y=[m.difference for m in margins], name="measured here", mode="markers",
        marker={"size": 11, "color": method_colour(method)},
        error_y=WHISKERS | {"array": [m.above for m in margins], "arrayminus": [m.below for m in margins]},
        hovertemplate="%{x}: %{y:+.2f} points<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(categoryorder="array", categoryarray=titles)
    figure.update_yaxes(title_text=f"points ahead of {second}", zeroline=False)
    return compact(figure, height=300)


class SettingMargin(NamedTuple):
    """The margin an attacker would leave who knew one setting only, in points."""

    label: str
    difference: float
    above: float
    below: float
    counted: bool


def setting_margins(comparison: Comparison) -> dict[str, list[SettingMargin]]:
    """By column: the first model under each setting of its sweep, by β, against the second's strongest attack."""
    by_column: dict[str, list[SettingMargin]] = {}
    for setting in sorted(comparison.settings, key=_by_beta):
        margin = SettingMargin(settings_label(setting.settings), *_with_whiskers(setting), setting.counted)
        by_column.setdefault(setting.column, []).append(margin)
    return by_column


def points(compared: ComparedOutcomes) -> float:
    """How far the first is ahead of the second, in points."""
    return 100 * (compared.first - compared.second)


def _with_whiskers(compared: ComparedOutcomes) -> tuple[float, float, float]:
    """The difference, and from it up and down to the ends of its 95 % interval, in points."""
    ahead = points(compared)
    return ahead, 100 * compared.high - ahead, ahead - 100 * compared.low


def _by_beta(setting: ComparedSetting) -> tuple[bool, float]:
    """Through the map last."""
    return bool(setting.settings.get("through_mask")), float(setting.settings.get("beta", 0))


def setting_margin_figure(margins: list[SettingMargin], method: str, second: str) -> go.Figure:
    """One column's settings; the filled one is the strongest, which the table counts."""
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    figure.add_scatter(
        x=[m.difference for m in margins], y=[m.label for m in margins], mode="markers",
        hovertemplate="%{y}: %{x:+.2f} points<extra></extra>",
        marker={
            "size": 11,
            "color": method_colour(method),
            "symbol": ["circle" if m.counted else "circle-open" for m in margins],
        },
        error_x=WHISKERS | {"array": [m.above for m in margins], "arrayminus": [m.below for m in margins]},
    )  # fmt: skip
    figure.update_xaxes(title_text=f"points ahead of {second}", zeroline=False)
    figure.update_yaxes(autorange="reversed")
    return compact(figure, height=90 + 26 * len(margins), legend=False)
