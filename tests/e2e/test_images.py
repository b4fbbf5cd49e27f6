"""Many images at once in a real browser, on the real backend."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_dashboard import MODEL, assert_healthy, settle
from tests.e2e.test_laboratory import WIDE, overflow

pytestmark = pytest.mark.e2e


def test_an_image_of_many_opens_in_the_laboratory_and_back_goes_back(
    dashboard: str, page: Page, screenshots: Path
) -> None:
    page.set_viewport_size(WIDE)
    page.goto(f"{dashboard}/images?model={MODEL}&n-images=16&fate=flipped")
    expect(page.get_by_text("The control, noise as large in every pixel")).to_be_visible(timeout=90_000)
    settle(page)
    page.screenshot(path=screenshots / "images.png")
    tile = page.locator("[class*='st-key-open-'] button").first
    alt = tile.locator("img").get_attribute("alt") or ""
    image = alt.split(",")[0].removeprefix("image ")
    tile.click()
    expect(page.get_by_role("heading", name="Which channels carried this failure?")).to_be_visible()
    page.wait_for_url(f"**/laboratory?*index={image}*")
    settle(page)
    assert_healthy(page)
    page.go_back()
    expect(page.get_by_role("heading", name="Which images does the attack flip?")).to_be_visible()
    settle(page)
    assert "fate=flipped" in page.url
    assert tile.locator("img").get_attribute("alt") == alt
    page.get_by_role("radio", name="channels").click()
    page.wait_for_selector(".st-key-change .js-plotly-plot")
    expect(page.get_by_text("of NR channels (by")).to_be_visible()
    assert overflow(page) <= 0
    assert_healthy(page)


def test_models_stand_side_by_side(dashboard: str, page: Page, screenshots: Path) -> None:
    page.set_viewport_size(WIDE)
    page.goto(f"{dashboard}/laboratory?model={MODEL}&index=34&ask=models&models={MODEL},fmnist-resnet10-w16-vanilla")
    chart = ".st-key-channels-of-{} .js-plotly-plot"
    ranges = []
    for model in (MODEL, "fmnist-resnet10-w16-vanilla"):
        page.wait_for_selector(chart.format(model), timeout=90_000)
        ranges.append(page.evaluate(f"document.querySelector('{chart.format(model)}').layout.yaxis.range"))
    assert ranges[0] == ranges[1]
    settle(page)
    page.screenshot(path=screenshots / "models.png")
    page.get_by_role("radio", name="transfer").click()
    expect(page.get_by_text("fools 0 of 1 other models")).to_be_visible()
    assert "compare=transfer" in page.url
    assert_healthy(page)
