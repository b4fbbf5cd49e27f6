"""Pages by axe-core, in both themes, wide and narrow: contrast, names, headings, alternatives; no overflow."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import servers
from tests.e2e.test_dashboard import PATIENCE, QUIET, assert_healthy, browser_path, settle

pytestmark = pytest.mark.e2e

ADDRESSES = ["", "laboratory", "lesson", "classes", "imgf"]
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    "rules": {"heading-order": {"enabled": True}},
}
WIDE, NARROW = {"width": 1366, "height": 768}, {"width": 390, "height": 844}
OVERFLOW = "document.querySelector('[data-testid=stMain]').scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.dashboard(tmp_path_factory.mktemp("accessible")) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser_path(), args=list(QUIET))
        expect.set_options(timeout=PATIENCE)
        yield opened
        opened.close()


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{violation['id']}: {' '.join(node['target'])}: {node['html'][:200]}: {node['failureSummary'][:300]}"
        for violation in found
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_can_be_read_and_used_by_everybody(dashboard: str, browser: Browser, address: str) -> None:
    for size, scheme in ((WIDE, "light"), (NARROW, "dark")):
        page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE)
        page.goto(f"{dashboard}/{address}")
        settle(page)
        assert_healthy(page)
        assert violations(page) == []
        assert page.evaluate(OVERFLOW) <= 0
        page.close()
