"""What a reader meets: the chart on the first screen, a phone, Back and Forward, contrast, words for pictures."""

import itertools
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_dashboard import CHART, MODEL, PATIENCE, assert_healthy, settle

pytestmark = pytest.mark.e2e
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8").partition("\n")[2]


def open_page(browser: Browser, address: str, *, width: int = 1366, height: int = 768, scheme: str = "light") -> Page:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    settle(page)
    return page


def test_back_and_forward_show_what_was_chosen(dashboard: str, browser: Browser) -> None:
    page = open_page(browser, f"{dashboard}/?index=0")
    page.wait_for_selector(CHART)
    steps = page.evaluate("history.length")
    page.get_by_role("radio", name="damp channels").click()
    page.wait_for_url("**view=damp*")
    page.get_by_role("link", name="Classes").click()
    expect(page.get_by_role("heading", name="What does an attack do to a whole class?")).to_be_visible()
    settle(page)
    assert page.evaluate("history.length") == steps + 2  # two choices, two steps; opening the page took none
    page.go_back()
    expect(page.get_by_role("radio", name="damp channels")).to_be_checked()
    page.go_back()
    expect(page.get_by_role("radio", name="every channel")).to_be_checked()
    settle(page)
    page.go_forward()
    expect(page.get_by_role("radio", name="damp channels")).to_be_checked()
    settle(page)
    assert_healthy(page)
    page.close()


def test_back_takes_back_what_a_part_of_the_page_showed_alone(dashboard: str, browser: Browser) -> None:
    page = open_page(browser, f"{dashboard}/?index=0")
    for view in ("importance", "damp channels"):
        page.get_by_role("radio", name=view).click()
        page.wait_for_url(f"**view={view[:4]}*")
    for view in ("importance", "every channel"):  # at once: while the last one is still being shown
        page.go_back()
        expect(page.get_by_role("radio", name=view)).to_be_checked()
    settle(page)
    assert "view" not in page.url
    page.go_forward()
    page.go_forward()  # two steps, quickly
    expect(page.get_by_role("radio", name="damp channels")).to_be_checked()
    settle(page)
    assert "view=damp" in page.url
    assert_healthy(page)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_shows_the_channels_and_can_be_read(dashboard: str, browser: Browser, scheme: str) -> None:
    page = open_page(browser, dashboard, scheme=scheme)
    page.wait_for_selector(".st-key-maps .js-plotly-plot")
    box = page.locator(CHART).bounding_box()
    assert box is not None
    assert box["y"] < 768 - 180  # the chart begins on it, high enough to be read
    assert page.evaluate(CONTRAST) == []
    levels = page.evaluate("Array.from(document.querySelectorAll('h1,h2,h3,h4,h5,h6'), h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.evaluate("Array.from(document.images).filter(i => !i.alt).length") == 0
    page.close()


def test_a_phone_shows_both_pictures_at_once_and_the_result_of_an_attack(dashboard: str, browser: Browser) -> None:
    page = open_page(browser, dashboard, width=390, height=844)
    page.wait_for_selector(".st-key-maps .js-plotly-plot")
    for name in ("natural", "adversarial"):
        box = page.locator(f".pictures img[alt^='{name}']").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 844
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    chart = page.locator(CHART).bounding_box()
    assert chart is not None
    assert chart["y"] < 844  # begins on it, too
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebarCollapseButton").locator("button").click()  # nothing lies over it
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("textbox", name="ε").fill("0.05")
    page.get_by_role("button", name="Attack", exact=True).click()
    page.wait_for_url("**attack.eps=0.05*")
    expect(page.get_by_test_id("stExpandSidebarButton")).to_be_visible()  # the sidebar has gone out of the way
    settle(page)
    page.get_by_role("button", name="Another image").click()
    thumbnail = page.get_by_role("button", name="Trouser, image 3", exact=True)
    box = thumbnail.bounding_box()
    assert box is not None
    assert box["width"] < 100
    fit = thumbnail.locator("img").first.evaluate("image => getComputedStyle(image).objectFit")
    assert fit == "contain"  # not as small as its 28 pixels
    thumbnail.click()
    page.wait_for_url("**index=3*")
    settle(page)
    assert_healthy(page)
    page.close()


def test_a_saved_picture_is_named_after_what_it_shows(dashboard: str, browser: Browser) -> None:
    page = open_page(browser, f"{dashboard}/?model={MODEL}&dataset=fashion_mnist_mini&index=0")
    page.wait_for_selector(CHART)
    page.locator(CHART).hover()
    with page.expect_download() as download:
        page.locator(".st-key-channel-chart [data-title*='ownload']").first.click()
    assert download.value.suggested_filename == f"channels-of-layer4.0-fashion_mnist_mini-0-{MODEL}-eps-0.1.png"
    page.close()
