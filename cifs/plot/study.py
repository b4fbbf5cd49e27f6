"""A study in one figure: robust accuracy by epoch, and how far every arm is ahead of the first, level by level."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import NEUTRAL, translucent
from cifs.plot.layout import compact
from cifs.records import StudyRecord

# Arms are no methods of the zoo; told apart by the colour-blind too (Okabe & Ito).
ARMS = ("#479AD1", "#A02BEE", "#E69F00", "#009E73", "#D55E00", "#666666", "#CC79A7", "#56B4E9")


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
    """arms: keys, those drawn; default: all that are measured."""
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
        if g.regime == regime and g.arm in shown
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


DASHES = {"training": "dot", "unadaptive": "dash", "adaptive": "solid"}


def study_figure(info: StudyInfo) -> go.Figure:
    """Left: validation accuracy by epoch, solid under the adaptive attack (its band: all seeds). Right: gains."""
    figure = make_subplots(cols=2, column_widths=[0.55, 0.45], horizontal_spacing=0.1)
    for curve in info.curves:
        if curve.attack == "adaptive":
            figure.add_scatter(
                x=[*curve.epochs, *reversed(curve.epochs)], y=[*curve.most, *reversed(curve.least)], fill="toself",
                mode="none", fillcolor=translucent(curve.colour, 0.12), hoverinfo="skip", showlegend=False,
                row=1, col=1,
            )  # fmt: skip
        figure.add_scatter(
            x=curve.epochs, y=curve.mean, name=curve.arm, legendgroup=curve.arm, row=1, col=1,
            showlegend=curve.attack == "adaptive", mode="lines",
            line={"color": curve.colour, "dash": DASHES[curve.attack]},
            hovertemplate=f"{curve.attack}, epoch %{{x}}: %{{y:.1f}} %<extra>{curve.arm}</extra>",
        )  # fmt: skip
    figure.add_hline(y=0, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, row=1, col=2)
    for gain in info.gains:
        figure.add_scatter(
            x=[gain.place], y=[gain.gain], legendgroup=gain.arm, name=gain.arm, showlegend=False, mode="markers",
            marker={"size": 9, "color": gain.colour}, row=1, col=2,
            error_y={"array": [gain.above], "arrayminus": [gain.below], "thickness": 1.5, "width": 3},
            hovertemplate=f"%{{x}}: %{{y:+.2f}} points<extra>{gain.arm}</extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="epoch   dotted: training images, dashed: unadaptive attack", row=1, col=1)
    figure.update_yaxes(title_text="robust accuracy (%)", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text=f"points ahead of {info.against}", zeroline=False, row=1, col=2)
    return compact(figure, height=420).update_layout(scattermode="group")
