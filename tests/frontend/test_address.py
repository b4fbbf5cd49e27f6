"""The address: it holds what was chosen, it wins over the session, and writing it costs one step of history."""

import base64
import time

import pytest
from streamlit.testing.v1 import AppTest

from backend.schemas import ModelInfo
from frontend import state
from tests.frontend.dashboard import address, attack_button, field, fine, open_app, open_page, texts
from tests.frontend.fake_backend import FakeBackend, pixels, png

pytestmark = pytest.mark.usefixtures("backend")


def test_opening_a_page_writes_nothing_into_the_address() -> None:
    for name in ("channels", "classes", "imgf", "robustness"):
        assert dict(fine(open_page(name)).query_params) == {}


def go_to(page: AppTest, **choices: str) -> AppTest:
    """As the browser's Back and Forward do: the same session, another address. Nobody presses them at once."""
    time.sleep(state.LATE)
    page.query_params.clear()
    for key, value in choices.items():
        page.query_params[key] = value
    return fine(page.run())


def test_going_back_shows_the_view_of_that_address() -> None:
    page = open_page("channels")
    page.selectbox(key="layer").select("layer2.0").run()
    page.segmented_control(key="view").select("importance").run()
    assert (address(page, "layer"), address(page, "view")) == ("layer2.0", "importance")
    go_to(page, layer="layer2.0")
    assert page.segmented_control(key="view").value == "every channel"
    go_to(page)
    assert page.selectbox(key="layer").value == "layer4.0"
    assert "The 128 channels of layer4.0" in page.header[0].value
    go_to(page, layer="layer2.0", view="importance")
    assert (page.selectbox(key="layer").value, page.segmented_control(key="view").value) == ("layer2.0", "importance")


def test_a_second_click_before_the_browser_heard_of_the_first_loses_neither() -> None:
    page = open_page("channels")
    page.selectbox(key="layer").select("layer2.0").run()
    page.query_params.clear()  # what the browser still believes the address to be
    page.selectbox(key="model").select("fmnist-resnet10-w16-cifs").run()
    assert page.selectbox(key="layer").value == "layer2.0"
    assert (address(page, "layer"), address(page, "model")) == ("layer2.0", "fmnist-resnet10-w16-cifs")


def test_going_back_takes_the_attack_out_of_the_form_too() -> None:
    page = open_page("channels")
    page.selectbox(key="attack-name").select("fgsm").run()
    field(page, "ε").set_value("2/255").run()
    attack_button(page).click().run()
    assert address(page, "attack") == "fgsm"
    go_to(page)
    assert (page.selectbox(key="attack-name").value, field(page, "ε").value) == ("pgd", "0.1")
    assert "PGD, ε = 0.1, 20 steps" in page.error[0].value
    assert "Not applied yet" not in texts(page)


def test_going_back_takes_a_parameter_of_the_imgf_back() -> None:
    page = open_page("imgf", imgf="softplus")
    page.select_slider[0].set_value(50.0).run()
    assert address(page, "imgf.alpha") == "50.0"
    go_to(page, imgf="softplus")
    assert page.select_slider[0].value == 5.0


def test_a_change_writes_the_address_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[dict[str, str]] = []
    page = open_page("channels")
    monkeypatch.setattr(state, "_push", written.append)
    page.selectbox(key="model").select("fmnist-resnet10-w16-cifs").run()
    assert written == [{"model": "fmnist-resnet10-w16-cifs"}]


def test_a_channel_chosen_for_one_image_is_not_kept_for_another() -> None:
    page = open_page("channels", index="1")
    page.selectbox(key="channel").select(5).run()
    assert (page.selectbox(key="channel").value, address(page, "channel")) == (5, "5")
    go_to(page, index="1", channel="5")
    assert page.selectbox(key="channel").value == 5  # chosen for it
    page.session_state["gallery"] = True
    page.run()
    page.button(key="image-3").click().run()
    assert page.selectbox(key="channel").value == most_moved(page)
    assert (address(page, "index"), address(page, "channel")) == ("3", None)


def most_moved(page: AppTest) -> int:
    (option,) = [o for o in page.selectbox(key="channel").options if "moved the most" in o]
    return int(option.split()[1])


def test_an_upload_outlives_a_page_switch(backend: FakeBackend) -> None:
    page = open_app(dataset="upload")
    page.file_uploader(key="upload-file").upload("mine.png", base64.b64decode(png(pixels(5))), "image/png").run()
    page.selectbox(key="upload-label").select(4).run()
    for name in ("imgf", "channels"):
        backend.asked.clear()
        page.switch_page(f"app_pages/{name}.py").run()
        assert backend.asked == [] or backend.asked[-1][1]["images"] == [{"png": png(pixels(5)), "label": 4}]
        assert "Shown: mine.png" in texts(fine(page))


def test_links_to_other_pages_carry_what_was_chosen() -> None:
    page = open_app()
    page.selectbox(key="layer").select("layer2.0").run()
    assert {link.proto.query_string for link in page.get("page_link")} == {"layer=layer2.0"}


def test_an_old_link_to_the_class_means_leads_to_their_page() -> None:
    page = AppTest.from_file(str(open_page.__globals__["FRONTEND"] / "app.py"), default_timeout=30)
    page.switch_page("app_pages/robustness.py")
    page.query_params["show"] = "channels by class"
    assert fine(page.run()).title[0].value == "What does an attack do to a whole class?"


def test_a_model_asked_for_brings_its_data_set_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    natural, vanilla, cas, cifs = (f"fmnist-resnet10-w16-{m}" for m in ("natural", "vanilla", "cas", "cifs"))

    def two(lab: object, models: list[ModelInfo]) -> dict[str, list[ModelInfo]]:
        by_id = {model.id: model for model in models}
        return {"first": [by_id[cas]], "second": [by_id[natural], by_id[vanilla], by_id[cifs]]}

    monkeypatch.setattr("frontend.components.scene._families", two)
    page = open_page("channels", model=natural)
    page.selectbox(key="layer").select("layer2.0").run()
    assert page.selectbox(key="model").value == natural
    assert address(page, "family") == "second"
    page.selectbox(key="family").select("first").run()
    assert page.selectbox(key="model").value == cas
    assert address(fine(page), "family") is None
