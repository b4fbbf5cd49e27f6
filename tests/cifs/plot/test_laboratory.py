"""The laboratory's figures hold the right numbers in the right order."""

import pytest

from cifs.plot.channel_page import ResponseInfo, profile_figure, profile_info, response_figure
from cifs.plot.circuit import PatchInfo, patch_figure
from cifs.plot.faithfulness import NotionCurves, faithfulness_figure
from cifs.plot.film import FilmInfo, PathInfo, film_figure, paths_figure
from cifs.plot.saliency import saliency_figure, saliency_info
from cifs.plot.waterfall import common_span, waterfall_figure, waterfall_info


def test_a_waterfall_leads_from_the_natural_to_the_attacked_margin() -> None:
    parts, g = [1.0, -0.5, 3.0, 0.25], [0.1, 0.2, -0.3, 0.0]
    info = waterfall_info((-2.0, 2.0), parts, g, above={"layer4.0": 0.25}, most=2)
    assert [bar.name for bar in info.bars] == [
        "natural",
        "channel 2",
        "channel 0",
        "2 others",
        "m of layer4.0",
        "attacked",
    ]
    assert [bar.kind for bar in info.bars] == ["natural", "NR", "PR", "rest", "map", "adversarial"]
    for bar, after in zip(info.bars[:-2], info.bars[1:-1], strict=True):
        assert bar.end == pytest.approx(after.start)
    assert info.bars[-2].end == pytest.approx(info.bars[-1].end) == 2.0
    assert (info.by_nr, info.by_pr) == (3.25, 0.5)
    assert info.for_half == 1  # 3.0 of the 4.25 by which channels raised it


def test_where_nothing_raised_the_margin_no_channel_makes_up_half_of_it() -> None:
    assert waterfall_info((0.0, -1.0), [-1.0, 0.0], [1.0, 1.0]).for_half == 0


def test_a_waterfalls_bars_stand_on_their_levels() -> None:
    figure = waterfall_figure(waterfall_info((-2.0, 2.0), [1.0, 3.0], [0.1, -0.3]))
    by_name = {trace.name: trace for trace in figure.data}
    assert by_name["NR channel"].base == (-2.0,)
    assert by_name["NR channel"].x == (3.0,)
    assert by_name["PR channel"].base == (1.0,)
    assert figure.layout.yaxis.categoryarray == ("natural", "channel 1", "channel 0", "attacked")


def test_a_waterfalls_names_lie_one_below_the_other_with_room_for_each() -> None:
    parts, above = [1.0] * 20, {"paths around the layer": 0.5}
    info = waterfall_info((-2.0, 18.5), parts, parts, above=above)
    figure = waterfall_figure(info)
    assert {trace.orientation for trace in figure.data} == {"h"}
    assert figure.layout.yaxis.autorange == "reversed"  # the natural margin on top
    assert figure.layout.margin.l >= 6 * len("paths around the layer")
    top, below = figure.layout.margin.t, figure.layout.margin.b
    assert (figure.layout.height - top - below) / len(info.bars) >= 1.2 * 12  # lines of the usual font
    assert [trace.name for trace in figure.data if trace.showlegend] == ["PR channel"]  # the others' names say it


def test_waterfalls_of_one_comparison_have_one_axis_that_holds_all_bars() -> None:
    infos = [
        waterfall_info((-2.0, 2.0), [1.0, 3.0], [0.1, -0.3]),
        waterfall_info((-9.0, -8.0), [3.0, -2.0], [1.0, -1.0]),
    ]
    low, high = common_span(infos)
    assert low < -9.0 < 2.0 < high
    assert {waterfall_figure(info, span=(low, high)).layout.xaxis.range for info in infos} == {(low, high)}


def test_the_curves_of_a_circuit_share_their_counts() -> None:
    info = PatchInfo([0, 2, 4], [3, -1, -2], [3, 2, -2], [3, 2.5, -2], [3, 2, -2], [3, 2.8, -2], 2, True, True)
    lines = [trace for trace in patch_figure(info).data if trace.fill is None]
    assert all(trace.x == (0, 2, 4) for trace in lines)
    assert lines[-1].y == (3, -1, -2)
    (text,) = [note.text for note in patch_figure(info).layout.annotations]
    assert text == "2 channels"
    assert not patch_figure(info._replace(reached=False)).layout.annotations


