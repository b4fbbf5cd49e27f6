"""Every channel's activation, natural against adversarial, ordered by relevance (Figure 1 of arXiv 2102.05311)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

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


class Chance(NamedTuple):
    """By how much the mean activation of as many channels changes that are drawn at random: the control."""

    mean: float
    low: float  # lower end of what 95 % of the draws come to
    high: float


class MeanShift(NamedTuple):
    """What the attack did to the NR and PR channels of an image, or of a class's means, on average."""

    nr_natural: float
    nr_adversarial: float
    pr_natural: float
    pr_adversarial: float
    nr_over_activated: float  # share of NR channels whose activation grew
    pr_under_activated: float  # share of PR channels whose activation fell
    nr_by_chance: Chance  # of as many random channels as there are NR ones
    pr_by_chance: Chance

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
        nr_by_chance=by_chance(change, len(change) - info.n_pr),
        pr_by_chance=by_chance(change, info.n_pr),
    )


def by_chance(change: np.ndarray, n: int) -> Chance:
    """Of the mean of n values of change (C,), drawn without putting back: its variance is s²/n · (1 − n/C)."""
    size, mean = len(change), _mean(change)
    if not 0 < n < size:
        return Chance(mean, mean, mean)
    spread = 1.96 * float(np.sqrt(change.var(ddof=1) / n * (1 - n / size)))
    return Chance(mean, mean - spread, mean + spread)


def most_raised(info: ActivationInfo, most: int) -> list[int]:
    """The NR channels that the attack raised furthest, those first."""
    if info.adversarial is None:
        return []
    rise = (info.adversarial - info.natural)[info.n_pr :]
    order = np.argsort(-rise, kind="stable")[:most]
    return [int(info.channels[info.n_pr + rank]) for rank in order if rise[rank] > 0]


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
    crowded, small = len(info.channels) > CROWDED, height < SMALL
    axis = {"range": [-0.6, len(info.channels) - 0.4], "showticklabels": False}
    layout = {  # in one piece: put together by make_subplots and updates it takes four times as long
        "xaxis": axis | {"anchor": "y", "matches": "x2"},
        "xaxis2": axis | {"anchor": "y2", "title": {"text": "channels, the most relevant first"}},
        "yaxis": {"anchor": "x", "domain": [SPLIT + 0.05, 1], "title": {"text": quantity}, "range": ranges.activation},
        "yaxis2": {
            "anchor": "x2", "domain": [0, SPLIT], "title": {"text": "g" if small else "relevance g"},
            "range": ranges.relevance, "zeroline": True,
        },
        "shapes": [*_backgrounds(info), *_marks(info, picked)],
        "annotations": _names(info),
        "bargap": 0 if crowded else 0.15,
        "clickmode": "event+select",
        "hoverdistance": -1 if small else 20,  # an area has no bars to point at: the channel nearest is told
    }  # fmt: skip
    kinds = [kind | {"showlegend": not small} for kind in _relevance(info)]  # where small the backgrounds name them
    traces = [*_activations(info, crowded, marked=not small), *kinds]
    if small:
        traces = [_as_area(trace) if trace["type"] == "bar" else trace for trace in traces]
    return compact(go.Figure({"data": traces, "layout": layout}), height=height)


SMALL = 340  # pixels; lower ones stand beside others, and have no room for a second row of their legend
SPLIT = 0.25  # of the height for the relevance
HOVER = "channel %{customdata}<br>%{y:.4g}<extra>%{fullData.name}</extra>"


