"""A study in one figure: robust accuracy by epoch, and how far every arm is ahead of the first, attack by attack."""

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import NEUTRAL, translucent
from cifs.plot.layout import compact
from cifs.records import StudyRecord

# Arms are no methods of the zoo; told apart by the colour-blind too (Okabe & Ito).
ARMS = ("#479AD1", "#A02BEE", "#E69F00", "#009E73", "#D55E00", "#666666", "#CC79A7", "#56B4E9")


FEWEST = 3  # seeds of a gain that is drawn: the interval of two is hundreds of points wide, and hides all others


class ArmCurve(NamedTuple):
    """Accuracies (%) of an arm by epoch: the mean over seeds, and the least and most of them."""

    arm: str
    attack: str  # unadaptive or adaptive; training: of training images
    colour: str
    epochs: list[int]
    mean: list[float]
    least: list[float]
    most: list[float]


class LevelGain(NamedTuple):
    """How far an arm is ahead of the first, in points."""

    arm: str
    colour: str
    place: str  # checkpoint and level
    gain: float
    above: float  # to the upper end of the interval
    below: float


class StudyInfo(NamedTuple):
    against: str
    curves: list[ArmCurve]
    gains: list[LevelGain]


def study_info(record: StudyRecord, regime: str, *, arms: Sequence[str] | None = None) -> StudyInfo:
    """arms: keys, those drawn; default: all that are measured. Gains are of three seeds or more."""
    shown = [arm for arm in record.arms if arms is None or arm in arms]
    colours = dict(zip(record.arms, ARMS * len(record.arms), strict=False))
    curves = [
        curve
        for arm in shown
        for attack in ("training", "unadaptive", "adaptive")
        if (curve := _curve(record, regime, arm, attack, colours[arm])) is not None
    ]
    gains = [
        LevelGain(
            record.arms[g.arm], colours[g.arm], f"{g.checkpoint}, {g.level}",
            100 * g.mean, 100 * (g.high - g.mean), 100 * (g.mean - g.low),
        )
        for g in record.gains
        if g.regime == regime and g.arm in shown and g.level != "natural" and len(g.by_seed) >= FEWEST
    ]  # fmt: skip
    return StudyInfo(record.arms[next(iter(record.arms))], curves, gains)


def _curve(record: StudyRecord, regime: str, arm: str, attack: str, colour: str) -> ArmCurve | None:
    points = [point for point in record.curves if (point.regime, point.arm) == (regime, arm)]
    if not points:
        return None
    by_epoch = [[100 * value for value in getattr(point, attack)] for point in points]
    means = [sum(values) / len(values) for values in by_epoch]
    epochs = [point.epoch for point in points]
    return ArmCurve(record.arms[arm], attack, colour, epochs, means, [*map(min, by_epoch)], [*map(max, by_epoch)])


PANELS = ("validation images, by epoch (%)", "training images, by epoch (%)", "points ahead of {against}")
DASHES = {"training": "solid", "unadaptive": "dash", "adaptive": "solid"}


def study_figure(info: StudyInfo) -> go.Figure:
    """Robust accuracy on validation images (dashed: unadaptive; band: all seeds), on training images, and gains."""
    titles = [title.format(against=info.against) for title in PANELS]
    figure = make_subplots(cols=3, column_widths=[0.36, 0.24, 0.4], horizontal_spacing=0.06, subplot_titles=titles)
    for curve in info.curves:
        column = 2 if curve.attack == "training" else 1
        if curve.attack == "adaptive":
            figure.add_scatter(
                x=[*curve.epochs, *reversed(curve.epochs)], y=[*curve.most, *reversed(curve.least)], fill="toself",
                mode="none", fillcolor=translucent(curve.colour, 0.12), hoverinfo="skip", showlegend=False,
                row=1, col=column,
            )  # fmt: skip
        figure.add_scatter(
            x=curve.epochs, y=curve.mean, name=curve.arm, legendgroup=curve.arm, row=1, col=column,
            showlegend=curve.attack == "adaptive", mode="lines",
            line={"color": curve.colour, "dash": DASHES[curve.attack]},
            hovertemplate=f"{curve.attack}, epoch %{{x}}: %{{y:.1f}} %<extra>{curve.arm}</extra>",
        )  # fmt: skip
    _add_gains(figure, info.gains)
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(range=[0, 100], row=1, col=2)
    compact(figure, height=440)
    return figure.update_layout(legend={"y": 1.1}, margin={"t": 70}).update_annotations(font_size=13)


def _add_gains(figure: go.Figure, gains: Sequence[LevelGain]) -> None:
    """Side by side at every checkpoint and level, an arm at the same place of each."""
    places, arms = (list(dict.fromkeys(getattr(gain, name) for gain in gains)) for name in ("place", "arm"))
    figure.add_hline(y=0, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, row=1, col=3)
    for gain in gains:
        x = places.index(gain.place) + 0.6 * ((arms.index(gain.arm) + 0.5) / len(arms) - 0.5)
        figure.add_scatter(
            x=[x], y=[gain.gain], legendgroup=gain.arm, name=gain.arm, showlegend=False, mode="markers",
            marker={"size": 9, "color": gain.colour}, row=1, col=3,
            error_y={"array": [gain.above], "arrayminus": [gain.below], "thickness": 1.5, "width": 3},
            hovertemplate=f"{gain.place}: %{{y:+.2f}} points<extra>{gain.arm}</extra>",
        )  # fmt: skip
    texts = [place.replace(", ", "<br>") for place in places]
    figure.update_xaxes(
        tickvals=[*range(len(texts))], ticktext=texts, tickangle=0, tickfont_size=10, zeroline=False, row=1, col=3
    )
    figure.update_yaxes(zeroline=False, row=1, col=3)


