"""Captions say what the numbers shown are, also where they contradict the theory."""

import base64

import numpy as np
import pytest

from cifs.plot.activation import activation_info, mean_shift
from cifs.plot.by_class import ByClassInfo
from cifs.plot.curves import Curve
from cifs.plot.importance import ImportanceCurve, ImportanceInfo
from cifs.plot.trajectory import TrajectoryInfo
from frontend.captions import (
    beyond_sentence,
    channel_sentence,
    class_sentence,
    kind_of,
    most_changed,
    road_sentence,
    shift_sentence,
    weakest_sentence,
    whether_it_matters,
)
from frontend.components.charts import file_name
from frontend.components.predictions import walked
from frontend.components.selection import parameters_text
from frontend.masks import least_relevant, nr_channels
from tests.frontend.dashboard import address, fine, open_page, texts, unfold
from tests.frontend.fake_backend import FakeBackend, pixels, png

G = [0.2, -0.5, 0.0, 0.9]
NATURAL = [1.0, 2.0, 3.0, 4.0]


def said_of(adversarial: list[float]) -> str:
    shift = mean_shift(activation_info(G, NATURAL, adversarial))
    assert shift is not None
    return shift_sentence(shift)


@pytest.mark.parametrize(
    ("adversarial", "verdict"),
    [
        ([0.5, 2.5, 4.0, 3.0], "That is the paper's pattern"),
        ([1.5, 2.5, 4.0, 5.0], "half of the paper's pattern: NR channels are over-activated, but most PR"),
        ([0.5, 1.5, 2.0, 3.0], "half of the paper's pattern: PR channels are under-activated, but most NR"),
        ([1.5, 1.5, 2.0, 5.0], "does **not** show the paper's pattern on this image"),
        ([0.5, 9.0, 2.0, 3.0], "half of the paper's pattern: PR"),  # one channel of two is not most of them
        (NATURAL, "does **not** show"),
    ],
)
def test_whether_an_image_shows_the_paper_s_pattern_is_computed(adversarial: list[float], verdict: str) -> None:
    assert verdict in said_of(adversarial)


@pytest.mark.parametrize(("by", "chance"), [(1.0, False), (0.2, True)])
def test_a_pattern_that_random_channels_show_as_well_is_told_from_one_they_do_not(by: float, chance: bool) -> None:
    """Ten NR channels rise and ten PR ones fall, two of either far: beside those a small step of all is nothing."""
    relevance, natural = np.r_[np.ones(10), -np.ones(10)], np.full(20, 3.0)
    change = by * np.r_[-np.ones(10), np.ones(10)]
    change[[0, 10]] += [2.5, -1.0] if chance else 0.0
    shift = mean_shift(activation_info(relevance, natural, natural + change))
    assert shift is not None
    beyond = shift.nr_over_activation > shift.nr_by_chance.high
    assert beyond != chance
    assert ("random channels change as much" in shift_sentence(shift)) == chance
    assert "paper's pattern" in shift_sentence(shift)


@pytest.mark.parametrize(
    ("right", "word"), [(0, "matters which"), (5, "matters which"), (6, "in part"), (15, "hardly")]
)
def test_what_random_channels_often_do_as_well_is_not_put_down_to_the_chosen_ones(right: int, word: str) -> None:
    assert word in whether_it_matters(right, 20)


def test_the_road_says_what_the_map_does_to_either_kind_of_channel() -> None:
    g = np.array([2.0, 1.0, -1.0])
    natural = ImportanceCurve("natural", "", g, np.array([1.5, 0.5, 0.1]), g, g)
    attacked = ImportanceCurve("adversarial", "", -g, np.array([1.5, 0.5, 0.1]), g, g)
    said = road_sentence(ImportanceInfo(np.arange(3), 1.0, True, [natural, attacked]))
    assert said.endswith("others: 1 and 0.1 (natural); 0.1 and 1 (adversarial).")
    assert "Mean C · m" in road_sentence(ImportanceInfo(np.arange(3), 3.0, True, [natural]))


def test_what_is_left_beyond_the_trained_budget_is_told_by_its_figures() -> None:
    curve = Curve("Vanilla AT", "vanilla", "solid", 0.1, [0.0, 0.1, 0.2], [85.0, 75.7, 2.2], [], [])
    assert beyond_sentence([curve], 0.1) == "From ε = 0.1 to 0.2: Vanilla AT 75.7 → 2.2 %."
    assert beyond_sentence([curve], 0.15) == ""
    assert beyond_sentence([curve], 0.2) == ""  # nothing beyond it was tried


