"""Figures hold the right numbers in the right order; how they are drawn is looked at, not tested."""

from itertools import combinations

import numpy as np
import pytest

from backend.schemas import (
    Cell,
    ChannelShift,
    ChannelsResponse,
    Column,
    ComparedColumn,
    Comparison,
    Estimate,
    RobustnessRow,
    RobustnessTable,
    SweepEntry,
    TrajectoryStep,
)
from cifs.plot.activation import activation_figure, activation_info, by_chance, mean_shift, most_raised
from cifs.plot.by_class import by_class_figure, by_class_info
from cifs.plot.colours import METHODS
from cifs.plot.curves import curve_info, eps_figure, steps_figure
from cifs.plot.importance import curve_figure, importance_factor, road_figure
from cifs.plot.maps import images_info, maps_figure, maps_info
from cifs.plot.margin import margin_figure, margins, setting_margin_figure, setting_margins
from cifs.plot.predictions import Belief, probability_figure, probability_info
from cifs.plot.robustness import robustness_figure, robustness_info, sweep_figure, sweep_info
from cifs.plot.shift import shift_figure, shift_info
from cifs.plot.trajectory import trajectory_figure, trajectory_info
from frontend.components.selection import importance_of

G = [0.2, -0.5, 0.0, 0.9]
NATURAL = [1.0, 2.0, 3.0, 4.0]
ADVERSARIAL = [0.5, 2.5, 4.0, 3.0]


def test_channels_stand_in_order_of_relevance_with_zero_among_the_nr() -> None:
    info = activation_info(G, NATURAL, ADVERSARIAL)
    assert info.channels.tolist() == [3, 0, 2, 1]
    assert info.natural.tolist() == [4.0, 1.0, 3.0, 2.0]
    assert info.n_pr == 2


def test_the_shift_is_the_mean_over_each_kind_of_channel() -> None:
    found = mean_shift(activation_info(G, NATURAL, ADVERSARIAL))
    assert found is not None
    assert found.nr_over_activation == pytest.approx(0.75)  # (4 + 2.5)/2 − (3 + 2)/2
    assert found.pr_under_activation == pytest.approx(0.75)  # (4 + 1)/2 − (3 + 0.5)/2
    assert (found.nr_over_activated, found.pr_under_activated) == (1.0, 1.0)


@pytest.mark.parametrize("n", range(9))
def test_the_control_is_what_all_draws_of_as_many_channels_come_to(n: int) -> None:
    change = np.random.default_rng(0).normal(1, 2, 8)
    means = [change[list(drawn)].mean() for drawn in combinations(range(8), n)] if n else [change.mean()]
    found = by_chance(change, n)
    assert found.mean == pytest.approx(np.mean(means))
    assert (found.high - found.mean, found.mean - found.low) == pytest.approx(2 * (1.96 * np.std(means),))


def test_the_channels_named_are_nr_ones_that_rose_the_furthest_first() -> None:
    info = activation_info(G, NATURAL, ADVERSARIAL)
    assert most_raised(info, 3) == [2, 1]
    assert most_raised(activation_info(G, NATURAL, [9.0, 2.5, 3.0, 9.0]), 3) == [1]  # 2 stayed, the others are PR
    assert most_raised(activation_info(G, NATURAL, None), 3) == []


def test_there_is_no_shift_without_an_attack() -> None:
    assert mean_shift(activation_info(G, NATURAL, None)) is None


@pytest.mark.parametrize("g", [[1.0, 2.0], [-1.0, 0.0]])
def test_a_layer_with_one_kind_of_channel_alone_is_drawn(g: list[float]) -> None:
    info = activation_info(g, [1.0, 2.0], [2.0, 1.0])
    assert mean_shift(info) is not None
    assert activation_figure(info).data


def test_a_small_chart_beside_others_has_a_legend_of_one_row() -> None:
    info = activation_info(G, NATURAL, ADVERSARIAL)
    small, large = (activation_figure(info, height=height) for height in (300, 430))
    assert [trace.name for trace in small.data if trace.showlegend is not False] == ["natural", "adversarial"]
    assert all(trace.showlegend for trace in large.data[2:])
    assert {note.text for note in small.layout.annotations} == {note.text for note in large.layout.annotations}


def test_the_channel_chart_carries_both_activations_and_the_channel_of_every_point() -> None:
    bars, line, pr, nr = activation_figure(activation_info(G, NATURAL, ADVERSARIAL), picked=2).data
    assert list(bars.y) == [4.0, 1.0, 3.0, 2.0]
    assert list(line.y) == [3.0, 0.5, 4.0, 2.5]
    assert list(bars.customdata) == list(line.customdata) == [3, 0, 2, 1]
    assert (list(pr.customdata), list(nr.customdata)) == ([3, 0], [2, 1])