PHONE = 40  # characters of a legend that a phone shows whole


def gains_figure(info: StudyInfo) -> go.Figure:
    """A forest plot: how far each arm is ahead of the first, by checkpoint and level, with its interval."""
    places, arms = (list(dict.fromkeys(getattr(gain, name) for gain in info.gains)) for name in ("place", "arm"))
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    for arm in arms:
        gains = [gain for gain in info.gains if gain.arm == arm]
        shift = 0.6 * ((arms.index(arm) + 0.5) / len(arms) - 0.5)
        figure.add_scatter(
            x=[gain.gain for gain in gains], y=[places.index(gain.place) + shift for gain in gains],
            name="<br>".join(wrap(arm, PHONE)),
            mode="markers", marker={"size": 9, "color": gains[0].colour}, customdata=[gain.place for gain in gains],
            error_x={
                "array": [gain.above for gain in gains], "arrayminus": [gain.below for gain in gains],
                "thickness": 2, "width": 4,
            },
            hovertemplate="%{customdata}: %{x:+.2f} points<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text=f"points ahead of {info.against}", zeroline=False)
    figure.update_yaxes(tickvals=[*range(len(places))], ticktext=places, autorange="reversed", zeroline=False)
    return compact(figure, height=120 + 22 * len(info.gains))


class ArmPanel(NamedTuple):
    """One arm by epoch, with what its best and last networks keep of test images."""

    arm: str
    colour: str
    curves: list[ArmCurve]
    measured: list[tuple[float, float]]  # (epoch, mean over seeds; accuracy in % under the hardest single attack)


def arm_panels(record: StudyRecord, regime: str, *, arms: Sequence[str] | None = None) -> list[ArmPanel]:
    """arms: keys, those drawn; default: all that are measured."""
    info = study_info(record, regime, arms=arms)
    level = "adaptive" if "adaptive" in record.levels else record.levels[-1]
    panels = []
    for key, title in record.arms.items():
        curves = [curve for curve in info.curves if curve.arm == title]
        measured = [
            (sum(a.epochs) / len(a.epochs), 100 * a.mean)
            for a in record.accuracies
            if (a.regime, a.arm, a.level) == (regime, key, level)
        ]
        if curves:
            panels.append(ArmPanel(title, curves[0].colour, curves, measured))
    return panels


LINES = {"training": ("training images", "dot", 1), "unadaptive": ("validation images, unadaptive", "dash", 2)}
LINES["adaptive"] = ("validation images, adaptive", "solid", 2)


def panels_figure(panels: Sequence[ArmPanel]) -> go.Figure:
    """A column an arm: above training images, below others, ◆ the best and the last network on test images."""
    lines = [wrap(panel.arm, max(14, 150 // len(panels))) for panel in panels]  # as wide as a panel is on the page
    figure = make_subplots(
        rows=2, cols=max(1, len(panels)), shared_yaxes=True, shared_xaxes=True, horizontal_spacing=0.015,
        vertical_spacing=0.05, row_heights=[0.35, 0.65],
        subplot_titles=["<br>".join(title) for title in lines],
    )  # fmt: skip
    for column, panel in enumerate(panels, 1):
        for curve in panel.curves:
            name, dash, row = LINES[curve.attack]
            figure.add_scatter(
                x=curve.epochs, y=curve.mean, mode="lines", name=name, legendgroup=name, showlegend=column == 1,
                line={"color": panel.colour, "dash": dash}, row=row, col=column,
                hovertemplate=f"{name}, epoch %{{x}}: %{{y:.1f}} %<extra>{panel.arm}</extra>",
            )  # fmt: skip
        figure.add_scatter(
            x=[epoch for epoch, _ in panel.measured], y=[accuracy for _, accuracy in panel.measured], mode="markers",
            marker={"symbol": "diamond", "size": 10, "color": panel.colour, "line": {"width": 1, "color": NEUTRAL}},
            name="test images, best and last, adaptive", legendgroup="test", showlegend=column == 1, row=2, col=column,
            hovertemplate=f"test images, epoch %{{x:.0f}}: %{{y:.1f}} %<extra>{panel.arm}</extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="epoch", row=2).update_yaxes(rangemode="tozero").update_yaxes(title_text="%", col=1)
    titles = 16 * max(map(len, lines), default=1)  # pixels
    compact(figure, height=460 + titles).update_annotations(font_size=11)
    return figure.update_layout(legend={"yref": "container", "y": 0.98, "yanchor": "top"}, margin={"t": 50 + titles})
