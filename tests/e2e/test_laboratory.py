"""The laboratory and the lesson in a real browser, on the real backend and the embedded models."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_dashboard import assert_healthy, settle

pytestmark = pytest.mark.e2e

WIDE, NARROW = {"width": 1366, "height": 768}, {"width": 390, "height": 844}


OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    wider: int = page.evaluate(OVERFLOW)
    return wider


def test_the_circuit_of_a_real_failure_brings_the_label_back(dashboard: str, page: Page, screenshots: Path) -> None:
    page.set_viewport_size(WIDE)
    page.goto(f"{dashboard}/laboratory?index=34&ask=circuit")
    expect(page.get_by_text("given their natural activations, bring Bag back.")).to_be_visible()
    expect(page.get_by_text("Of random sets of the same size, 0% do the same.")).to_be_visible()
    page.wait_for_selector(".st-key-patch-curves .js-plotly-plot")
    with page.expect_download() as download:
        page.get_by_role("button", name="The circuit as JSON").click()
    assert '"direction": "restore"' in download.value.path().read_text()
    assert_healthy(page)
    page.screenshot(path=screenshots / "circuit.png")


def test_the_whole_analysis_is_one_page_that_opens_without_a_network(
    dashboard: str, page: Page, tmp_path: Path
) -> None:
    page.set_viewport_size(WIDE)
    page.goto(f"{dashboard}/laboratory?index=34")
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="All of it as one page").click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    download.value.save_as(tmp_path / "page.html")  # a browser goes by the name's ending
    page.goto((tmp_path / "page.html").as_uri())
    expect(page.get_by_role("heading", level=1)).to_contain_text("Bag (")
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 5")
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    page.set_viewport_size(NARROW)
    page.wait_for_function(f"{OVERFLOW} <= 0")  # figures follow the window a little later


def test_a_cifar_model_opens_with_a_drawing_that_is_flipped(dashboard: str, page: Page, screenshots: Path) -> None:
    page.set_viewport_size(WIDE)
    page.goto(f"{dashboard}/?model=cifar10-resnet18-w16-cifs-softmax&dataset=cifar10_drawn")
    expect(page.get_by_text("Fooled.", exact=True)).to_be_visible()
    expect(page.get_by_text("a drawing, no test image").first).to_be_visible()
    settle(page)
    assert_healthy(page)
    page.screenshot(path=screenshots / "drawn.png")


def test_a_film_plays_without_the_server(dashboard: str, page: Page) -> None:
    page.set_viewport_size(WIDE)
    page.goto(f"{dashboard}/laboratory?index=34&ask=film")
    expect(page.get_by_text("Bag falls at step 2 of 20")).to_be_visible()
    page.wait_for_selector(".st-key-film .js-plotly-plot")
    shown = "document.querySelector('.st-key-film .js-plotly-plot')._fullData[3].x[0]"
    assert page.evaluate(shown) == 20
    settle(page)
    page.locator(".st-key-film .slider-rail-touch-rect").click(position={"x": 2, "y": 5}, force=True)
    page.wait_for_function(f"{shown} === 0")
    assert_healthy(page)


def test_every_question_is_answered_beside_its_control(dashboard: str, page: Page) -> None:
    page.set_viewport_size(WIDE)
    page.goto(f"{dashboard}/laboratory?index=34&ask=by hand&edit=all PR channels")
    expect(page.get_by_text("With all PR channels of layer4.0 × 0, the attacked image is taken for")).to_be_visible()
    expect(page.get_by_text(re.compile(r"On random channels .* of 20 draws"))).to_be_visible()
    page.get_by_role("radio", name="attack the edited network again").click()
    expect(page.get_by_text(re.compile("Attacked again, "))).to_be_visible()
    assert "then=attack" in page.url
    ask = page.get_by_role("radiogroup", name="Ask", exact=True)
    ask.get_by_text("who carried it", exact=True).click()
    expect(page.get_by_text(re.compile(r"The margin of .* over Bag rose from "))).to_be_visible()
    said = page.get_by_text(re.compile("The margin of .* over Bag")).inner_text()
    before, after, nr, pr = (float(n) for n in re.findall(r"[+-]\d+\.\d+", said)[:4])
    assert nr + pr == pytest.approx(after - before, abs=0.021)  # of four rounded figures
    ask.get_by_text("relevance", exact=True).click()
    expect(page.get_by_text("agrees best with ablation: rank correlation")).to_be_visible(timeout=60_000)
    page.wait_for_selector(".st-key-faithfulness .js-plotly-plot")
    ask.get_by_text("saliency", exact=True).click()
    for key in ("grad-cam", "gradients"):
        page.wait_for_selector(f".st-key-{key} .js-plotly-plot")
        axis = f"document.querySelector('.st-key-{key} .js-plotly-plot').layout.coloraxis"
        least, most = page.evaluate(f"[{axis}.cmin, {axis}.cmax]")
        assert least < most  # one scale for both
    settle(page)
    assert_healthy(page)


ANSWERS = {
    1: ("Trouser",),
    2: ("for it",),
    3: (),
    4: (),
    5: ("it comes back", "it withstands"),
    6: ("right",),
    7: ("Natural",),
}


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_lesson_can_be_walked_through(dashboard: str, page: Page, screenshots: Path, size: dict[str, int]) -> None:
    page.set_viewport_size(size)  # type: ignore[arg-type]
    page.goto(f"{dashboard}/lesson")
    for step, answers in ANSWERS.items():
        expect(page.get_by_role("heading", level=2)).to_contain_text(f"{step}. ")
        settle(page)
        for answer in answers:
            page.get_by_test_id("stRadio").get_by_text(answer, exact=True).click()
            settle(page)
        page.get_by_role("button", name="Show me").click()
        expect(page.get_by_text("s you said:")).to_have_count(2 if step == 5 else 1)
        settle(page)
        page.wait_for_selector(".js-plotly-plot")
        assert_healthy(page)
        assert overflow(page) <= 0
        page.screenshot(path=screenshots / f"lesson-{step}-{size['width']}.png")
        if step < len(ANSWERS):
            page.get_by_role("button", name="Next").click()
    assert "shown=1%2C2%2C3%2C4%2C5%2C6%2C7" in page.url  # the address holds it all: the same view opens anew
    page.goto(page.url)
    expect(page.get_by_text("s you said:")).to_have_count(1)