def test_markers_do_not_cover_the_bars_of_a_crowded_layer_and_can_be_clicked_all_the_same() -> None:
    few, many = (activation_figure(activation_info([1.0] * n, [2.0] * n, [3.0] * n)).data[1] for n in (200, 512))
    assert (few.mode, few.marker.opacity) == ("lines+markers", 1)
    assert (many.mode, many.marker.opacity, many.line.width) == ("lines+markers", 0, 1)


def test_the_claim_is_drawn_in_per_cent_of_the_mean_activation_with_whiskers() -> None:
    nr, pr = Estimate(mean=0.1, low=0.08, high=0.14, n=9), Estimate(mean=-0.2, low=-0.3, high=-0.1, n=9)
    measured = ChannelShift(nr_over_activation=nr, pr_under_activation=pr, mean_activation=0.5)
    without_pr = measured.model_copy(update={"pr_under_activation": None})
    silent = measured.model_copy(update={"mean_activation": 0.0})
    info = shift_info({"a": measured, "b": without_pr, "c": silent, "older": None})
    assert [bars.models for bars in info] == [["a", "b"], ["a"]]
    assert info[0].mean == pytest.approx([20.0, 20.0])
    assert info[1].mean == pytest.approx([-40.0])
    assert (info[0].below, info[0].above) == (pytest.approx([4.0, 4.0]), pytest.approx([8.0, 8.0]))
    figure = shift_figure(info, dict.fromkeys(("a", "b", "c", "older"), "one title"))
    assert [list(bar.y) for bar in figure.data] == [["a", "b"], ["a"]]
    assert list(figure.data[0].error_x.array) == pytest.approx([8.0, 8.0])


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
    assert (info.fooled_at, info.probability) == (2, [1.0, 0.5, 0.0])
    assert list(trajectory_figure(info, ["a", "b"]).data[0].y) == [0.0, 1.0, 2.0]
    assert trajectory_info(steps[:2], label=0).fooled_at is None


def test_both_maps_share_one_colour_scale() -> None:
    figure = maps_figure(maps_info(7, [[0.0, 1.0]], [[2.0, 5.0]]))
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0.0, 5.0)
    assert {trace.coloraxis for trace in figure.data} == {"coloraxis"}


def test_maps_of_one_channel_on_several_images_share_it_too() -> None:
    figure = maps_figure(images_info(7, {"Bag": [[0.0, 1.0]], "Coat": [[2.0, 5.0]], "Shirt": [[-1.0, 0.0]]}))
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (-1.0, 5.0)
    assert [note.text.partition("<br>")[0] for note in figure.layout.annotations] == ["Bag", "Coat", "Shirt"]


def test_a_silent_channel_has_a_scale_too() -> None:
    info = maps_info(0, [[0.0]])
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
    info = importance_of(channels_response(m, "softmax"))
    assert info is not None
    assert info.curves[0].importance.mean() == pytest.approx(1.0)
    assert info.curves[0].selected == pytest.approx(info.curves[0].importance * info.curves[0].activation)


def test_other_importance_is_shown_as_it_is() -> None:
    assert importance_factor({"name": "sigmoid"}, 128) == 1
    assert importance_factor({"name": "softmax", "per_channel": True}, 128) == 1
    assert importance_factor(None, 128) == 1


def test_the_curve_and_the_road_hold_every_channel_of_both_inputs() -> None:
    info = importance_of(channels_response([0.1, 0.2, 0.3, 0.4], "sigmoid"))
    assert info is not None
    assert list(curve_figure(info).data[0].x) == sorted(G)
    assert len(road_figure(info).data) == 8
    assert list(road_figure(info).data[0].y) == sorted(G, reverse=True)


def test_the_model_s_own_importance_is_drawn_against_the_relevance_it_assessed_itself() -> None:
    for source, shown in (("request", G), ("model", ASSESSED)):
        info = importance_of(channels_response([0.1, 0.2, 0.3, 0.4], "sigmoid", source))
        assert info is not None
        assert list(curve_figure(info).data[0].x) == sorted(shown)


def test_a_plain_layer_has_no_importance_to_show() -> None:
    assert importance_of(channels_response(None, "softmax")) is None


def cell(accuracy: float) -> Cell:
    return Cell(accuracy=accuracy, low=accuracy - 0.01, high=accuracy + 0.02, n=100)


def swept(beta: float | str) -> SweepEntry:
    few = {"n": 10} if beta == "inf" else {}
    found = cell(0.6 if beta else 0.4).model_copy(update={"settings": {"beta": beta}} | few)
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
    return RobustnessTable(columns=columns, rows=[row(), row(model="n", title="N", cells={"natural": cell(0.5)})])


