"""A field is read when the mouse leaves it: the button pressed next stays where it is, and ready, until released."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests import servers
from tests.e2e.test_dashboard import MODEL, settle
from tests.e2e.test_lasting import CHANNEL, visit
from tests.e2e.test_training import SMALL

pytestmark = pytest.mark.e2e


def press_slowly(page: Page, button: Locator) -> None:
    """Released no sooner than the page has answered to what was typed before."""
    button.hover()
    page.mouse.down()
    settle(page)
    page.mouse.up()


def test_attack_after_typing_a_budget(dashboard: str, page: Page) -> None:
    page.goto(f"{dashboard}/?model={MODEL}&index=0&attack.eps=0")
    expect(page.get_by_text("Not fooled.")).to_be_visible()
    settle(page)
    page.get_by_role("textbox", name="ε").fill("0.1")
    press_slowly(page, page.get_by_role("button", name="Attack", exact=True))
    expect(page.get_by_text("Fooled.", exact=True)).to_be_visible()


def test_keep_after_writing_a_note(workplace: str, browser: Browser) -> None:
    page = visit(browser, f"{workplace}/{CHANNEL}")
    settle(page)
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_text("Not kept: nothing is written.")).to_be_visible()
    page.get_by_label("Notes on channel 7 of layer4.0").fill("Soles of boots?")
    press_slowly(page, page.get_by_role("button", name="Keep", exact=True))
    expect(page.get_by_text("Kept.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("Deleted.", exact=True)).to_be_visible()
    page.context.close()


def test_start_after_changing_a_recipe(workplace: str, browser: Browser) -> None:
    page = visit(browser, f"{workplace}/train")
    settle(page)
    page.get_by_text("More overrides").click()
    page.get_by_label("One a line").fill(f"{SMALL}\nepochs=1")
    press_slowly(page, page.get_by_role("button", name="Start"))
    expect(page.locator(".stMarkdownBadge").filter(has_text=re.compile("finished"))).to_be_visible()
    page.context.close()


def test_bring_after_naming_a_model(workplace: str, browser: Browser) -> None:
    page = visit(browser, f"{workplace}/models?do=bring+a+model")
    weights, config = (
        page.locator(".stFileUploader").filter(has_text=title).locator("input[type=file]")
        for title in ("Weights", "config.json (of")
    )
    folder: Path = servers.ROOT / "checkpoints" / MODEL
    weights.set_input_files(folder / "model.safetensors")
    config.set_input_files(folder / "config.json")
    bring = page.get_by_role("button", name="Bring it")
    expect(bring).to_be_enabled()  # the weights are there
    expect(page.get_by_label("Layout of its names")).to_be_disabled()  # and the config, which says it
    settle(page)
    page.get_by_label("Name of the model").fill("brought")
    press_slowly(page, bring)
    expect(page.get_by_text("brought is here.")).to_be_visible()
    page.context.close()
