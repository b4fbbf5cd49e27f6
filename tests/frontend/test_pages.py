"""Every page against the fake backend: it shows what it should, reacts to clicks, and never shows a traceback."""

import base64
import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cifs_client import Client
from frontend.components.figure_one import charts_abreast
from tests.frontend import fake_backend
from tests.frontend.dashboard import (
    address,
    attack_button,
    charts,
    fine,
    open_app,
    open_page,
    texts,
    unfold,
)
from tests.frontend.fake_backend import EXAMPLE, PARTED, FakeBackend, Fault, pixels, png
from tests.frontend.fake_laboratory import CLASSES

PAGES = ("channels", "classes", "imgf", "robustness")
CHANNEL_VIEWS = ("every channel", "its whole class", "importance", "damp channels", "the attack, step by step")
ROBUSTNESS_VIEWS = ("table", "difference", "against ε and steps", "by class", "bars", "checks")

pytestmark = pytest.mark.usefixtures("backend")


def test_the_app_opens_on_the_channels_of_the_natural_model() -> None:
    page = fine(open_app())
    assert page.title[0].value == "Why is this network fooled?"
    assert "Fooled." in page.error[0].value
    assert "Trouser" in page.error[0].value
    assert len(charts(page)) == 3  # probabilities, channels, maps


def test_choices_come_along_to_another_page(backend: FakeBackend) -> None:
    page = open_app()
    page.selectbox(key="layer").select("layer2.0").run()
    page.switch_page("app_pages/imgf.py").run()
    fine(page)
    assert page.title[0].value == "From relevance to importance"
    assert page.selectbox(key="layer").value == "layer2.0"
    assert backend.asked[-1][1]["layer"] == "layer2.0"


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_without_complaint(name: str) -> None:
    page = fine(open_page(name))
    for figure in charts(page).values():  # with a template, or arrays in binary, Plotly draws it twice
        assert "template" not in figure["layout"]
        assert "bdata" not in json.dumps([{**trace, "error_x": None, "error_y": None} for trace in figure["data"]])
    assert not [button for button in page.button if button.label == "Retry"]


@pytest.mark.parametrize("view", CHANNEL_VIEWS)
@pytest.mark.parametrize("method", ["natural", "cifs"])
def test_every_view_of_the_channels_opens(view: str, method: str) -> None:
    page = fine(open_page("channels", view=view, model=f"fmnist-resnet10-w16-{method}"))
    assert charts(page)


@pytest.mark.parametrize("view", ROBUSTNESS_VIEWS)
def test_every_view_of_robustness_opens(view: str) -> None:
    fine(open_page("robustness", show=view))


def test_the_first_attack_suits_the_model(backend: FakeBackend) -> None:
    open_page("channels")
    asked = [body["attack"] for path, body in backend.asked if path == "/attack"]
    assert asked[0]["name"] == "pgd"
    assert (asked[0]["eps"], asked[0]["steps"]) == (0.1, 20)


def test_an_image_that_tells_the_story_is_shown_first_and_how_it_was_chosen_is_said(backend: FakeBackend) -> None:
    page = open_page("channels")
    assert backend.asked[0][1]["images"][0]["index"] == EXAMPLE
    assert f"**Image {EXAMPLE}** is shown first. Of 40 test images the one" in texts(page)
    assert address(page, "index") is None  # a default needs no place in the address


def test_it_is_shown_at_the_layer_where_it_tells_the_story_and_the_next_one_there_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fake_backend, "TOLD_AT", ["layer2.0"])
    page = unfold(open_page("channels"), "gallery")
    assert page.selectbox(key="layer").value == "layer2.0"
    assert f"**Image {EXAMPLE}** is shown first, at layer2.0." in texts(page)
    assert address(page, "layer") is None
    page.button(key="image-3").click().run()
    assert page.selectbox(key="layer").value == "layer2.0" == address(page, "layer")
    page.selectbox(key="layer").select("layer4.0").run()
    assert page.selectbox(key="layer").value == "layer4.0"
    assert open_page("imgf").selectbox(key="layer").value == "layer4.0"  # no map can be put elsewhere


def test_where_no_image_can_be_chosen_the_first_is_shown(backend: FakeBackend) -> None:
    backend.faults.set("refuse", "/models/fmnist")
    open_page("channels")
    assert backend.asked[0][1]["images"][0]["index"] == 0


