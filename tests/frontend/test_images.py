"""Many images at once against the fake backend: rows and filters by hand, and the page made of them."""

import base64
import csv
import io
from typing import Any

import plotly.graph_objects as go
import pytest

from cifs.report import printed_csv, table_of
from frontend.components.charts import with_looks_of_the_page
from frontend.many import FLIPPED, ORDERS, STOOD, WRONG, Filter, Row, chosen, table_rows, tally
from tests.frontend.dashboard import address, charts, fine, open_app, open_page, texts
from tests.frontend.fake_backend import FakeBackend, pixels, png

pytestmark = pytest.mark.usefixtures("backend")
ROWS = [
    Row(0, 7, label=1, natural=1, adversarial=2, noise=1, natural_margin=-4.0, adversarial_margin=3.0),
    Row(1, 8, label=1, natural=1, adversarial=1, noise=2, natural_margin=-9.0, adversarial_margin=-0.5),
    Row(2, 9, label=0, natural=2, adversarial=2, noise=2, natural_margin=0.5, adversarial_margin=6.0),
]


def order(page: Any) -> list[str]:
    """The numbers of the images shown, as their buttons are keyed."""
    return [b.proto.id.rsplit("open-", 1)[-1] for b in page.button if "open-" in b.proto.id]


def test_an_image_is_flipped_only_if_it_was_right_before() -> None:
    assert [row.fate for row in ROWS] == [FLIPPED, STOOD, WRONG]
    assert tally(ROWS) == (3, 2, 1, 1)


def test_rows_are_chosen_by_all_that_is_asked_and_put_in_order() -> None:
    first = next(iter(ORDERS))
    assert [row.image for row in chosen(ROWS, Filter(), first)] == [9, 7, 8]
    assert [row.image for row in chosen(ROWS, Filter(label=1), "number")] == [7, 8]
    assert chosen(ROWS, Filter(fate=FLIPPED, taken_for=2), first) == [ROWS[0]]
    assert chosen(ROWS, Filter(fate=STOOD, taken_for=2), first) == []
    moved = "moved most by the attack"
    assert [row.image for row in chosen(ROWS, Filter(), moved)] == [8, 7, 9]


def test_the_table_names_classes() -> None:
    read = list(csv.DictReader(io.StringIO(printed_csv(table_of(table_rows(ROWS, ["Bag", "Coat, long", "Shirt"]))))))
    assert read[0] == {
        "image": "7", "label": "Coat, long", "natural prediction": "Coat, long", "attacked prediction": "Shirt",
        "prediction under noise": "Coat, long", "natural margin": "-4", "attacked margin": "3", "fate": "flipped",
    }  # fmt: skip


def test_the_page_answers_first_with_its_control() -> None:
    page = fine(open_page("images"))
    assert "flips **11 of the 22 images** of 32 that Natural gets right" in texts(page)
    assert "signs by chance, flips 0." in texts(page)
    assert order(page)[:3] == ["31", "29", "28"]  # by margin under attack: the furthest gone first


def test_pictures_are_filtered_and_the_address_holds_how() -> None:
    page = open_page("images", fate="flipped", order="number")
    assert order(page)[:3] == ["1", "4", "7"]
    page.selectbox(key="of-class").select(8).run()  # the label of image 1
    assert order(fine(page)) == ["1", "31"]
    assert address(page, "of-class") == "8"
    page.selectbox(key="fate").select("stood").run()
    page.selectbox(key="taken-for").select(3).run()
    assert "No image is like this." in texts(fine(page))


def test_a_click_opens_the_image_in_the_laboratory_with_all_that_was_chosen() -> None:
    page = open_app()
    page.switch_page("app_pages/images.py").run()
    page.selectbox(key="model").select("fmnist-resnet10-w16-cifs").run()
    next(b for b in page.button if b.proto.id.endswith("open-31")).click().run()
    assert fine(page).title[0].value == "Which channels carried this failure?"
    assert (address(page, "index"), address(page, "model")) == ("31", "fmnist-resnet10-w16-cifs")


@pytest.mark.parametrize("look", ["confusion", "channels"])
def test_the_other_views_say_what_they_show_beside_the_control(look: str, backend: FakeBackend) -> None:
    page = fine(open_page("images", look=look, layer="layer3.0"))
    assert "The control, noise as large" in texts(page)
    assert backend.asked[-1][1]["layer"] == "layer3.0"
    drawn = charts(page)
    if look == "confusion":
        assert {"natural", "adversarial"} <= drawn.keys()
        assert "Right on 22 of 32." in texts(page)
    else:
        assert len(drawn["change"]["data"]) == 4


def test_more_than_is_attacked_at_once_is_a_job_or_a_command() -> None:
    page = fine(open_page("images", **{"n-images": "60"}))
    assert "`cifs survey fmnist-resnet10-w16-natural --attack pgd --data fashion_mnist_mini --n 60" in texts(page)


def test_files_are_attacked_at_once_and_one_opens_in_the_laboratory(backend: FakeBackend) -> None:
    page = open_app()
    page.session_state["files brought"] = [
        ("a.png", base64.b64decode(png(pixels(1)))), ("b.txt.png", b"x"), ("c.png", base64.b64decode(png(pixels(2)))),
    ]  # fmt: skip
    page.switch_page("app_pages/images.py").run()
    page.selectbox(key="images-of").select("files").run()
    request = next(body for where, body in reversed(backend.asked) if where == "/survey")
    assert [image["png"] for image in request["images"]] == [png(pixels(1)), png(pixels(2))]
    assert page.warning[0].value == "b.txt.png: no PNG or JPEG that can be read (UnidentifiedImageError)."
    assert sorted(order(fine(page))) == ["0", "1"]
    next(b for b in page.button if b.proto.id.endswith("open-1")).click().run()
    assert fine(page).title[0].value == "Which channels carried this failure?"
    assert backend.asked[-1][1]["images"] == [{"png": png(pixels(2))}]
    assert "Shown: c.png" in texts(page)


def test_a_colour_bar_keeps_the_place_its_figure_gives_it() -> None:
    own, none = go.Figure(layout_coloraxis_colorbar={"orientation": "h", "y": 1.07}), go.Figure()
    bars = [with_looks_of_the_page(figure)["layout"]["coloraxis"]["colorbar"] for figure in (own, none)]
    assert bars[0] == {"orientation": "h", "y": 1.07}
    assert bars[1]["len"] == 0.75
