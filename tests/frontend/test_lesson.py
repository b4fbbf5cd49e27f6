"""The lesson against the fake backend: predict first, then see; the state of a step is a link."""

import pytest

from frontend.components.lesson.channel import clearest
from frontend.components.lesson.material import embedded
from tests.frontend.fake_backend import FakeBackend, model_info
from tests.frontend.test_pages import address, charts, fine, open_page, texts

STEPS = range(1, 8)
ANSWERS = {
    1: {"guess1": "Trouser"}, 2: {"guess2": "for it"}, 3: {"guess3": "4"}, 4: {"guess4": "60"},
    5: {"guess5a": "it comes back", "guess5b": "it withstands"}, 6: {"guess6": "right"}, 7: {"guess7": "CAS"},
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("backend")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_shows_nothing_of_the_answer_before_it_is_asked_for(step: int, backend: FakeBackend) -> None:
    page = fine(open_page("lesson", step=str(step)))
    assert page.header[0].value.startswith(f"{step}. ")
    assert not charts(page)
    assert "As you said" not in texts(page)
    assert "Not as you said" not in texts(page)


@pytest.mark.parametrize("step", STEPS)
def test_a_link_to_a_step_that_was_answered_shows_the_answer(step: int) -> None:
    page = fine(open_page("lesson", step=str(step), shown=str(step), **ANSWERS[step]))
    assert "s you said" in "\n".join(str(e.value) for kind in (page.success, page.warning) for e in kind)
    assert charts(page)
    assert not [button for button in page.button if button.label == "Retry"]


def test_who_predicted_nothing_is_not_told_to_have_been_right() -> None:
    page = fine(open_page("lesson", step="5", shown="5"))
    assert not [*page.success, *page.warning]
    assert [said.value.startswith("**You had not guessed:**") for said in page.info] == [True, True]


def test_predicting_comes_before_seeing() -> None:
    page = fine(open_page("lesson", step="2"))
    assert not [button for button in page.button if button.label == "Show me"]
    page.radio[0].set_value("against it").run()
    assert address(page, "guess2") == "against it"
    next(button for button in page.button if button.label == "Show me").click().run()
    fine(page)
    assert address(page, "shown") == "2"
    assert charts(page)


def test_the_buttons_lead_through_the_steps_and_keep_what_was_said() -> None:
    page = fine(open_page("lesson", step="2", guess2="for it", shown="2"))
    next(button for button in page.button if button.label == "Next").click().run()
    assert address(page, "step") == "3"
    assert page.header[0].value == "3. The attack"
    next(button for button in page.button if button.label == "Back").click().run()
    assert page.header[0].value.startswith("2. ")
    assert page.radio[0].value == "for it"


def test_an_estimate_is_compared_with_what_happened() -> None:
    page = fine(open_page("lesson", step="3", guess3="5", shown="3"))
    assert "it falls at step **4**" in page.success[0].value
    page = fine(open_page("lesson", step="3", guess3="15", shown="3"))
    assert "You said 15" in page.warning[0].value


def test_the_hypothesis_is_told_with_its_control_and_its_attacker() -> None:
    page = fine(open_page("lesson", step="5", shown="5", **ANSWERS[5]))
    assert "in 3 of 20 draws" in page.success[0].value
    assert "attacked anew, it says" in page.warning[0].value
    assert "only makes an old attack miss" in texts(page)


def test_the_table_counts_every_attack() -> None:
    page = fine(open_page("lesson", step="7", shown="7", guess7="Vanilla AT"))
    said = "\n".join(e.value for kind in (page.success, page.warning) for e in kind)
    assert said.index("CIFS-softmax") < said.index("Vanilla AT 69.0%") < said.index("CAS 67.1%")
    assert "in points:" in texts(page)


def test_large_type_hides_the_navigation_and_is_a_link() -> None:
    page = fine(open_page("lesson", type="teaching"))
    styles = [element.proto.body for element in page.get("html")]
    assert any(".st-key-navigation { display: none; }" in style for style in styles)


def test_without_the_embedded_networks_the_lesson_says_so(backend: FakeBackend) -> None:
    assert embedded([model_info("vanilla").model_copy(update={"dataset": "cifar10"})]) == {}


def test_of_each_method_the_smallest_network_is_taken() -> None:
    small, large = model_info("cifs"), model_info("cifs").model_copy(update={"id": "large", "parameters": 10**7})
    assert embedded([large, small]) == {"cifs": small}


def test_the_channel_asked_about_has_a_clear_winner() -> None:
    contest = clearest([[0.5, 0.1, 0.9], [0.5, 0.0, 0.1], [0.4, 0.3, 0.8]])
    assert (contest.channel, contest.winner) == (2, 0) or (contest.channel, contest.winner) == (1, 2)
    assert contest.activations[contest.winner] == max(contest.activations)