def test_the_class_defended_least_is_named() -> None:
    info = ByClassInfo(["A", "B"], ["cat", "dog", "car"], [[10.0, None, 60.0], [30.0, 20.0, 25.0]], [])
    assert weakest_sentence(info).endswith("Least and most: A: cat 10.0, car 60.0; B: dog 20.0, cat 30.0.")
    none = ByClassInfo(["A"], ["cat", "dog"], [[0.0, 0.0]], [])
    assert weakest_sentence(none).endswith("Least and most: A: 0.0 of every one.")


def test_the_numbers_stand_before_the_verdict() -> None:
    sentence = said_of([0.5, 2.5, 4.0, 3.0])
    assert "raised **100% of the NR channels** (mean activation 2.5 → 3.25; as many random" in sentence
    assert "lowered **100% of the PR channels** (2.5 → 1.75)" in sentence


def test_a_class_s_channels_are_told_with_how_many_how_much_which_and_the_control() -> None:
    info = activation_info(G, NATURAL, [0.5, 2.5, 4.0, 3.0])
    shift = mean_shift(info)
    assert shift is not None
    nr, control, pr = class_sentence(info, shift).splitlines()
    assert nr == (
        "- **2 NR channels**: mean activation 2.5 → 3.25, +0.75 or **+30%**; 100% of them rise, furthest 2, 1."
    )
    spread = 1.96 * (np.var([-0.5, 0.5, 1, -1], ddof=1) / 2 / 2) ** 0.5
    assert control == f"- The control, 2 channels drawn at random: +0 (95 % of draws: {-spread:+.2g} to {spread:+.2g})."
    assert pr == "- **2 PR channels**: 2.5 → 1.75, -0.75 or **-30%**; 100% of them fall."


def test_the_control_stands_beside_the_claim() -> None:
    spread = 1.96 * (np.var([-0.5, 0.5, 1, -1], ddof=1) / 2 / 2) ** 0.5  # of two channels of four, drawn at random
    said = said_of([0.5, 2.5, 4.0, 3.0])
    assert f"(mean activation 2.5 → 3.25; as many random ones: by {-spread:+.2g} to {spread:+.2g})" in said


def test_a_channel_is_told_with_its_kind_and_what_became_of_it() -> None:
    info = activation_info(G, NATURAL, [1.0, 2.5, 1.0, 3.0])
    assert most_changed(info) == 2
    assert channel_sentence(info, 2) == "Channel 2 is **NR** and fell from 3 to 1; no other moved as much."
    assert channel_sentence(info, 0) == "Channel 0 is **PR** and stayed from 1 to 1."
    assert [kind_of(info, channel) for channel in range(4)] == ["PR", "NR", "NR", "PR"]
    assert channel_sentence(activation_info(G, NATURAL, None), 3) == "Channel 3 is **PR**."


def test_experiments_hold_back_what_they_are_named_after() -> None:
    assert nr_channels(G) == [1, 2]
    assert least_relevant(G, 0.5) == [1, 2]
    assert least_relevant(G, 0.01) == [0, 1, 2]
    assert least_relevant(G, 1.0) == []


@pytest.mark.usefixtures("backend")
def test_the_caption_of_the_channels_is_of_the_image_shown() -> None:
    assert "Here the attack raised **" in texts(fine(open_page("channels")))
    assert "In a fooled network the" not in texts(open_page("channels"))


@pytest.mark.usefixtures("backend")
def test_the_guess_for_an_unlabelled_upload_is_never_called_the_truth() -> None:
    page = open_page("channels", dataset="upload")
    page.file_uploader(key="upload-file").upload("mine.png", base64.b64decode(png(pixels(5))), "image/png").run()
    assert "The same " not in page.error[0].value
    assert "Its own first guess was T-shirt/top" in page.error[0].value
    assert "No label was given: the network's own guess stands for the truth" in texts(fine(page))


