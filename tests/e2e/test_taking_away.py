"""Every figure and table can be taken away in every format; what was asked can be asked again from elsewhere."""

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.test_dashboard import MODEL, PATIENCE, assert_healthy, settle

pytestmark = pytest.mark.e2e

EXPORTS = "Figures, tables and requests to take away"
SHOWN = f"model={MODEL}&dataset=fashion_mnist_mini&index=34"
WALKED = "step={}&shown=1%2C2%2C3%2C4%2C5%2C6%2C7"
# Addresses, and the views to choose on each by name of their control: all of them where it is named.
PAGES = {
    f"?{SHOWN}": "Look at",
    f"laboratory?{SHOWN}": "Ask",
    f"laboratory?{SHOWN}&ask=models": "Compare",
    f"images?model={MODEL}&images-of=fashion_mnist_mini&n-images=16": "Look at",
    "lesson?" + WALKED.format(1): "Step",
    "classes?statistics-of=fashion_mnist, resnet10, width 16": None,
    f"imgf?{SHOWN}": None,
    "robustness": "Look at",
    "studies": "Look at",
    "models": None,
}
# Charts and tables that lie in nothing with a key that is offered; those of a text are part of the text.
WITHOUT = """() => {
  const kinds = ".js-plotly-plot, [data-testid=stTable], [data-testid=stDataFrame], [data-testid=stHtml] table";
  const keys = (e) => e ? [...e.classList].filter(c => c.startsWith("st-key-")).concat(keys(e.parentElement)) : [];
  const offered = (key) => document.querySelector("." + key.replace("st-key-", "st-key-take-"));
  return [...document.querySelectorAll(`[data-testid=stMain] :is(${kinds})`)]
    .filter(e => e.offsetParent && !keys(e).some(offered)).map(e => keys(e).join(" ") || e.outerHTML.slice(0, 80));
}"""


def open_exports(page: Page) -> None:
    boxes = page.locator("[class*='st-key-exports-']")
    expect(boxes.first).to_be_visible()
    settle(page)
    for box in boxes.all():
        if box.locator("details").get_attribute("open") is None:
            box.get_by_text(EXPORTS).click()
        expect(box.locator("[class*='st-key-take-'], [data-testid=stCode]").first).to_be_visible()
    settle(page)


def left_out(page: Page) -> list[str]:
    """What is shown and not offered. Looked for again: the box of the view before may have been the one opened."""
    for _ in range(5):
        open_exports(page)
        if not (missing := page.evaluate(WITHOUT)):
            return []
        page.wait_for_timeout(500)
    return [str(key) for key in missing]


@pytest.mark.parametrize("address", PAGES)
def test_no_figure_and_no_table_is_without_its_files(workplace: str, browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{workplace}/{address}")
    assert left_out(page) == []
    if control := PAGES[address]:
        views = page.get_by_role("radiogroup", name=control, exact=True).get_by_role("radio")
        expect(views.nth(2)).to_be_visible()  # there are several, once the page has drawn them
        for view in views.all()[1:]:
            view.click()
            expect(view).to_be_checked()
            settle(page)
            assert left_out(page) == [], view.inner_text()
            assert_healthy(page)
    page.close()


def saved(page: Page, button: Locator, folder: Path) -> Path:
    with page.expect_download() as download:
        button.click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_files_hold_what_is_shown_and_are_named_after_it(workplace: str, browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{workplace}/laboratory?{SHOWN}&ask=circuit")
    open_exports(page)
    box = page.locator("[class*='st-key-exports-']")
    about = f"fashion_mnist_mini-34-{MODEL}-eps-0.1"
    figure, table = page.locator(".st-key-take-patch-curves"), page.locator(".st-key-take-circuit-table")
    png, svg, html = (saved(page, figure.get_by_role("button", name=name), tmp_path) for name in ("PNG", "SVG", "HTML"))
    assert {path.name for path in (png, svg, html)} == {
        f"circuit-layer4.0-{about}{path.suffix}" for path in (png, svg, html)
    }
    assert png.read_bytes().startswith(b"\x89PNG")
    drawn = ElementTree.fromstring(svg.read_text(encoding="utf-8"))
    assert "range of random orders" in " ".join(drawn.itertext())
    shown = page.locator(".st-key-patch-curves .main-svg").first.get_attribute("width")
    assert float(drawn.attrib["width"]) == pytest.approx(float(shown or 0), abs=1)
    text = saved(page, table.get_by_role("button", name="CSV"), tmp_path).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    markdown, latex = (
        saved(page, table.get_by_role("button", name=name), tmp_path).read_text() for name in ("Markdown", "LaTeX")
    )
    assert f"{len(rows)} channels of 128" in page.get_by_test_id("stMain").inner_text()
    assert all(f"| {row['channel']} | {row['kind']} |" in markdown for row in rows)
    assert all(f"& {row['channel']} & {row['kind']} &" in latex for row in rows)
    answers = [*run_curl(box), *run_python(box)]
    circuits = [[c["channel"] for c in answer["results"][0]["channels"]] for answer in answers]
    assert circuits == [[int(row["channel"]) for row in rows]] * 2
    opened = browser.new_page()
    opened.goto(html.as_uri())
    opened.wait_for_selector(".js-plotly-plot .main-svg")
    opened.close()
    page.close()


def run_curl(box: Locator) -> list[dict[str, Any]]:
    commands = box.get_by_test_id("stCode").nth(0).locator("code").inner_text()
    words = shlex.split(commands)
    return [json.loads(subprocess.run(["curl", "-s", *words[1:]], check=True, capture_output=True).stdout)]


def run_python(box: Locator) -> list[dict[str, Any]]:
    script = (
        box.get_by_test_id("stCode").nth(1).locator("code").inner_text() + "\nimport json; print(json.dumps(answer))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return [json.loads(done.stdout)]
