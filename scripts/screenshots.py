"""Pictures of every page of a running dashboard, to be looked at: `python scripts/screenshots.py URL FOLDER [PAGE …]`.

A page is named as in its address, choices included (`robustness?show=bars`); without one, all of them are taken.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

PAGES = ("", "laboratory", "images", "lesson", "classes", "imgf", "robustness", "studies", "train", "jobs", "models")
LOOKS = {"light": (1366, 768, "light"), "dark": (1366, 768, "dark"), "phone": (390, 844, "light")}
PATIENCE = 120_000  # milliseconds; longer than any question of a page takes
TALLEST = 9000  # pixels of a picture


def settle(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=PATIENCE)
    for waiting in ("stSpinner", "stSkeleton"):
        expect(page.get_by_test_id(waiting)).to_have_count(0, timeout=PATIENCE)
    page.wait_for_timeout(1000)  # charts are drawn a little later


def pictures(browser: Browser, url: str, address: str) -> Iterator[tuple[str, bytes]]:
    """The whole page in every look: Streamlit scrolls inside, so the window is made as tall as the page."""
    for look, (width, height, scheme) in LOOKS.items():
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(f"{url}/{address}")
        settle(page)
        tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": width, "height": min(max(tall, height), TALLEST)})
        settle(page)
        yield look, page.screenshot()
        page.close()


def main(url: str, folder: Path, addresses: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox"])
        for address in addresses:
            name = "".join(c if c.isalnum() else "-" for c in address) or "channels"
            for look, picture in pictures(browser, url, address):
                (folder / f"{name}-{look}.png").write_bytes(picture)
                print(f"{name}-{look}.png", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or PAGES)
