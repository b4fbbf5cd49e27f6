"""What the network believes: class probabilities side by side."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from cifs.plot.layout import compact

FEWEST = 2  # classes, however sure the network is


class Belief(NamedTuple):
    """One bar of each class."""

    name: str
    colour: str
    probabilities: Sequence[float]


class ProbabilityInfo(NamedTuple):
    classes: list[str]  # the ones shown: the first belief's likeliest, then by the largest probability under any
    beliefs: list[Belief]  # probabilities in the order of `classes`
    left_out: int

    @property
    def words(self) -> str:
        """What the chart says, for those who cannot see it: each belief's likeliest class."""
        return "; ".join(f"{b.name} {_likeliest(self.classes, b.probabilities)}" for b in self.beliefs)


def _likeliest(classes: Sequence[str], probabilities: Sequence[float]) -> str:
    k = max(range(len(classes)), key=probabilities.__getitem__)
    return f"{classes[k]} {probabilities[k]:.0%}"


def probability_info(
    classes: Sequence[str], beliefs: Sequence[Belief], *, most: int = 10, least: float = 0.005
) -> ProbabilityInfo:
    """The classes worth showing, of probabilities in the order of `classes`: at most `most`, each `least` under any."""
    peak = [max(belief.probabilities[k] for belief in beliefs) for k in range(len(classes))]
    first = max(range(len(classes)), key=lambda k: beliefs[0].probabilities[k])
    shown = sorted(range(len(classes)), key=lambda k: (k != first, -peak[k]))[:most]
    shown = [k for rank, k in enumerate(shown) if rank < FEWEST or peak[k] >= least]
    return ProbabilityInfo(
        classes=[classes[k] for k in shown],
        beliefs=[belief._replace(probabilities=[belief.probabilities[k] for k in shown]) for belief in beliefs],
        left_out=len(classes) - len(shown),
    )


def probability_figure(info: ProbabilityInfo) -> go.Figure:
    """Bars side by side, a group for each class."""
    rest = f"   ({info.left_out} other classes are less likely)" if info.left_out else ""
    layout = {
        "xaxis": {
            "title": {"text": f"probability{rest}", "standoff": 4}, "tickformat": ".0%", "range": [0, 1.04],
            "dtick": 0.25,
        },
        "yaxis": {"autorange": "reversed"}, "barmode": "group", "bargap": 0.25,
    }  # fmt: skip
    bars = [
        {
            "type": "bar", "y": info.classes, "x": belief.probabilities, "name": belief.name, "orientation": "h",
            "marker": {"color": belief.colour, "line": {"width": 0}},
            "hovertemplate": "%{y}: %{x:.1%}<extra>%{fullData.name}</extra>",
        }
        for belief in info.beliefs
    ]  # fmt: skip
    height = 98 + (9 + 12 * len(info.beliefs)) * len(info.classes)
    figure = compact(go.Figure({"data": bars, "layout": layout}), height=height, rows=info.classes)
    return figure.update_layout(margin={"r": 16, "b": 52})
