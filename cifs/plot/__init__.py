"""Figures: data or a record → an info NamedTuple → a plotly Figure. No torch, no Streamlit, no HTTP.

A notebook draws with them what the dashboard shows:

    seen = cifs.channels.view(model, "layer4.0", x, relevance=TrueRelevance())
    attacked = cifs.channels.view(model, "layer4.0", x_adv, relevance=TrueRelevance())
    one, other = reading(seen), reading(attacked)
    activation_figure(activation_info(one.relevance, one.activation, other.activation)).show()
"""

from cifs.plot.activation import (
    ActivationInfo,
    MeanShift,
    Ranges,
    activation_figure,
    activation_info,
    common_ranges,
    mean_shift,
)
from cifs.plot.by_class import ByClassInfo, by_class_figure, by_class_info
from cifs.plot.curves import Curve, curve_info, eps_figure, steps_figure
from cifs.plot.importance import (
    ImportanceCurve,
    ImportanceInfo,
    curve_figure,
    importance_factor,
    importance_info,
    road_figure,
)
from cifs.plot.labels import eps_text, labels, settings_label
from cifs.plot.maps import MapsInfo, maps_figure, maps_info
from cifs.plot.margin import (
    ColumnMargin,
    SettingMargin,
    margin_figure,
    margins,
    points,
    setting_margin_figure,
    setting_margins,
)
from cifs.plot.predictions import Belief, ProbabilityInfo, probability_figure, probability_info
from cifs.plot.reading import ChannelReading, Reading, reading
from cifs.plot.robustness import (
    AttackBars,
    RobustnessInfo,
    SweepPoint,
    robustness_figure,
    robustness_info,
    sweep_figure,
    sweep_info,
)
from cifs.plot.shift import ShiftBars, shift_figure, shift_info
from cifs.plot.trajectory import (
    RecordedIterate,
    TrajectoryInfo,
    iterates,
    trajectory_figure,
    trajectory_info,
)

__all__ = [
    "ActivationInfo",
    "AttackBars",
    "Belief",
    "ByClassInfo",
    "ChannelReading",
    "ColumnMargin",
    "Curve",
    "ImportanceCurve",
    "ImportanceInfo",
    "MapsInfo",
    "MeanShift",
    "ProbabilityInfo",
    "Ranges",
    "Reading",
    "RecordedIterate",
    "RobustnessInfo",
    "SettingMargin",
    "ShiftBars",
    "SweepPoint",
    "TrajectoryInfo",
    "activation_figure",
    "activation_info",
    "by_class_figure",
    "by_class_info",
    "common_ranges",
    "curve_figure",
    "curve_info",
    "eps_figure",
    "eps_text",
    "importance_factor",
    "importance_info",
    "iterates",
    "labels",
    "maps_figure",
    "maps_info",
    "margin_figure",
    "margins",
    "mean_shift",
    "points",
    "probability_figure",
    "probability_info",
    "reading",
    "road_figure",
    "robustness_figure",
    "robustness_info",
    "setting_margin_figure",
    "setting_margins",
    "settings_label",
    "shift_figure",
    "shift_info",
    "steps_figure",
    "sweep_figure",
    "sweep_info",
    "trajectory_figure",
    "trajectory_info",
]
