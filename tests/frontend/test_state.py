"""An address is input: what is not there falls back, and says so when it came from outside."""

import pytest

from frontend.components.channel_view import clicked
from frontend.components.schema_form import slider_positions
from frontend.parameters import Parameter
from frontend.state import Recalled, choice, resolve, resolve_index

OPTIONS = ["stem", "layer4.0"]


def test_nothing_asked_for_is_the_default_without_a_word() -> None:
    assert resolve("layer", Recalled(None, True), OPTIONS, "stem") == ("stem", None)


def test_what_the_address_asks_for_is_shown() -> None:
    assert resolve("layer", Recalled("layer4.0", True), OPTIONS, "stem") == ("layer4.0", None)
    assert resolve("target", Recalled("3", True), ["label", 3], "label") == (3, None)


def test_a_stale_address_falls_back_with_a_notice() -> None:
    value, notice = resolve("layer", Recalled("layer9", True), OPTIONS, "stem")
    assert value == "stem"
    assert notice is not None
    assert "layer9" in notice


def test_a_choice_of_this_session_that_fits_no_more_falls_back_in_silence() -> None:
    assert resolve("layer", Recalled("layer9", False), OPTIONS, "stem") == ("stem", None)


@pytest.mark.parametrize(
    ("text", "index"), [(None, 0), ("0", 0), ("59", 59), ("60", 0), ("-1", 0), ("²", 0), ("1e3", 0)]
)
def test_an_image_index_is_a_whole_number_below_the_size(text: str | None, index: int) -> None:
    resolved = resolve_index(Recalled(text, True), 60)
    assert resolved.value == index
    assert (resolved.notice is None) == (text is None or text == str(index))


def test_parameters_without_a_value_are_not_sent() -> None:
    assert choice("pgd", {"eps": "8/255", "target": None}).model_dump() == {"name": "pgd", "eps": "8/255"}


def test_sliders_stay_inside_the_bounds_with_the_default_in_reach() -> None:
    positions = slider_positions(Parameter("alpha", "α", "", "number", 5.0, False, minimum=1.0, maximum=20.0))
    assert 5.0 in positions
    assert (min(positions) >= 1.0, max(positions) <= 20.0) == (True, True)


@pytest.mark.parametrize(
    ("points", "channel"),
    [([], None), ([{"customdata": 7}], 7), ([{"customdata": [7]}], 7), ([{"customdata": []}], None), ([{}], None)],
)
def test_a_click_on_the_chart_names_a_channel(points: list[dict[str, object]], channel: int | None) -> None:
    assert clicked({"selection": {"points": points}}) == channel
