"""The laboratory's views against the fake backend: the answer first, made of its numbers; choices in the address."""

import json
import shlex
from typing import Any

import pytest

from tests.frontend.fake_backend import FakeBackend
from tests.frontend.test_pages import address, charts, fine, open_page, texts

VIEWS = (
    "who carried it", "circuit", "by hand", "film", "a channel", "relevance", "saliency", "models",
)  # fmt: skip
ALL = ["stem", "layer1.0", "layer2.0", "layer3.0", "layer4.0"]

pytestmark = pytest.mark.usefixtures("backend")


def asked(backend: FakeBackend, path: str) -> dict[str, Any]:
    """The last request for a path."""
    body: dict[str, Any] = next(body for where, body in reversed(backend.asked) if where == path)
    return body


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("method", ["natural", "cifs"])
def test_every_view_of_the_laboratory_opens(view: str, method: str) -> None:
    page = fine(open_page("laboratory", ask=view, model=f"fmnist-resnet10-w16-{method}", layer="layer3.0"))
    assert not [button for button in page.button if button.label == "Retry"]


def test_the_margins_parts_are_said_and_drawn() -> None:
    page = fine(open_page("laboratory", index="1", layer="layer4.0"))
    assert "The margin of **Trouser**" not in texts(page)  # names are the model's own: class 8 is a Bag, its rival is 0
    assert "The margin of **T-shirt/top** over **Bag**" in texts(page)
    assert "exactly its weight difference" in texts(page)
    bars = charts(page)["waterfall"]["data"]
    assert {trace["name"] for trace in bars} == {
        "natural margin", "PR channel", "NR channel", "all other channels", "attacked margin",
    }  # fmt: skip


def test_at_an_inner_layer_the_integrals_error_is_said() -> None:
    assert "The parts miss the change by 0.02" in texts(fine(open_page("laboratory", layer="layer2.0")))


def test_what_importance_maps_did_is_said() -> None:
    page = fine(open_page("laboratory", layer="layer3.0", model="fmnist-resnet10-w16-cifs"))
    assert "the importance map of layer4.0 +0.25" in texts(page)


def test_a_circuit_is_said_with_its_control_and_can_be_taken_away(backend: FakeBackend) -> None:
    page = fine(open_page("laboratory", ask="circuit", index="1"))
    assert "**3 channels of 128** (layer4.0), given their natural activations, bring **Bag** back." in texts(page)
    assert "Of random sets of the same size, **5%** do the same." in texts(page)
    assert list(page.table[0].value["kind"]) == ["PR", "NR", "NR"]
    button = next(b for b in page.get("download_button") if b.proto.label == "The circuit as JSON")
    assert button.proto.url.endswith(".json")
    page.segmented_control(key="circuit-layers").select("all layers").run()
    assert asked(backend, "/channels/circuit")["layers"] == ALL
    page.segmented_control(key="circuit-direction").select("break").run()
    fine(page)
    assert asked(backend, "/channels/circuit")["direction"] == "break"
    assert "given their attacked activations, turn Bag into" in texts(page)


def test_an_edit_by_hand_is_asked_with_a_control_and_attacked_again_on_demand(backend: FakeBackend) -> None:
    page = fine(open_page("laboratory", ask="by hand", index="1"))
    request = asked(backend, "/channels/what-if")
    assert request["scalings"] == [{"layer": "layer4.0", "channels": "NR", "factor": 0.0}]
    assert (request["again"], request["controls"]) == (False, 20)
    assert "in **3 of 20** draws" in texts(page)
    assert "did the old attack only miss?" in texts(page)
    page.segmented_control(key="then").select("attack the edited network again").run()
    fine(page)
    assert asked(backend, "/channels/what-if")["again"]
    assert "**Attacked again, the edited network falls**" in texts(page)
    assert len(json.dumps(charts(page)["adversarial"])) > 0


def test_channels_of_the_readers_choice_are_edited_and_wrong_ones_are_named(backend: FakeBackend) -> None:
    page = fine(open_page("laboratory", ask="by hand", edit="channels of my choice", edited="5, 3", factor="0.5"))
    assert asked(backend, "/channels/what-if")["scalings"][0] == {
        "layer": "layer4.0", "channels": [3, 5], "factor": 0.5,
    }  # fmt: skip
    page.text_input[0].set_value("500").run()
    fine(page)
    assert "whole numbers from 0 to 127" in texts(page)
    assert "Name at least one channel." in texts(page)


def test_another_imgf_is_asked_where_relevance_is_known(backend: FakeBackend) -> None:
    address = {"ask": "by hand", "edit": "another IMGF"}
    page = fine(open_page("laboratory", **address, **{"what-if-imgf": "softplus", "what-if-imgf.alpha": "5.0"}))
    assert asked(backend, "/channels/what-if")["reselections"] == [
        {"layer": "layer4.0", "imgf": {"name": "softplus", "alpha": 5.0}, "k": 2}
    ]
    assert "With softplus (alpha = 5.0), k = 2, at layer4.0" in texts(page)
    page = fine(open_page("laboratory", **address, layer="layer2.0"))
    assert "layer2.0 has no probe to assess relevance with" in texts(page)


def test_the_film_says_when_the_label_falls_and_plays_without_asking_again() -> None:
    page = fine(open_page("laboratory", ask="film", index="1"))
    assert "**Bag** falls at step **4** of 20" in texts(page)
    assert "furthest from the natural one's path at **layer4.0**" in texts(page)
    film = charts(page)["film"]
    assert len(film["frames"]) == 21
    assert [button["label"] for button in film["layout"]["updatemenus"][0]["buttons"]] == ["▶ play", "❚❚ pause"]


