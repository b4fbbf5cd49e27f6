"""Every channel's activation, natural against adversarial, ordered by relevance (Figure 1 of arXiv 2102.05311)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL, NR, PR, translucent
from cifs.plot.layout import compact

HEADROOM = 1.12  # of the axis, for the names of the regions
CROWDED = 200  # channels; more need the page's whole width, and markers would cover the bars


class ActivationInfo(NamedTuple):
    """Columns are channels, the most relevant first."""

    channels: np.ndarray  # (C,) channel index at each rank
    relevance: np.ndarray  # (C,) g
    natural: np.ndarray  # (C,) activation
    adversarial: np.ndarray | None  # (C,)
    n_pr: int  # the first n_pr ranks are PR, the rest NR


class MeanShift(NamedTuple):
    """What the attack did to one image's NR and PR channels, on average."""

    nr_natural: float
    nr_adversarial: float
    pr_natural: float
    pr_adversarial: float
    nr_over_activated: float  # share of NR channels whose activation grew
    pr_under_activated: float  # share of PR channels whose activation fell

    @property
    def nr_over_activation(self) -> float:
        return self.nr_adversarial - self.nr_natural

    @property
    def pr_under_activation(self) -> float:
        return self.pr_natural - self.pr_adversarial


def activation_info(
    relevance: Sequence[float], natural: Sequence[float], adversarial: Sequence[float] | None
) -> ActivationInfo:
    """Of one image or of a class's means: relevance g, activation natural and under attack, each (C,)."""
    g = np.asarray(relevance, dtype=float)
    order = np.argsort(-g, kind="stable")
    return ActivationInfo(
        channels=order,
        relevance=g[order],
        natural=np.asarray(natural, dtype=float)[order],
        adversarial=None if adversarial is None else np.asarray(adversarial, dtype=float)[order],
        n_pr=int((g > 0).sum()),
    )


class Ranges(NamedTuple):
    """Of the two axes of a channel chart."""

    activation: tuple[float, float]
    relevance: tuple[float, float]


def common_ranges(infos: Sequence[ActivationInfo]) -> Ranges:
    """So that charts of one comparison have the same axes."""
    shown = [values for info in infos for values in (info.natural, info.adversarial) if values is not None]
    low, high = min(0.0, *(float(a.min()) for a in shown)), max(float(a.max()) for a in shown)
    g = [float(value) for info in infos for value in (info.relevance.min(), info.relevance.max())]
    edge = 0.05 * (max(g) - min(g))
    return Ranges((low, low + HEADROOM * ((high - low) or 1.0)), (min(0.0, *g) - edge, max(0.0, *g) + edge))


def mean_shift(info: ActivationInfo) -> MeanShift | None:
    """None without an attack."""
    if info.adversarial is None:
        return None
    pr, nr = slice(None, info.n_pr), slice(info.n_pr, None)
    change = info.adversarial - info.natural
    return MeanShift(
        nr_natural=_mean(info.natural[nr]),
        nr_adversarial=_mean(info.adversarial[nr]),
        pr_natural=_mean(info.natural[pr]),
        pr_adversarial=_mean(info.adversarial[pr]),
        nr_over_activated=_mean(change[nr] > 0),
        pr_under_activated=_mean(change[pr] < 0),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0


def activation_figure(
    info: ActivationInfo,
    *,
    quantity: str = "activation",
    picked: int | None = None,
    ranges: Ranges | None = None,
    height: int = 430,
) -> go.Figure:
    """Above: activations, or what else `info` holds of each channel. Below: the relevance that orders them.

    PR and NR are told apart by colour and background. ranges: of the axes, where other charts stand beside this one.
    """
    ranges = ranges or common_ranges([info])
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.74, 0.26], vertical_spacing=0.05)
    ranks = np.arange(len(info.channels))
    crowded = len(ranks) > CROWDED
    _add_activations(figure, info, ranks, crowded)
    _add_relevance(figure, info, ranks)
    _add_regions(figure, info)
    if picked is not None:
        rank = int(np.flatnonzero(info.channels == picked)[0])
        figure.add_vrect(x0=rank - 0.5, x1=rank + 0.5, fillcolor=NEUTRAL, opacity=0.45, line_width=0)
    figure.update_yaxes(title_text=quantity, range=ranges.activation, row=1, col=1)
    figure.update_yaxes(title_text="relevance g", range=ranges.relevance, row=2, col=1, zeroline=True)
    figure.update_xaxes(title_text="channels, the most relevant first", showticklabels=False, row=2, col=1)
    figure.update_xaxes(range=[-0.6, len(ranks) - 0.4])
    figure.update_layout(bargap=0 if crowded else 0.15, clickmode="event+select")
    return compact(figure, height=height)


HOVER = "channel %{customdata}<br>%{y:.4g}<extra>%{fullData.name}</extra>"


def _add_activations(figure: go.Figure, info: ActivationInfo, ranks: np.ndarray, crowded: bool) -> None:
    figure.add_bar(
        x=ranks, y=info.natural, customdata=info.channels, name="natural", hovertemplate=HOVER,
        marker={"color": NATURAL, "line_width": 0}, row=1, col=1,
    )  # fmt: skip
    if info.adversarial is not None:
        figure.add_scatter(
            x=ranks, y=info.adversarial, customdata=info.channels, name="adversarial", hovertemplate=HOVER,
            mode="lines+markers", line={"color": ADVERSARIAL, "width": 1 if crowded else 1.5},
            marker={"size": 5, "opacity": 0 if crowded else 1},  # without any, a click would pick no channel
            row=1, col=1,
        )  # fmt: skip


def _add_relevance(figure: go.Figure, info: ActivationInfo, ranks: np.ndarray) -> None:
    for name, colour, part in (
        ("PR: relevance > 0", PR, slice(None, info.n_pr)),
        ("NR: relevance ≤ 0", NR, slice(info.n_pr, None)),
    ):
        figure.add_bar(
            x=ranks[part], y=info.relevance[part], customdata=info.channels[part], name=name, hovertemplate=HOVER,
            marker={"color": colour, "line_width": 0}, row=2, col=1,
        )  # fmt: skip


def _add_regions(figure: go.Figure, info: ActivationInfo) -> None:
    edge = info.n_pr - 0.5
    regions = (
        (-0.6, edge, PR, f"{info.n_pr} PR"),
        (edge, len(info.channels) - 0.4, NR, f"{len(info.channels) - info.n_pr} NR"),
    )
    for left, right, colour, text in regions:
        if right - left > 0.5:
            figure.add_vrect(
                x0=left, x1=right, fillcolor=translucent(colour, 0.10), line_width=0, layer="below", row=1, col=1,
                annotation={"text": f"<b>{text}</b>"}, annotation_position="top right",
            )  # fmt: skip