def test_the_natural_model_chooses_the_image_so_that_all_models_show_the_same(backend: FakeBackend) -> None:
    page = open_page("channels", model="fmnist-resnet10-w16-cifs")
    assert backend.asked[0][1]["images"][0]["index"] == EXAMPLE
    assert not page.exception


def test_a_new_attack_is_made_by_the_button_and_kept_in_the_address(backend: FakeBackend) -> None:
    page = open_page("channels")
    eps = next(field for field in page.text_input if field.label == "ε")
    eps.set_value("2/255")
    attack_button(page).click()
    fine(page.run())
    assert backend.asked[-1][1]["attack"]["eps"] == "2/255"
    assert address(page, "attack.eps") == "2/255"
    assert "Not fooled." in page.success[0].value


def test_a_wrong_value_in_the_form_is_explained_and_the_old_attack_stays(backend: FakeBackend) -> None:
    page = open_page("channels")
    next(field for field in page.text_input if field.label == "ε").set_value("8/0")
    attack_button(page).click()
    fine(page.run())
    assert "fraction such as" in texts(page)
    assert backend.asked[-1][1]["attack"]["eps"] == 0.1


def test_another_attack_has_a_form_of_its_own(backend: FakeBackend) -> None:
    page = open_page("channels")
    page.selectbox(key="attack-name").select("fgsm").run()
    assert "Steps" not in [field.label for field in page.number_input]
    attack_button(page).click()
    fine(page.run())
    assert backend.asked[-1][1]["attack"]["name"] == "fgsm"
    assert address(page, "attack") == "fgsm"


def test_an_image_of_the_gallery_is_a_click_away(backend: FakeBackend) -> None:
    page = unfold(open_page("channels"), "gallery")
    page.button(key="image-3").click()
    fine(page.run())
    assert address(page, "index") == "3"
    assert backend.asked[-1][1]["images"] == [{"dataset": "fashion_mnist_mini", "index": 3, "split": "test"}]


def test_the_gallery_can_be_filtered_by_class() -> None:
    page = unfold(open_page("channels"), "gallery")
    page.selectbox(key="gallery-class").select("Bag").run()
    fine(page)
    shown = [button.key for button in page.button if str(button.key).startswith("image-")]
    assert shown == [f"image-{index}" for index in (1, 11, 21, 31, 41, 51)]
    assert address(page, "gallery-class") == "Bag"
    assert next(button.label for button in page.button if button.key == "image-1").startswith(
        "![Bag, image](data:image"
    )


def test_a_page_of_the_gallery_is_kept_in_the_address() -> None:
    page = unfold(open_page("channels", **{"gallery-page": "2"}), "gallery")
    assert page.get("pagination")[0].value == 2
    assert next(b.key for b in page.button if str(b.key).startswith("image-")) == "image-24"


def test_the_gallery_is_not_drawn_while_it_is_shut() -> None:
    assert not [b for b in open_page("channels").button if str(b.key).startswith("image-")]


def test_an_upload_takes_the_place_of_the_gallerys_image(backend: FakeBackend) -> None:
    page = open_page("channels", dataset="upload")
    file = base64.b64decode(png(pixels(5)))
    page.file_uploader(key="upload-file").upload("mine.png", file, "image/png").run()
    page.selectbox(key="upload-label").select(4).run()
    fine(page)
    assert backend.asked[-1][1]["images"] == [{"png": png(pixels(5)), "label": 4}]


def test_a_channel_can_be_picked_and_its_maps_are_asked_for(backend: FakeBackend) -> None:
    page = open_page("channels")
    page.selectbox(key="channel").select(5).run()
    fine(page)
    assert backend.asked[-1][0] == "/channels/maps"
    assert backend.asked[-1][1]["channels"] == [5]
    assert address(page, "channel") == "5"


def test_a_stale_address_falls_back_and_heals() -> None:
    page = fine(open_page("channels", model="gone", layer="layer9", index="999", attack="nope", view="?", channel="x"))
    assert len(page.toast) == 6
    assert (address(page, "layer"), address(page, "index"), address(page, "attack")) == (None, None, None)
    assert page.selectbox(key="layer").value == "layer4.0"
    page.run()
    assert not page.toast


