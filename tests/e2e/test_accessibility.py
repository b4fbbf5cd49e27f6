"""Pages by axe-core, in both themes, wide and narrow: contrast, names, headings, alternatives; no overflow."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.e2e.test_dashboard import MODEL, PATIENCE, assert_healthy, settle
from tests.e2e.test_reading import CONTRAST

pytestmark = pytest.mark.e2e

ADDRESSES = [
    "", "laboratory", "images?n-images=16", "lesson", "classes", "imgf", "robustness", "studies", "train", "jobs",
    "models",
]  # fmt: skip
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    "rules": {"heading-order": {"enabled": True}},
}
WIDE, NARROW = ViewportSize(width=1366, height=768), ViewportSize(width=390, height=844)
PAPER = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
HERE = """(() => {
  const ours = a => a.getAttribute("href").split("?")[0] === location.pathname.slice(1);
  const link = Array.from(document.querySelectorAll(".st-key-navigation a")).find(ours);
  const box = link.getBoundingClientRect();
  return link.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
})()"""  # whether the link of the present page is in sight
OVERFLOW = "document.querySelector('[data-testid=stMain]').scrollWidth - window.innerWidth"


FADING = "document.getAnimations().some(a => a.playState === 'running' && a.effect.getTiming().iterations < Infinity)"


def violations(page: Page) -> list[str]:
    """What is still wrong when the page has come to rest: what fades in has not its colour yet."""
    for _ in range(3):
        page.wait_for_function(f"!{FADING}")
        found = Axe().run(page, options=RULES).response["violations"]
        if not found:
            break
        page.wait_for_timeout(1500)
        settle(page)
    return [
        f"{violation['id']}: {' '.join(node['target'])}: {node['html'][:200]}: {node['failureSummary'][:300]}"
        for violation in found
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_can_be_read_and_used_by_everybody(workplace: str, browser: Browser, address: str) -> None:
    page = browser.new_page(viewport=WIDE, color_scheme="light")
    page.set_default_timeout(PATIENCE)
    page.goto(f"{workplace}/{address}")
    running = page.get_by_test_id("stApp")  # the first page is the first question to its server
    expect(running).to_have_attribute("data-test-script-state", "notRunning", timeout=3 * PATIENCE)
    settle(page)
    assert_healthy(page)
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(NARROW)
    page.wait_for_function(f"{PAPER} !== 'rgb(255, 255, 255)'")  # it follows
    settle(page)
    assert violations(page) == []
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(HERE)
    page.close()


def test_the_present_page_is_told_from_the_others_by_its_link(dashboard: str, browser: Browser) -> None:
    page = browser.new_page(viewport=WIDE)
    page.set_default_timeout(PATIENCE)
    page.goto(f"{dashboard}/lesson")

    def assert_present(title: str) -> None:
        expect(page.locator(".st-key-navigation a[aria-current] p")).to_have_text([title])
        expect(page.get_by_role("link", name=title, exact=True)).to_have_attribute("aria-current", "page")

    settle(page)
    assert_present("Lesson")
    page.get_by_role("button", name="Next").click()  # the page runs again; its links carry another step
    settle(page)
    assert_present("Lesson")
    page.get_by_role("link", name="Channels", exact=True).click()
    page.wait_for_selector(".js-plotly-plot")
    settle(page)
    assert_present("Channels")
    page.go_back()
    settle(page)
    assert_present("Lesson")
    page.close()


def test_what_is_chosen_of_many_can_be_read(dashboard: str, browser: Browser) -> None:
    """Of the laboratory's models, in the dark."""
    page = browser.new_page(viewport=NARROW, color_scheme="dark")
    page.set_default_timeout(PATIENCE)
    page.goto(f"{dashboard}/laboratory?model={MODEL}&index=34&ask=models")
    page.wait_for_selector("[data-tag]")
    settle(page)
    assert page.evaluate(CONTRAST) == []
    page.close()


# What is drawn over any of a dense grid of points of the cells.
COVERED = """cells => cells.flatMap(cell => {
  const {x, y, width, height} = cell.getBoundingClientRect(), over = new Set();
  for (let i = 4; i < width - 4; i += 4) for (let j = 4; j < height - 4; j += 4) {
    const top = document.elementFromPoint(x + i, y + j);
    if (top && !cell.contains(top) && !top.contains(cell)) over.add(top.outerHTML);
  }
  return [...over];
})"""


def test_a_phone_shows_what_the_rows_of_a_table_are_called(dashboard: str, browser: Browser) -> None:
    page = browser.new_page(viewport=NARROW)
    page.set_default_timeout(PATIENCE)
    page.goto(f"{dashboard}/robustness")
    name = page.locator("table.robustness tbody th").first
    name.wait_for()
    box, table = name.bounding_box(), page.locator(".scrolls").first.bounding_box()
    assert box is not None
    assert table is not None
    assert box["width"] >= 144
    assert box["width"] <= table["width"] / 2  # what scrolls beside it is in sight
    page.locator(".scrolls").first.evaluate("table => table.scrollLeft = 200")
    scrolled = name.bounding_box()
    assert scrolled is not None
    assert scrolled["x"] == pytest.approx(box["x"], abs=1)
    assert page.locator("table.robustness tbody th:first-child").evaluate_all(COVERED) == []
    page.close()
