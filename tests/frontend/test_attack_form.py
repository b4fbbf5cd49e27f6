"""The attack in force, the one being typed, and that a reader can tell them apart."""

import pytest

from tests.frontend.dashboard import address, attack_button, field, fine, labels, open_page, texts, unfold
from tests.frontend.fake_backend import FakeBackend

pytestmark = pytest.mark.usefixtures("backend")
CIFS = "fmnist-resnet10-w16-cifs"
VANILLA = "fmnist-resnet10-w16-vanilla"


def test_what_is_typed_and_not_applied_is_told_apart_from_what_the_page_shows(backend: FakeBackend) -> None:
    page = open_page("channels")
    assert "Not applied yet" not in texts(page)
    page.selectbox(key="attack-name").select("fgsm").run()
    assert "Not applied yet: the page shows PGD, ε = 0.1, 20 steps." in texts(fine(page))
    assert {body["attack"]["name"] for path, body in backend.asked if path == "/attack"} == {"pgd"}
    attack_button(page).click().run()
    assert "Not applied yet" not in texts(fine(page))
    assert "FGSM, ε = 0.1" in page.error[0].value


def test_another_attack_keeps_the_budget_that_was_chosen(backend: FakeBackend) -> None:
    page = open_page("channels", **{"attack.eps": "2/255"})
    page.selectbox(key="attack-name").select("fgsm").run()
    assert field(page, "ε").value == "2/255"
    attack_button(page).click().run()
    assert backend.asked[-1][1]["attack"]["eps"] == "2/255"


def test_a_budget_that_was_typed_but_not_applied_is_kept_too() -> None:
    page = open_page("channels")
    field(page, "ε").set_value("4/255").run()
    page.selectbox(key="attack-name").select("cw").run()
    assert field(fine(page), "ε").value == "4/255"


def test_a_budget_is_not_carried_into_another_norm(backend: FakeBackend) -> None:
    page = open_page("channels", **{"attack.eps": "2/255"})
    page.selectbox(key="attack-name").select("pgd_l2").run()
    assert field(page, "ε").value == "1"
    attack_button(page).click().run()
    assert "PGD_L2, ε = 1.0 (ℓ2), 20 steps" in page.error[0].value
    assert backend.asked[-1][1]["attack"]["norm"] == "l2"


@pytest.mark.parametrize(("model", "there"), [("fmnist-resnet10-w16-natural", False), (CIFS, True)])
def test_settings_of_probes_are_shown_and_sent_where_there_are_some(
    backend: FakeBackend, model: str, there: bool
) -> None:
    page = unfold(open_page("channels", model=model), "all-settings")
    assert ("β of the joint loss" in labels(page)) == there
    assert ("Differentiate through the importance map" in labels(page)) == there
    assert ("beta" in backend.asked[0][1]["attack"]) == there


def test_a_target_is_chosen_by_the_name_of_its_class_and_told_as_such(backend: FakeBackend) -> None:
    page = unfold(open_page("channels", view="the attack, step by step"), "all-settings")
    field(page, "Towards which class").select(8).run()
    attack_button(page).click().run()
    assert backend.asked[-1][1]["attack"]["target"] == 8
    assert address(page, "attack.target") == "8"
    page.session_state["all-settings"] = False
    fine(page.run())
    attack_button(page).click().run()  # closed, the target is not written, but in force
    assert backend.asked[-1][1]["attack"]["target"] == 8
    assert address(page, "attack.target") == "8"
    said = texts(fine(page))
    assert "Each step follows the gradient of the loss down." in said
    assert "the probability of Bag from" in said
    assert "towards Bag" in said


def test_an_attack_that_fails_names_those_not_tried_and_offers_the_strongest_measured(backend: FakeBackend) -> None:
    page = open_page("channels", model=VANILLA, **{"attack.eps": "0.2"})
    assert "Not fooled." in page.success[0].value
    assert "One attack that fails proves little. Not tried: FGSM, C&W under ℓ∞, PGD-ℓ2." in texts(page)
    button = page.button(key="strongest")
    assert button.label == "Try the strongest of its evaluation: CW, ε = 0.2, 30 steps"
    button.click().run()
    asked = backend.asked[-1][1]["attack"]
    assert (asked["name"], asked["eps"], asked["steps"]) == ("cw", 0.2, 30)
    assert page.selectbox(key="attack-name").value == "cw"
    assert address(fine(page), "attack") == "cw"


def test_without_an_evaluation_no_attack_is_offered_as_the_strongest(backend: FakeBackend) -> None:
    backend.faults.set("fail", "/robustness")
    page = fine(open_page("channels", model=VANILLA))
    assert "Not tried: " in texts(page)
    assert not [button for button in page.button if button.key == "strongest"]