def test_an_address_reproduces_the_page(backend: FakeBackend) -> None:
    link = {
        "model": "fmnist-resnet10-w16-vanilla",
        "layer": "layer3.0",
        "index": "7",
        "attack.eps": "4/255",
        "target": "3",
    }
    fine(open_page("channels", **link))
    asked = next(body for path, body in backend.asked if path == "/channels")
    assert (asked["model"], asked["layer"], asked["images"][0]["index"]) == (link["model"], "layer3.0", 7)
    assert (asked["attack"]["eps"], asked["target"]) == ("4/255", 3)


def test_damping_edits_the_channels_and_the_control_stands_beside_the_claim(backend: FakeBackend) -> None:
    page = open_page("channels", view="damp channels")
    assert "is taken for **Ankle boot**, as it should be. The control: " in texts(page)
    assert "right in **3 of 20 draws**. So it matters which channels." in texts(page)
    page.slider(key="damping").set_value(0.5).run()
    fine(page)
    path, body = backend.asked[-1]
    assert path == "/channels/what-if"
    (scaling,) = body["scalings"]
    assert (scaling["layer"], scaling["factor"], body["controls"]) == ("layer4.0", 0.5, 20)
    assert address(page, "damping") == "0.5"
    assert "not Ankle boot: here this does not undo the attack" in texts(page)
    assert "adversarial image" in texts(page)


def test_the_experiment_of_an_address_is_the_one_shown() -> None:
    page = fine(open_page("channels", view="damp channels", experiment="keep the most relevant only", **SHARE))
    assert page.slider(key="kept-share").value == 20
    assert "With 102 of 128 channels held back" in texts(page)


SHARE = {"kept-share": "20"}


def test_a_plain_layer_says_that_it_has_no_importance() -> None:
    assert "plain layer" in texts(open_page("channels", view="importance"))


def test_how_much_of_an_nr_channel_is_left_is_not_promised_but_depends_on_the_parameter() -> None:
    assert "is left where *g* is negative depends on T or α" in texts(fine(open_page("imgf")))


def test_the_what_if_imgf_is_sent_with_its_sliders(backend: FakeBackend) -> None:
    page = open_page("imgf", imgf="softplus")
    page.select_slider[0].set_value(50.0).run()
    fine(page)
    assert backend.asked[-1][1]["imgf"] == {"name": "softplus", "alpha": 50.0}
    assert address(page, "imgf.alpha") == "50.0"


def test_a_cifs_layer_starts_with_its_own_imgf(backend: FakeBackend) -> None:
    fine(open_page("imgf", model="fmnist-resnet10-w16-cifs"))
    assert "imgf" not in backend.asked[-1][1]


def test_figures_1_and_2_show_frequency_and_the_claim_as_a_number() -> None:
    page = fine(open_page("classes", group=FASHION, **{"class": "1"}))
    assert "NR over-activation +0.15 [+0.14, +0.17]" in texts(page)
    assert "in units of activation" in texts(page)
    vanilla = "Right on 70.1% of 10,000 images of all classes under its strongest PGD-20. "
    shown = "Shown: 1,000 test images of Trouser, natural and under PGD-20, ε = 0.1"
    assert vanilla + f"{shown}.\n" in texts(page)
    assert f"{shown}, β = 2.\n" in texts(page)  # of CAS and CIFS, the only ones that have probes
    assert "`cifs statistics fmnist-resnet10-w16-cas`" in texts(page)
    assert shifts_drawn(page) == pytest.approx([30, 6, 6])
    page.segmented_control(key="shift-of").select("all classes").run()
    assert shifts_drawn(fine(page)) == pytest.approx([15, 3, 3])
    page.segmented_control(key="quantity").select("frequency").run()
    assert "exceeds 1 %" in texts(fine(page))
    first = next(iter(charts(page).values()))
    assert first["layout"]["yaxis"]["title"]["text"] == "frequency"
    assert first["layout"]["yaxis"]["range"] == pytest.approx([0, 1.12 * 0.5])


def test_figure_1_begins_with_the_class_it_shows_most_on_and_says_so() -> None:
    page = fine(open_page("classes", group=FASHION))
    assert page.selectbox(key="class").value == PARTED
    assert f"**{CLASSES[PARTED]}** is shown first: of the 10 classes the one whose NR and PR channels" in texts(page)
    page.selectbox(key="class").select(1).run()
    assert "is shown first" not in texts(fine(page))
    assert "on images of **Trouser** changes by **" in texts(page)


