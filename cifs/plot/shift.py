"""How far an attack shifts NR and PR channels, model beside model: the claim of arXiv 2102.05311 as a number."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import plotly.graph_objects as go

from cifs.plot.colours import NR, PR
from cifs.plot.layout import WHISKERS, compact


class Interval(Protocol):
    """A mean with its 95 % interval."""

    @property
    def mean(self) -> float: ...

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


class MeasuredShift(Protocol):
    """REST's `ChannelShift` and `cifs.channels.Shift` alike."""

    @property
    def nr_over_activation(self) -> Interval | None: ...

    @property
    def pr_under_activation(self) -> Interval | None: ...

    @property
    def mean_activation(self) -> float: ...


class ShiftBars(NamedTuple):
    """One kind of shift in per cent of the layer's mean natural activation, one a model."""

    name: str
    colour: str
    models: list[str]
    mean: list[float]
    above: list[float]  # distance to the upper end of the interval
    below: list[float]


def shift_info(shifts: Mapping[str, MeasuredShift | None]) -> list[ShiftBars]:
    """Of the models (by id) whose shift was measured."""
    kinds = (("NR over-activation", NR, "nr_over_activation"), ("PR under-activation", PR, "pr_under_activation"))
    all_bars = []
    for name, colour, field in kinds:
        bars = ShiftBars(name, colour, [], [], [], [])
        for model, shift in shifts.items():
            estimate = getattr(shift, field, None)
            if shift and estimate and shift.mean_activation:
                unit = shift.mean_activation / 100
                bars.models.append(model)
                bars.mean.append(estimate.mean / unit)
                bars.above.append((estimate.high - estimate.mean) / unit)
                bars.below.append((estimate.mean - estimate.low) / unit)
        all_bars.append(bars)
    return all_bars


def shift_figure(info: list[ShiftBars], titles: Mapping[str, str]) -> go.Figure:
    """titles: model id → what to call it; two models may share a title."""
    figure = go.Figure()
    for bars in info:
        figure.add_bar(
            x=bars.mean, y=bars.models, name=bars.name, orientation="h", marker={"color": bars.colour, "line_width": 0},
            error_x=WHISKERS | {"array": bars.above, "arrayminus": bars.below},
            hovertemplate="%{y}, %{fullData.name}: %{x:.1f} %<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="% of the layer's mean natural activation", zeroline=True)
    figure.update_yaxes(autorange="reversed", tickvals=list(titles), ticktext=list(titles.values()))
    figure.update_layout(barmode="group", bargap=0.3)
    return compact(figure, height=110 + 60 * len(titles), rows=titles.values())