def test_an_empty_file_is_refused_in_plain_words(backend: FakeBackend) -> None:
    page = open_page("channels", dataset="upload")
    page.file_uploader(key="upload-file").upload("mine.png", b"", "image/png").run()
    assert "mine.png is empty: 0 bytes" in fine(page).error[0].value
    assert "png" not in backend.asked[-1][1]["images"][0]  # the gallery's image stays


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("layer", ["layer2.0", "layer4.0"])
@pytest.mark.parametrize("model", ["natural", "cifs"])
def test_every_relevance_that_applies_can_be_chosen(model: str, layer: str) -> None:
    page = unfold(open_page("channels", model=f"fmnist-resnet10-w16-{model}", layer=layer), "relevance-settings")
    probed = model == "cifs" and layer == "layer4.0"
    offered = ["True relevance", "A plug-in's own", *(["Assessed by the probe"] if probed else [])]
    assert page.selectbox(key="relevance").options == offered


def test_a_plug_in_s_relevance_is_sent_from_a_plain_layer(backend: FakeBackend) -> None:
    page = unfold(open_page("channels", layer="layer2.0"), "relevance-settings")
    page.selectbox(key="relevance").select("gradient_times_activation").run()
    asked = [body for path, body in backend.asked if path == "/channels"]
    assert asked[-1]["relevance"] == "gradient_times_activation"
    page.session_state["relevance-settings"] = False
    fine(page.run())
    assert not [box for box in page.selectbox if box.key == "relevance"]  # closed, it is not written, but in force
    assert [body for path, body in backend.asked if path == "/channels"][-1] == asked[-1]
    assert address(page, "relevance") == "gradient_times_activation"


def test_a_what_if_imgf_shows_its_consequence_and_whose_relevance_it_is_made_of(backend: FakeBackend) -> None:
    page = open_page("imgf", imgf="softplus", layer="layer4.0")
    asked = [body for path, body in backend.asked if path == "/channels/what-if"]
    assert asked[-1]["reselections"] == [{"layer": "layer4.0", "imgf": {"name": "softplus", "alpha": 5.0}, "k": 2}]
    said = texts(fine(page))
    assert "**adversarial image**: Trouser (90.0%) → **Ankle boot (60.0%)**" in said
    assert "Its g is the relevance for the true label, for the attacked image too" in said


def test_where_no_map_can_be_put_the_page_says_so(backend: FakeBackend) -> None:
    page = fine(open_page("imgf", imgf="softplus", layer="layer2.0"))
    assert "this map cannot be put into the network there" in texts(page)
    assert not [path for path, _ in backend.asked if path == "/channels/what-if"]


@pytest.mark.usefixtures("backend")
def test_every_chart_has_words_and_a_name_of_its_own() -> None:
    for name, view in (("channels", {}), ("channels", {"view": "damp channels"}), ("classes", {}), ("imgf", {})):
        drawn = open_page(name, **view).get("plotly_chart")
        assert all(chart.proto.alt for chart in drawn)
        assert "newplot" not in "".join(chart.proto.config for chart in drawn)
        names = [chart.proto.config for chart in drawn]
        assert len(set(names)) == len(names)


@pytest.mark.usefixtures("backend")
def test_every_picture_has_words() -> None:
    html = "".join(element.proto.body for element in open_page("channels").get("html"))
    assert html.count("<img") == html.count('<img alt="') == 3
    assert "adversarial image of Ankle boot, taken for Trouser" in html


def test_files_are_named_after_what_they_show() -> None:
    assert file_name("channels of layer4.0, fmnist-natural") == "channels-of-layer4.0-fmnist-natural"


@pytest.mark.parametrize(("targeted", "way"), [(False, "up"), (True, "down")])
def test_an_attacks_walk_is_told_as_it_went(targeted: bool, way: str) -> None:
    info = TrajectoryInfo([0, 5], [0.5, 0.125], 3, [0.999, 0.996], [3, 3], None, targeted)
    assert walked(info, "Bag") == (
        f"Each step follows the gradient of the loss {way}. In 5 steps it went from 0.5 to 0.125, "
        "the probability of Bag from 99.9% to 99.6%."
    )


def test_an_imgf_is_told_without_the_names_of_a_program() -> None:
    told = "softmax, Temperature T = 1.0"
    assert parameters_text({"name": "softmax", "temperature": 1.0, "per_channel": True}) == (
        f"{told}, times the number of channels"
    )
    assert parameters_text({"name": "softmax", "temperature": 1.0, "per_channel": False}) == told