def test_what_an_attack_does_to_the_image_s_class_is_a_view_of_its_channels() -> None:
    page = fine(open_page("channels", view="its whole class", index="0"))
    assert f"What PGD does to all images of {CLASSES[9]}" in texts(page)
    natural, vanilla = [chart for key, chart in charts(page).items() if key.startswith(("natural", "vanilla"))]
    assert natural["layout"]["yaxis"]["range"] == vanilla["layout"]["yaxis"]["range"]
    assert texts(page).count("channels drawn at random: ") == 2


def test_charts_of_one_comparison_have_the_same_axes() -> None:
    *models, _ = charts(fine(open_page("classes", group=FASHION))).values()
    assert len(models) == 4
    for axis in ("yaxis", "yaxis2"):
        assert len({tuple(chart["layout"][axis]["range"]) for chart in models}) == 1


def shifts_drawn(page: AppTest) -> list[float]:
    return list(charts(page).values())[-1]["data"][0]["x"]


def test_the_strongest_attack_is_underlined_and_three_downloads_are_offered() -> None:
    page = fine(open_page("robustness"))
    html = page.get("html")[0].proto.body
    assert "<u>71.01</u>" in html
    assert [button.label for button in page.get("download_button")] == ["CSV", "Markdown", "LaTeX"]


FASHION = "fashion_mnist, resnet10, width 16, ε = 0.1"
CIFAR = "cifar10, resnet18, width 16, ε = 8/255"


def test_what_each_stage_of_autoattack_left_is_shown_with_the_remarks_on_it() -> None:
    page = fine(open_page("robustness", group=FASHION))
    assert not page.dataframe  # what is closed is not written
    page.session_state["details-fmnist-resnet10-w16-natural"] = True
    fine(page.run())
    stages = [frame.value for frame in page.dataframe if "stage" in frame.value]
    assert [frame.to_dict("records") for frame in stages] == [
        [{"stage": "square", "through_mask": False, "correct": 412, "remarks": "looks randomised"}]
    ]
    assert "the first 1,000 images" in texts(page)


def test_networks_of_another_kind_never_share_a_table() -> None:
    page = fine(open_page("robustness"))
    assert page.selectbox(key="group").options == [FASHION, CIFAR]  # first what has images at hand
    assert "paper, poster" not in page.get("html")[0].proto.body
    page.selectbox(key="group").select(CIFAR).run()
    assert address(page, "group") == CIFAR
    shown = fine(page).get("html")[0].proto.body
    assert "paper, poster (width 64, 120 epochs: the last, ckp_119.pt)" in shown
    assert "paper, poster (width 64, 120 epochs: which is not said)" in shown
    assert "measured here (width 16, epoch 30 of 30, best on validation images, n = 10,000)" in shown


def test_no_accuracy_under_attack_is_told_to_be_more_than_an_upper_bound() -> None:
    said = texts(fine(open_page("robustness", group=FASHION)))
    assert "Every accuracy under attack is an upper bound" in said
    assert "was not run on CAS." in said


def test_a_part_of_autoattack_is_told_to_be_one_in_every_view_that_shows_it() -> None:
    assert "n = 1,000, SQUARE only" in fine(open_page("robustness", group=FASHION)).get("html")[0].proto.body
    assert "+ AutoAttack on the first 1,000 (SQUARE only)" in texts(open_page("robustness", show="bars", group=FASHION))
    difference = texts(fine(open_page("robustness", show="difference", group=FASHION)))
    assert "under “+ AutoAttack (SQUARE only)” (10,000 images" in difference
    assert "attacks models with importance maps twice" in difference


def test_the_papers_margin_is_drawn_beside_ours_where_it_has_one() -> None:
    found = {group: margin_drawn(group) for group in (CIFAR, FASHION)}
    assert list(map(len, found.values())) == [2, 1]
    diamonds, _ = found[CIFAR]
    assert diamonds["y"][2] == pytest.approx(100 * (0.7240 - 0.7012))


def margin_drawn(group: str) -> list[Any]:
    return next(iter(charts(fine(open_page("robustness", show="difference", group=group))).values()))["data"]


def test_the_network_chosen_on_one_page_is_that_of_the_other() -> None:
    page = fine(open_app())
    for group in (CIFAR, FASHION):
        page.switch_page("app_pages/robustness.py").run()
        page.selectbox(key="group").select(group).run()
        page.switch_page("app_pages/classes.py").run()
        assert fine(page).selectbox(key="statistics-of").value == group.rpartition(", ")[0]
    page.selectbox(key="statistics-of").select(CIFAR.rpartition(", ")[0]).run()
    page.switch_page("app_pages/robustness.py").run()
    assert fine(page).selectbox(key="group").value == address(page, "group") == CIFAR