def _activations(info: ActivationInfo, crowded: bool, *, marked: bool) -> list[dict[str, Any]]:
    ranks = np.arange(len(info.channels))
    common = {"x": ranks, "customdata": info.channels, "hovertemplate": HOVER, "xaxis": "x", "yaxis": "y"}
    bars = {"type": "bar", "y": info.natural, "name": "natural", "marker": {"color": NATURAL, "line": {"width": 0}}}
    line = {
        "type": "scatter", "y": info.adversarial, "name": "adversarial",
        "mode": "lines+markers" if marked else "lines", "line": {"color": ADVERSARIAL, "width": 1 if crowded else 1.5},
        "marker": {"size": 5, "opacity": 0 if crowded else 1},  # without any, a click would pick no channel
    }  # fmt: skip
    return [common | bars] if info.adversarial is None else [common | bars, common | line]


def _relevance(info: ActivationInfo) -> list[dict[str, Any]]:
    ranks, kinds = np.arange(len(info.channels)), []
    for name, colour, part in (
        ("PR: relevance > 0", PR, slice(None, info.n_pr)),
        ("NR: relevance ≤ 0", NR, slice(info.n_pr, None)),
    ):
        kinds.append(
            {
                "type": "bar", "x": ranks[part], "y": info.relevance[part], "customdata": info.channels[part],
                "name": name, "hovertemplate": HOVER, "marker": {"color": colour, "line": {"width": 0}},
                "xaxis": "x2", "yaxis": "y2",
            }
        )  # fmt: skip
    return kinds


def _as_area(bars: Mapping[str, Any]) -> dict[str, Any]:
    """Bars that touch one another, as one shape, which a browser draws sooner than each for itself."""
    x, y, channels = (np.asarray(bars[name]) for name in ("x", "y", "customdata"))
    if not len(x):
        return dict(bars)
    rest = {name: value for name, value in bars.items() if name != "marker"}
    ends = np.concatenate([[x[0] - 0.5], x, [x[-1] + 0.5]])  # half a bar beside the first and the last channel's middle
    return rest | {
        "type": "scatter", "x": ends, "y": np.pad(y, 1, "edge"), "customdata": np.pad(channels, 1, "edge"),
        "mode": "lines", "line": {"width": 0, "shape": "hvh"}, "fill": "tozeroy", "fillcolor": bars["marker"]["color"],
    }  # fmt: skip


class Region(NamedTuple):
    """The ranks of one kind of channel."""

    name: str
    colour: str
    left: float
    right: float


def _regions(info: ActivationInfo) -> list[Region]:
    """PR, then NR; a kind the layer has none of is left out."""
    edge, last = info.n_pr - 0.5, len(info.channels) - 0.4
    kinds = (
        Region(f"{info.n_pr} PR", PR, -0.6, edge),
        Region(f"{len(info.channels) - info.n_pr} NR", NR, edge, last),
    )
    return [region for region in kinds if region.right - region.left > 0.5]


def _backgrounds(info: ActivationInfo) -> list[dict[str, Any]]:
    return [
        {
            "type": "rect", "x0": r.left, "x1": r.right, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain",
            "fillcolor": translucent(r.colour, 0.10), "line": {"width": 0}, "layer": "below",
        }
        for r in _regions(info)
    ]  # fmt: skip


def _names(info: ActivationInfo) -> list[dict[str, Any]]:
    return [
        {
            "text": f"<b>{r.name}</b>", "x": r.right, "xref": "x", "xanchor": "right", "y": 1, "yref": "y domain",
            "yanchor": "top", "showarrow": False,
        }
        for r in _regions(info)
    ]  # fmt: skip


def _marks(info: ActivationInfo, picked: int | None) -> list[dict[str, Any]]:
    """A bar behind the channel that was picked, in both charts."""
    if picked is None:
        return []
    rank = int(np.flatnonzero(info.channels == picked)[0])
    bar = {
        "type": "rect", "x0": rank - 0.5, "x1": rank + 0.5, "y0": 0, "y1": 1, "fillcolor": NEUTRAL, "opacity": 0.45,
        "line": {"width": 0},
    }  # fmt: skip
    return [bar | {"xref": x, "yref": f"{y} domain"} for x, y in (("x", "y"), ("x2", "y2"))]