def test_the_transfer_matrix_compares_models_of_one_network(backend: FakeBackend) -> None:
    page = fine(open_page("laboratory", ask="models", compare="transfer"))
    assert asked(backend, "/attack/transfer")["models"] == [
        f"fmnist-resnet10-w16-{method}" for method in ("natural", "vanilla", "cas", "cifs")
    ]
    assert "fools **0 of 3** other models" in texts(page)


def test_models_stand_side_by_side_on_the_same_axes(backend: FakeBackend) -> None:
    page = fine(open_page("laboratory", ask="models", models="fmnist-resnet10-w16-cifs,fmnist-resnet10-w16-natural"))
    of = [body["model"] for where, body in backend.asked if where == "/channels"]
    assert of == ["fmnist-resnet10-w16-cifs", "fmnist-resnet10-w16-natural"]
    ranges = [figure["layout"]["yaxis"]["range"] for figure in charts(page).values()]
    assert len(ranges) == 2
    assert ranges[0] == ranges[1]
    assert texts(page).count("All channels, the control:") == 2
    page.segmented_control(key="compare").select("margin").run()
    spans = [figure["layout"]["xaxis"]["range"] for figure in charts(fine(page)).values()]
    assert len(spans) == 2
    assert spans[0] == spans[1]
    page.multiselect[0].set_value(["fmnist-resnet10-w16-cas"]).run()
    assert "Choose at least two models." in texts(fine(page))
    assert address(page, "models") == "fmnist-resnet10-w16-cas"


def test_a_view_that_fails_offers_a_retry_and_leaves_the_rest(backend: FakeBackend) -> None:
    backend.faults.set("busy", "/channels/circuit")
    page = fine(open_page("laboratory", ask="circuit"))
    assert [button.label for button in page.button if button.label == "Retry"] == ["Retry"]
    backend.faults.set(None)
    next(button for button in page.button if button.label == "Retry").click().run()
    assert "bring" in texts(fine(page))


def test_a_channels_page_tells_what_it_fires_on_and_how_it_answers_to_the_attack(backend: FakeBackend) -> None:
    page = fine(open_page("laboratory", ask="a channel", **{"page-channel": "3"}, index="1"))
    said = texts(page)
    assert "channel **3** fires most on **Ankle boot**" in said
    assert "It speaks most for **Ankle boot** (+0.90) and most against T-shirt/top (-0.90)" in said
    assert "Channels that fire with it: 4 (0.90), 5 (0.50)." in said
    assert asked(backend, "/channels/response")["channels"] == [3]
    assert {"profile", "response"} <= charts(page).keys()
    boxes = "".join(element.proto.body for element in page.get("html"))
    assert 'style="top:25.00%;left:0.00%;height:50.00%;width:100.00%"' in boxes  # pixels 7 to 21 of 28


def test_beside_the_natural_exemplars_stand_the_attacked_ones_with_their_attack(backend: FakeBackend) -> None:
    page = fine(open_page("laboratory", ask="a channel", index="1"))
    assert "The same of the **attacked** images, 2 of 5 of other classes" in texts(page)  # 3 to 7, beside 0 to 5
    assert "Attacked by PGD, ε = 0.1, 20 steps" in texts(page)
    older = fine(open_page("laboratory", ask="a channel", index="1", model="fmnist-resnet10-w16-vanilla"))
    assert "attacked** images" not in texts(older)
    assert "`cifs exemplars fmnist-resnet10-w16-vanilla` looks through attacked images, too." in texts(older)


def test_without_exemplars_the_page_says_how_to_find_them(backend: FakeBackend) -> None:
    page = fine(open_page("laboratory", ask="a channel", model="fmnist-resnet10-w16-cas"))
    assert "`cifs exemplars fmnist-resnet10-w16-cas` finds them" in page.info[0].value


def test_notions_are_compared_over_many_images_with_intervals(backend: FakeBackend) -> None:
    page = fine(open_page("laboratory", ask="relevance", n="16"))
    request = asked(backend, "/channels/faithfulness")
    assert [image["index"] for image in request["images"]] == list(range(16))
    assert "attack" not in request
    said = texts(page)
    assert "**gradient × activation** agrees best with ablation: rank correlation 0.90 (0.80 to 0.95)" in said
    assert "True relevance g: 0.40 (0.30 to 0.45)" not in said
    assert "True relevance: 0.40 (0.30 to 0.45)" in said
    assert list(page.table[0].value["order of channels"])[-1] == "Random order (control)"
    page.segmented_control(key="inputs").select("attacked").run()
    assert asked(backend, "/channels/faithfulness")["attack"]["name"] == "pgd"


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "a channel"])
def test_what_a_view_asked_can_be_copied_and_asked_again(view: str, backend: FakeBackend) -> None:
    page = open_page("laboratory", ask=view, index="1")
    page.session_state[f"exports-ask-{view}"] = True
    curl, python = (element.value for element in fine(page.run()).get("code"))
    lines = [shlex.split(line) for line in curl.splitlines()]
    asked_for = backend.asked[-len(lines) :]
    assert [words[:2] for words in lines] == [["curl", f"{backend.url}{path}"] for path, _ in asked_for]
    assert [json.loads(words[-1]) for words in lines] == [body for _, body in asked_for]
    names: dict[str, Any] = {}
    exec(python, names)
    assert backend.asked[-len(lines) :] == asked_for
    assert names["answer"]["model"]