def test_bars_are_per_cent_with_their_intervals_and_gaps_where_nothing_was_measured() -> None:
    info = robustness_info(table())
    assert info.models == ["M", "N"]
    assert info.bars[1].accuracy == [pytest.approx(40.0), None]
    assert info.bars[0].above == pytest.approx([2.0, 2.0])
    assert len(robustness_figure(info).data) == 3


def test_the_sweep_marks_the_setting_that_counts_and_keeps_what_fewer_images_say_apart() -> None:
    points = sweep_info(row())
    assert [(point.label, point.n, point.counted) for point in points] == [
        ("β = 0", 100, True),
        ("β = 2", 100, False),
        ("β = ∞", 10, False),
    ]
    figure = sweep_figure(points, {"pgd20": "PGD-20"})
    few, whole = figure.data
    assert [(trace.name, trace.xaxis, trace.marker.symbol) for trace in (few, whole)] == [
        ("n = 10", "x", ("diamond-open",)),
        ("n = 100", "x2", ("circle", "circle-open")),
    ]
    assert [note.text for note in figure.layout.annotations] == ["first 10<br>images", "100<br>images"]
    assert figure.layout.yaxis.categoryarray == ("PGD-20: β = 0", "PGD-20: β = 2", "PGD-20: β = ∞")
    alone = sweep_figure(points[:2], {})
    assert [trace.xaxis for trace in alone.data] == ["x"]


def curves(*accuracies: float) -> dict[str, object]:
    points = [cell(accuracy).model_dump() for accuracy in accuracies]
    return {
        "n": 100,
        "settings": {},
        "eps": [point | {"eps": k * 4 / 255} for k, point in enumerate(points)],
        "steps": [point | {"steps": 10**k} for k, point in enumerate(points)],
    }


def test_curves_are_per_cent_in_the_colour_of_the_method_and_told_apart_within_it() -> None:
    rows = [row(curves=curves(0.9, 0.5)), row(model="b", curves=curves(0.8, 0.4)), row(model="c")]
    one, other = curve_info(rows, "eps")
    assert (one.model, other.model) == ("M (m)", "M (b)")
    _, _, *lines = steps_figure([one, other]).data
    assert [line.line.color for line in lines] == [METHODS["cifs"]] * 2
    assert one.dash != other.dash
    assert (one.x, one.accuracy) == ([0, 4 / 255], pytest.approx([90.0, 50.0]))
    assert (one.low[1], one.high[1]) == (pytest.approx(49.0), pytest.approx(52.0))
    assert [curve.x for curve in curve_info(rows, "steps")] == [[1, 10]] * 2


def test_a_band_goes_there_and_back_and_the_training_budget_is_marked() -> None:
    info = curve_info([row(eps=8 / 255, curves=curves(0.9, 0.5))], "eps")
    figure = eps_figure(info, [8 / 255])
    band, line = figure.data
    assert list(band.x) == [0, 4 / 255, 4 / 255, 0]
    assert list(band.y) == pytest.approx([92, 52, 49, 89])
    assert list(line.y) == pytest.approx([90, 50])
    assert figure.layout.annotations[0].text == "trained at ε = 8/255"
    assert steps_figure(info).layout.xaxis.type == "log"


def test_ticks_are_written_as_the_table_s_own_budget_is() -> None:
    points = [cell(0.5).model_dump() | {"eps": eps} for eps in (0, 0.05, 0.1, 0.15, 0.2)]
    by_eps = row(curves={"n": 100, "settings": {}, "eps": points, "steps": []})
    assert eps_figure(curve_info([by_eps], "eps"), []).layout.xaxis.ticktext == ("0", "0.1", "0.2")
    in_levels = row(eps=8 / 255, curves=curves(0.9, 0.8, 0.7))
    assert eps_figure(curve_info([in_levels], "eps"), []).layout.xaxis.ticktext == ("0", "8/255")


def test_no_line_hides_the_vanilla_one_and_no_band_any_line() -> None:
    rows = [row(model=method, title=method, method=method, curves=curves(0.9)) for method in ("vanilla", "cas", "cifs")]
    drawn = steps_figure(curve_info(rows, "steps")).data
    assert [trace.fill for trace in drawn] == ["toself"] * 3 + [None] * 3
    assert [(line.name, line.legendrank) for line in drawn[3:]] == [("cas", 1), ("cifs", 2), ("vanilla", 0)]


