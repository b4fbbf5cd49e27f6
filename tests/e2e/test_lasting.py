"""The page of a channel, files that are brought, and jobs of many images: in a real browser, on a real worker."""

import csv
import io
import re
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cifs.data import load_images
from tests.e2e.test_dashboard import MODEL, assert_healthy, settle
from tests.e2e.test_taking_away import EXPORTS, WITHOUT, open_exports, saved

pytestmark = pytest.mark.e2e

PATIENCE = 90_000  # milliseconds
CHANNEL = f"laboratory?model={MODEL}&dataset=fashion_mnist_mini&index=34&ask=a channel&page-channel=7"


def visit(browser: Browser, address: str) -> Page:
    """In a profile of its own: nothing is shared with other visitors but the server."""
    page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    return page


def png(image: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((image[0] * 255).round().byte().numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_note_is_there_for_the_next_visitor_until_it_is_deleted(workplace: str, browser: Browser) -> None:
    writer = visit(browser, f"{workplace}/{CHANNEL}")
    writer.get_by_label("Notes on channel 7 of layer4.0").fill("Handles of bags?")
    writer.get_by_label("Notes on channel 7 of layer4.0").press("Control+Enter")
    writer.get_by_role("button", name="Keep", exact=True).click()
    expect(writer.get_by_text("Kept.", exact=True)).to_be_visible()
    reader = visit(browser, f"{workplace}/{CHANNEL}")
    expect(reader.get_by_label("Notes on channel 7 of layer4.0")).to_have_value("Handles of bags?")
    reader.get_by_role("button", name="Delete", exact=True).click()
    expect(reader.get_by_text("Deleted.", exact=True)).to_be_visible()
    writer.reload()
    expect(writer.get_by_label("Notes on channel 7 of layer4.0")).to_have_value("")
    assert_healthy(writer)
    writer.context.close()
    reader.context.close()


def test_the_optimised_image_drives_its_channel_more_than_the_control(workplace: str, browser: Browser) -> None:
    page = visit(browser, f"{workplace}/{CHANNEL}")
    own = page.locator("figure", has=page.locator("img[alt='image optimised for channel 7']"))
    control = page.locator("figure", has=page.locator("img[alt='image optimised for a random direction']"))
    expect(own).to_be_visible(timeout=PATIENCE)
    reached, of_control = (float(figure.inner_text().rpartition(": ")[2]) for figure in (own, control))
    assert reached > of_control
    expect(page.get_by_text(f"climbed to {reached:.3g}")).to_be_visible()
    settle(page)
    assert_healthy(page)
    page.context.close()


def test_files_of_class_folders_are_attacked_and_one_opens(workplace: str, browser: Browser, tmp_path: Path) -> None:
    x, y = load_images("fashion_mnist_mini", "test").batch(slice(4))
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for k, (image, label) in enumerate(zip(x, y.tolist(), strict=True)):
            file.writestr(f"{label}/{k}.png", png(image))
    page = visit(browser, f"{workplace}/images?model={MODEL}&images-of=files")
    page.get_by_role("button", name="Files").click()
    page.locator("input[type=file]").set_input_files([archive, __file__])
    expect(page.get_by_text("4 of 4 images.")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("[class*='st-key-open-'] button").first.click()
    expect(page.get_by_role("heading", name="Which channels carried this failure?")).to_be_visible()
    settle(page)
    assert_healthy(page)
    page.context.close()


def survey(page: Page, workplace: str, steps: int) -> None:
    """Starts one of all 2,000 images."""
    page.goto(f"{workplace}/images?model={MODEL}&images-of=fashion_mnist_mini&n-images=2000&attack.steps={steps}")
    page.get_by_role("button", name="Attack all 2,000 images").click()


def test_a_survey_of_all_images_is_a_job_that_can_be_cancelled(
    workplace: str, browser: Browser, tmp_path: Path
) -> None:
    page = visit(browser, workplace)
    survey(page, workplace, steps=900)
    expect(page.get_by_text(re.compile(r"attacking images: [\d,]+ of 2,000"))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    survey(page, workplace, steps=1)
    expect(page.get_by_text(re.compile(r"flips [\d,]+ of the [\d,]+ images of 2,000"))).to_be_visible(
        timeout=2 * PATIENCE
    )
    settle(page)
    assert_healthy(page)
    page.goto(f"{workplace}/jobs")
    open_exports(page)
    assert page.evaluate(WITHOUT) == []
    expect(page.get_by_text(EXPORTS)).to_have_count(1)  # of the list and the job together
    jobs = saved(page, page.locator(".st-key-take-jobs").get_by_role("button", name="CSV"), tmp_path).read_text()
    assert [row["state"] for row in csv.DictReader(jobs.splitlines())] == ["finished", "cancelled"]
    page.context.close()
