"""Who carried the flip: the margin from the natural to the attacked image, channel by channel."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go

from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL, NR, PR
from cifs.plot.layout import compact

Kind = Literal["natural", "PR", "NR", "rest", "map", "adversarial"]
COLOURS: dict[Kind, str] = {
    "natural": NATURAL, "PR": PR, "NR": NR, "rest": NEUTRAL, "map": "#6F7682", "adversarial": ADVERSARIAL,
}  # fmt: skip
NAMES: dict[Kind, str] = {
    "natural": "natural margin", "PR": "PR channel", "NR": "NR channel", "rest": "all other channels",
    "map": "importance map above", "adversarial": "attacked margin",
}  # fmt: skip

ROW, ROUND = 18, 112  # pixels: of a bar, whose name must be readable beside the next one's; of what is around them


class Bar(NamedTuple):
    """One step of the fall, from `start` to `end`."""

    name: str
    kind: Kind
    start: float
    end: float
    channel: int | None = None

    @property
    def moved(self) -> float:
        return self.end - self.start


class WaterfallInfo(NamedTuple):
    bars: list[Bar]  # natural margin, the channels that moved it most, the rest, maps above, attacked margin
    by_nr: float  # what all NR channels together moved
    by_pr: float
    for_half: int  # how many channels of those that raised the margin make up half of all they raised it by


def waterfall_info(
    margins: tuple[float, float],
    by_channel: Sequence[float],
    relevance: Sequence[float],
    *,
    above: Mapping[str, float] | None = None,
    most: int = 12,
) -> WaterfallInfo:
    """margins: natural and attacked. by_channel, relevance: (C,). above: what importance maps above the layer moved."""
    moved, g = np.asarray(by_channel, dtype=float), np.asarray(relevance, dtype=float)
    order = np.argsort(-np.abs(moved), kind="stable")
    bars, level = [Bar("natural", "natural", 0.0, margins[0])], margins[0]
    parts: list[tuple[str, Kind, float, int | None]] = [
        (f"channel {c}", "PR" if g[c] > 0 else "NR", float(moved[c]), int(c)) for c in order[:most]
    ]
    if len(order) > most:
        parts.append((f"{len(order) - most} others", "rest", float(moved[order[most:]].sum()), None))
    parts += [(f"m of {layer}", "map", part, None) for layer, part in (above or {}).items()]
    for name, kind, part, channel in parts:
        bars.append(Bar(name, kind, level, level + part, channel))
        level += part
    bars.append(Bar("attacked", "adversarial", 0.0, margins[1]))
    return WaterfallInfo(bars, float(moved[g <= 0].sum()), float(moved[g > 0].sum()), _for_half(moved))


def _for_half(moved: np.ndarray) -> int:
    raised = np.sort(moved[moved > 0])[::-1]
    return int(np.searchsorted(np.cumsum(raised), raised.sum() / 2) + 1) if raised.size else 0


def common_span(infos: Sequence[WaterfallInfo]) -> tuple[float, float]:
    """Of the margin's axis, so that waterfalls of one comparison have the same."""
    levels = [level for info in infos for bar in info.bars for level in (bar.start, bar.end)]
    edge = 0.05 * ((max(levels) - min(levels)) or 1.0)
    return min(levels) - edge, max(levels) + edge


def waterfall_figure(info: WaterfallInfo, *, span: tuple[float, float] | None = None) -> go.Figure:
    """Bars from level to level, the natural margin on top; right of 0 the rival is ahead of the label.

    They lie, so that their names can be read on a phone. span: of the axis, by default its own.
    """
    figure = go.Figure()
    names = [bar.name for bar in info.bars]
    for kind, colour in COLOURS.items():
        bars = [bar for bar in info.bars if bar.kind == kind]
        if bars:
            figure.add_bar(
                y=[bar.name for bar in bars], x=[bar.moved for bar in bars], base=[bar.start for bar in bars],
                customdata=[[bar.end, bar.channel] for bar in bars], name=NAMES[kind], orientation="h",
                marker={"color": colour, "line_width": 0}, showlegend=kind in ("PR", "NR"),  # others have names
                hovertemplate="%{y}: %{x:+.3g}, then %{customdata[0]:.3g}<extra>%{fullData.name}</extra>",
            )  # fmt: skip
    figure.add_vline(x=0, line={"color": NEUTRAL, "dash": "dash", "width": 1})
    figure.update_xaxes(title_text="margin: rival − label", zeroline=False, showgrid=True, range=span)
    figure.update_yaxes(categoryorder="array", categoryarray=names, autorange="reversed", showgrid=False, dtick=1)
    figure.update_layout(barmode="overlay", bargap=0.25)
    return compact(figure, height=ROUND + ROW * len(names), rows=names)