def test_an_address_that_names_the_network_of_the_class_means_still_shows_it() -> None:
    link = {"statistics-of": "fashion_mnist, resnet10, width 16", "group": CIFAR}
    page = fine(open_page("classes", **link))
    assert page.selectbox(key="statistics-of").value == link["statistics-of"]
    assert not page.toast


def test_a_crowded_layer_has_the_page_s_whole_width() -> None:
    found = Client().channel_statistics("fmnist-resnet10-w16-cifs", class_index=1)
    assert charts_abreast({"some": found}) == 2
    wide = found.natural.model_copy(update={"activation": 512 * [1.0]})
    assert charts_abreast({"some": found, "wide": found.model_copy(update={"natural": wide})}) == 1


def test_steps_too_few_to_reach_the_budget_are_told() -> None:
    said = texts(fine(open_page("robustness", show="against ε and steps", group=FASHION)))
    assert "fewer than 10 steps cannot reach ε" in said


def test_cifs_is_compared_with_vanilla_of_its_group_in_plain_words() -> None:
    page = fine(open_page("robustness", show="difference", group=FASHION))
    assert [page.selectbox(key=key).value for key in ("first", "second")] == [
        f"fmnist-resnet10-w16-{method}" for method in ("cifs", "vanilla")
    ]
    assert "**CIFS-softmax is more robust than Vanilla AT** under “PGD-100” (10,000 images" in texts(page)
    assert "first 500 images if the first model's attacker knew this setting alone" in texts(page)
    page.selectbox(key="first").select("fmnist-resnet10-w16-vanilla").run()
    assert "knew this setting alone" not in texts(page)
    assert fine(page).selectbox(key="second").value != "fmnist-resnet10-w16-vanilla"


@pytest.mark.parametrize("view", ["against ε and steps", "by class"])
def test_what_an_older_file_lacks_is_told_with_the_command_that_measures_it(view: str) -> None:
    page = fine(open_page("robustness", show=view, group=FASHION))
    assert "`cifs evaluate fmnist-resnet10-w16-cas" in texts(page)
    assert "cifs evaluate fmnist-resnet10-w16-cifs" not in texts(page)
    assert charts(page)


def test_checks_are_told_by_a_symbol_and_a_word() -> None:
    said = texts(fine(open_page("robustness", show="checks", group=FASHION)))
    assert ":red[:material/cancel: **fail**]\u2003**Check square:** square: found" in said
    assert ":gray[:material/remove: does not apply]\u2003**Check through_mask:**" in said
    assert "`cifs check fmnist-resnet10-w16-cas`" in said
    assert said.count("The first 300 test images, ε = 0.1") == 3
    assert "no difference beyond chance was found (McNemar, 5 %)" in said


FAULTS: dict[Fault, str] = {
    "busy": "queue is full",
    "refuse": "at most 1",
    "fail": "HTTP status 500",
    "garbage": "not what the contract says",
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_backend_in_trouble_is_a_message_and_a_retry(backend: FakeBackend, name: str, fault: Fault) -> None:
    backend.faults.set(fault)
    page = fine(open_page(name))
    assert FAULTS[fault] in texts(page)
    backend.faults.set(None)
    next(button for button in page.button if button.label == "Retry").click()
    fine(page.run())
    assert FAULTS[fault] not in texts(page)


@pytest.mark.parametrize("path", ["/attack", "/channels", "/channels/maps", "/datasets", "/attacks", "/models"])
def test_one_endpoint_in_trouble_leaves_the_rest_of_the_page(backend: FakeBackend, path: str) -> None:
    backend.faults.set("refuse", path)
    page = fine(open_page("channels"))
    assert texts(page).count("at most 1") == 1
    assert [button for button in page.button if button.label == "Retry"]


@pytest.mark.parametrize("name", PAGES)
def test_a_backend_that_is_down_is_a_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFS_BACKEND_URL", "http://127.0.0.1:9")
    assert "Nothing answers at http://127.0.0.1:9" in texts(fine(open_page(name)))


def test_a_backend_that_is_slow_is_a_message(backend: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFS_BACKEND_TIMEOUT", "0.3")
    backend.faults.set("slow")
    assert "within 0.3 seconds" in texts(fine(open_page("channels")))