def test_accuracy_by_class_is_of_the_images_of_that_class_and_never_of_the_first_few_alone() -> None:
    right = cell(0.4).model_copy(update={"by_class": [20, 0, 10]})
    few = right.model_copy(update={"n": 10})
    cells = {"pgd20": right, "autoattack": few}
    older = row(model="b", title="older", classes=["x", "y", "z"])
    counted = row(cells=cells, classes=older.classes, class_counts=[50, 0, 50])
    info = by_class_info([older, counted], "pgd20")
    assert info is not None
    assert (info.models, info.classes) == (["M"], ["x", "y", "z"])
    assert info.accuracy == [[40.0, None, 20.0]]
    assert info.images == [[50, 0, 50]]
    cells, text = by_class_figure(info).data
    assert list(cells.x) == ["x", "y", "z"]
    assert (list(text.x), list(text.text)) == (["x", "z"], ["40.0", "20.0"])
    assert by_class_info([counted], "autoattack") is None
    assert by_class_info([row()], "pgd20") is None


def test_by_class_every_page_has_one_scale_and_n_is_told() -> None:
    cells = {"pgd20": cell(0.4).model_copy(update={"by_class": [20, 10]})}
    rows = [row(cells=cells, classes=["x", "y"], class_counts=counts) for counts in ([50, 50], [40, 60])]
    for shown, n in ((rows[:1], "n = 50 images"), (rows, "n = 40 to 60 images")):
        info = by_class_info(shown, "pgd20")
        assert info is not None
        figure = by_class_figure(info)
        assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 100)
        assert "%{customdata:,} images" in figure.data[0].hovertemplate
        assert n in figure.layout.xaxis.title.text


def test_a_margin_is_drawn_in_points_beside_the_papers() -> None:
    columns = [
        ComparedColumn(
            column=key, n=1000, first=0.40, second=second, only_first=30, only_second=20, p_value=0.2,
            low=0.40 - second - 0.01, high=0.40 - second + 0.02,
        )
        for key, second in (("pgd20", 0.39), ("worst", 0.42))
    ]  # fmt: skip
    comparison = Comparison(first="a", second="b", dataset="cifar10", split="test", eps=8 / 255, columns=columns)
    info = pgd20, worst = margins(comparison, {"pgd20": "PGD-20"}, {"pgd20": 4.61})
    assert (pgd20.title, worst.title) == ("PGD-20", "worst")
    assert pgd20[1:] == pytest.approx((1.0, 2.0, 1.0, 4.61))
    assert worst[1:4] == pytest.approx((-2.0, 2.0, 1.0))
    assert worst.paper is None
    assert [trace.name for trace in margin_figure(info, "cifs", "B").data] == ["the paper's margin", "measured here"]
    assert [trace.name for trace in margin_figure(margins(comparison, {}, {}), "cifs", "B").data] == ["measured here"]


def test_the_margin_of_each_setting_is_drawn_against_the_other_s_strongest() -> None:
    tried = {"n": 500, "second": 0.40, "only_first": 30, "only_second": 20, "p_value": 0.2}
    settings = [
        {"column": "pgd20", "settings": {"beta": 0.0}, "counted": False, "first": 0.62, "low": 0.17, "high": 0.27},
        {"column": "pgd20", "settings": {"beta": "inf"}, "counted": True, "first": 0.35, "low": -0.07, "high": -0.04},
        {"column": "cw", "settings": {"beta": 2.0}, "counted": True, "first": 0.4, "low": -0.01, "high": 0.01},
    ]
    comparison = Comparison.model_validate(
        {
            "first": "a", "second": "b", "dataset": "cifar10", "split": "test", "eps": 8 / 255, "columns": [],
            "settings": [tried | setting for setting in settings],
        }
    )  # fmt: skip
    found = setting_margins(comparison)
    assert list(found) == ["pgd20", "cw"]
    assert [margin.label for margin in found["pgd20"]] == ["β = 0", "β = ∞"]
    assert [margin.difference for margin in found["pgd20"]] == pytest.approx([22.0, -5.0])
    assert found["pgd20"][0][2:4] == (pytest.approx(5.0), pytest.approx(5.0))
    (trace,) = setting_margin_figure(found["pgd20"], "cas", "B").data
    assert trace.marker.symbol == ("circle-open", "circle")


def test_a_small_channel_chart_is_of_shapes_that_hold_the_same_values() -> None:
    info = activation_info([0.3, -0.2, 0.1, 0.0], [1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 2.0])
    large, small = activation_figure(info), activation_figure(info, height=300)
    assert [trace.type for trace in small.data] == ["scatter"] * 4
    for bars, area in zip(large.data, small.data, strict=True):
        inner = slice(1, -1) if bars.type == "bar" else slice(None)
        for name in ("x", "y", "customdata"):
            assert list(area[name][inner]) == list(bars[name])
    areas = [trace for trace in small.data if trace.fill]
    assert [(area.x[0], area.x[-1]) for area in areas] == [(-0.5, 3.5), (-0.5, 1.5), (1.5, 3.5)]
    assert all(area.line.shape == "hvh" for area in areas)
