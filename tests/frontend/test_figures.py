"""Figures hold the right numbers in the right order; how they are drawn is looked at, not tested."""

import numpy as np
import pytest

from backend.schemas import (
    Cell,
    ChannelMaps,
    ChannelsResponse,
    Column,
    RobustnessRow,
    RobustnessTable,
    SweepEntry,
    TrajectoryStep,
)
from frontend.figures.activations import activation_figure, activation_info, shift
from frontend.figures.importance import curve_figure, importance_factor, importance_info, road_figure
from frontend.figures.maps import maps_figure, maps_info
from frontend.figures.predictions import Belief, probability_figure, probability_info
from frontend.figures.robustness import robustness_figure, robustness_info, sweep_figure, sweep_info
from frontend.figures.trajectory import trajectory_figure, trajectory_info
from frontend.masks import damp_nr, keep_most_relevant

G = [0.2, -0.5, 0.0, 0.9]
NATURAL = [1.0, 2.0, 3.0, 4.0]
ADVERSARIAL = [0.5, 2.5, 4.0, 3.0]


def test_channels_stand_in_order_of_relevance_with_zero_among_the_nr() -> None:
    info = activation_info(G, NATURAL, ADVERSARIAL)
    assert info.channels.tolist() == [3, 0, 2, 1]
    assert info.natural.tolist() == [4.0, 1.0, 3.0, 2.0]
    assert info.n_pr == 2


def test_the_shift_is_the_mean_over_each_kind_of_channel() -> None:
    found = shift(activation_info(G, NATURAL, ADVERSARIAL))
    assert found is not None
    assert found.nr_over_activation == pytest.approx(0.75)  # (4 + 2.5)/2 − (3 + 2)/2
    assert found.pr_under_activation == pytest.approx(0.75)  # (4 + 1)/2 − (3 + 0.5)/2
    assert (found.nr_over_activated, found.pr_under_activated) == (1.0, 1.0)


def test_there_is_no_shift_without_an_attack() -> None:
    assert shift(activation_info(G, NATURAL, None)) is None


@pytest.mark.parametrize("g", [[1.0, 2.0], [-1.0, 0.0]])
def test_a_layer_with_one_kind_of_channel_alone_is_drawn(g: list[float]) -> None:
    info = activation_info(g, [1.0, 2.0], [2.0, 1.0])
    assert shift(info) is not None
    assert activation_figure(info).data


def test_the_channel_chart_carries_both_activations_and_the_channel_of_every_point() -> None:
    bars, line, pr, nr = activation_figure(activation_info(G, NATURAL, ADVERSARIAL), picked=2).data
    assert list(bars.y) == [4.0, 1.0, 3.0, 2.0]
    assert list(line.y) == [3.0, 0.5, 4.0, 2.5]
    assert list(bars.customdata) == list(line.customdata) == [3, 0, 2, 1]
    assert (list(pr.customdata), list(nr.customdata)) == ([3, 0], [2, 1])


def test_likely_classes_come_first_and_the_rest_is_counted() -> None:
    beliefs = [Belief("natural", "#000", [0.1, 0.8, 0.1, 0.0]), Belief("adversarial", "#111", [0.95, 0.05, 0.0, 0.0])]
    info = probability_info(["a", "b", "c", "d"], beliefs, most=2)
    assert (info.classes, info.left_out) == (["b", "a"], 2)
    assert [list(bar.x) for bar in probability_figure(info).data] == [[0.8, 0.1], [0.05, 0.95]]


def test_the_trajectory_knows_when_the_label_was_lost() -> None:
    steps = [
        TrajectoryStep(step=k, loss=float(k), prediction=int(k == 2), probabilities=[1 - k / 2, k / 2])
        for k in range(3)
    ]
    info = trajectory_info(steps, label=0)
    assert (info.flipped_at, info.label_probability) == (2, [1.0, 0.5, 0.0])
    assert list(trajectory_figure(info, ["a", "b"]).data[0].y) == [0.0, 1.0, 2.0]
    assert trajectory_info(steps[:2], label=0).flipped_at is None


def test_both_maps_share_one_colour_scale() -> None:
    figure = maps_figure(maps_info(ChannelMaps(channel=7, natural=[[0.0, 1.0]], adversarial=[[2.0, 5.0]])))
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0.0, 5.0)
    assert {trace.coloraxis for trace in figure.data} == {"coloraxis"}


def test_a_silent_channel_has_a_scale_too() -> None:
    info = maps_info(ChannelMaps(channel=0, natural=[[0.0]], adversarial=None))
    assert info.low < info.high
    assert len(maps_figure(info).data) == 1