def test_a_film_has_a_frame_a_step_and_each_shows_its_own() -> None:
    info = FilmInfo(
        ["AA", "BB"], ["CC", "DD"], [-1.0, 2.0], ["Bag", "Coat"], {"stem": [0.0, 0.5], "fc": [0.0, 1.0]}, 1, 5.0
    )
    figure = film_figure(info)
    assert figure.data[3].textfont.color == figure.data[3].marker.color  # read on either background
    assert [frame.name for frame in figure.frames] == ["0", "1"]
    first, last = (frame.data for frame in figure.frames)
    assert (first[0].source, last[1].source) == ("data:image/png;base64,AA", "data:image/png;base64,DD")
    assert (first[2].y, last[2].y) == ((-1.0,), (2.0,))
    assert last[3].y == (0.5, 1.0)
    assert [step.label for step in figure.layout.sliders[0].steps] == ["0", "1"]


@pytest.mark.parametrize(("falls_at", "anchors"), [(2, ("left", "bottom")), (18, ("right", "top"))])
def test_where_the_label_falls_is_said_beside_the_curve_and_within_the_chart(
    falls_at: int, anchors: tuple[str, str]
) -> None:
    margin = [step - falls_at + 0.5 for step in range(21)]
    info = FilmInfo(["AA"] * 21, ["BB"] * 21, margin, ["Bag"] * 21, {"stem": [0.5] * 21}, falls_at, 5.0)
    (note,) = [note for note in film_figure(info).layout.annotations if note.text.startswith("the label falls")]
    assert (note.xanchor, note.yanchor) == anchors


def test_paths_tell_pr_and_nr_apart() -> None:
    figure = paths_figure([PathInfo(3, 0.1, [1.0, 2.0]), PathInfo(5, -0.1, [2.0, 1.0])], "activation", None)
    assert [trace.name for trace in figure.data] == ["3 (PR)", "5 (NR)"]
    assert figure.data[0].line.color != figure.data[1].line.color


@pytest.mark.parametrize(("signed", "low"), [(True, -4.0), (False, 0.0)])
def test_saliency_maps_share_one_scale(signed: bool, low: float) -> None:
    info = saliency_info(["a", "b"], [[[1.0, 2.0]], [[-4.0, 0.5]]], signed=signed)
    figure = saliency_figure(info)
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (low, 4.0)
    assert all(trace.coloraxis == "coloraxis" for trace in figure.data)


def test_a_profile_stands_in_order_of_activation_with_what_is_not_known_last() -> None:
    info = profile_info(["a", "b", "c"], [0.1, None, 0.5], [0.2, None, -0.3])
    assert info.classes == ["c", "a", "b"]
    left, right = profile_figure(info).data
    assert left.x == (0.5, 0.1, None)
    assert len(set(right.marker.color[:2])) == 2  # NR and PR


def test_a_response_marks_the_budget_and_where_the_label_falls() -> None:
    figure = response_figure(ResponseInfo([0.0, 0.1, 0.2], [1.0, 2.0, 3.0], [0.1, 0.1, 0.1], 0.1, 0.2))
    assert [shape.x0 for shape in figure.layout.shapes] == [0.1, 0.2]
    assert [shape.name for shape in figure.layout.shapes if shape.showlegend] == ["the attack's ε", "the label falls"]
    assert figure.layout.shapes[0].line.dash != figure.layout.shapes[1].line.dash
    assert not figure.layout.annotations  # which would lie on the curves


def test_notions_are_drawn_twice_and_named_once() -> None:
    curves = [NotionCurves("g", [1, 0], [0, 1], False), NotionCurves("random", [1, 0.5], [0.5, 1], True)]
    figure = faithfulness_figure([0, 1], curves)
    assert [trace.name for trace in figure.data if trace.showlegend] == ["g", "random"]
    assert figure.data[0].y == (1, 0)
    assert figure.data[1].y == (0, 1)