ASSESSED = [0.5, -0.25, 0.75, 0.0]


def channels_response(importance: list[float] | None, imgf: str, source: str = "request") -> ChannelsResponse:
    selected = None if importance is None else np.multiply(importance, NATURAL).tolist()
    view = {
        "prediction": 0, "class_name": "a", "probabilities": [1.0], "target": 0, "activation": NATURAL, "relevance": G,
        "assessed": ASSESSED, "importance": importance, "selected": selected,
    }  # fmt: skip
    return ChannelsResponse.model_validate(
        {
            "model": "m", "layer": "l", "relevance": {"name": "true"}, "imgf": {"name": imgf}, "attack": None,
            "importance_source": source, "results": [{"label": 0, "natural": view, "adversarial": view}],
        }
    )  # fmt: skip


def test_softmax_importance_is_shown_so_that_one_means_unchanged_on_average() -> None:
    m = (np.exp(G) / np.exp(G).sum()).tolist()
    info = importance_info(channels_response(m, "softmax"))
    assert info is not None
    assert info.views[0].importance.mean() == pytest.approx(1.0)
    assert info.views[0].selected == pytest.approx(info.views[0].importance * info.views[0].activation)


def test_other_importance_is_shown_as_it_is() -> None:
    assert importance_factor({"name": "sigmoid"}, 128) == 1
    assert importance_factor({"name": "softmax", "per_channel": True}, 128) == 1
    assert importance_factor(None, 128) == 1


def test_the_curve_and_the_road_hold_every_channel_of_both_inputs() -> None:
    info = importance_info(channels_response([0.1, 0.2, 0.3, 0.4], "sigmoid"))
    assert info is not None
    assert list(curve_figure(info).data[0].x) == sorted(G)
    assert len(road_figure(info).data) == 8
    assert list(road_figure(info).data[0].y) == sorted(G, reverse=True)


def test_the_model_s_own_importance_is_drawn_against_the_relevance_it_assessed_itself() -> None:
    for source, shown in (("request", G), ("model", ASSESSED)):
        info = importance_info(channels_response([0.1, 0.2, 0.3, 0.4], "sigmoid", source))
        assert info is not None
        assert list(curve_figure(info).data[0].x) == sorted(shown)


def test_a_plain_layer_has_no_importance_to_show() -> None:
    assert importance_info(channels_response(None, "softmax")) is None


def cell(accuracy: float) -> Cell:
    return Cell(accuracy=accuracy, low=accuracy - 0.01, high=accuracy + 0.02, n=100)


def swept(beta: float | str) -> SweepEntry:
    found = cell(0.6 if beta else 0.4).model_copy(update={"settings": {"beta": beta}})
    return SweepEntry(**found.model_dump(), column="pgd20", counted=not beta)


def row(**changes: object) -> RobustnessRow:
    usual = {
        "model": "m", "title": "M", "method": "cifs", "dataset": "d", "arch": "a", "width": 1, "eps": 0.1,
        "split": "test", "n": 100, "cells": {"natural": cell(0.9), "pgd20": cell(0.4)}, "strongest": "pgd20",
        "sweep": [swept(0), swept(2.0), swept("inf")], "notes": [],
    }  # fmt: skip
    return RobustnessRow.model_validate(usual | changes)


def table() -> RobustnessTable:
    columns = [Column(key=k, title=k.upper(), description="") for k in ("natural", "pgd20", "cw")]
    return RobustnessTable(columns=columns, rows=[row(), row(title="N", cells={"natural": cell(0.5)})])


def test_bars_are_per_cent_with_their_intervals_and_gaps_where_nothing_was_measured() -> None:
    info = robustness_info(table())
    assert info.models == ["M", "N"]
    assert info.bars[1].accuracy == [pytest.approx(40.0), None]
    assert info.bars[0].above == pytest.approx([2.0, 2.0])
    assert len(robustness_figure(info).data) == 3


def test_the_sweep_marks_the_setting_that_counts() -> None:
    points = sweep_info(row())
    assert [(point.label, point.counted) for point in points] == [("β = 0", True), ("β = 2", False), ("β = ∞", False)]
    assert list(sweep_figure(points, {"pgd20": "PGD-20"}).data[0].marker.symbol) == [
        "circle",
        "circle-open",
        "circle-open",
    ]


def test_masks_follow_relevance() -> None:
    assert damp_nr(G, 0.25) == [1.0, 0.25, 0.25, 1.0]
    assert keep_most_relevant(G, 0.5) == [1.0, 0.0, 0.0, 1.0]
    assert keep_most_relevant(G, 0.01) == [0.0, 0.0, 0.0, 1.0]
