"""Two browsers at one training: one starts it, both watch, the other cancels; after a reload it goes on to its end."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import servers
from tests.e2e.test_dashboard import assert_healthy, settle

pytestmark = pytest.mark.e2e

PATIENCE = 60_000  # milliseconds
SMALL = "model.width=4\nimages=200\nvalidation=100\nvalidate_every=20\nattack.steps=1"
CHART = ".js-plotly-plot"
DRAWN = f"Math.max(...(document.querySelector('{CHART}')?._fullData?.[0].x ?? [0]))"  # the last step of the loss


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """With a worker, and nothing trained yet."""
    folder = tmp_path_factory.mktemp("training")
    settings = {"CIFS_JOBS": "embedded", "CIFS_RUNS": str(folder / "runs"), "CIFS_CHECKPOINTS": str(folder / "models")}
    with servers.dashboard(folder, **settings) as url:
        yield url


def visit(browser: Browser, url: str) -> Page:
    """In a profile of its own: nothing is shared with other visitors but the server."""
    page = browser.new_context(viewport={"width": 1440, "height": 1900}).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    return page


def state_is(page: Page, state: str) -> None:
    expect(page.locator(".stMarkdownBadge").filter(has_text=re.compile(rf"\b{state}$"))).to_be_visible()


def steps_drawn(page: Page) -> int:
    page.wait_for_selector(CHART)
    return int(page.evaluate(DRAWN))


def start(page: Page, epochs: int) -> None:
    page.get_by_text("More overrides").click()
    page.get_by_label("One a line").fill(f"{SMALL}\nepochs={epochs}")
    page.get_by_label("One a line").press("Control+Enter")
    expect(page.get_by_text("What will be trained")).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Start").click()


def test_two_browsers_train_cancel_reload_and_resume(dashboard: str, browser: Browser) -> None:
    teacher = visit(browser, f"{dashboard}/train")
    start(teacher, epochs=900)  # more than a busy machine makes before it is cancelled
    state_is(teacher, "running")
    teacher.wait_for_url("**job=*")
    first = steps_drawn(teacher)
    teacher.wait_for_function(f"{DRAWN} > {first}")  # by itself

    job = teacher.url.partition("job=")[2].partition("&")[0]
    pupil = visit(browser, f"{dashboard}/jobs?job={job}")
    state_is(pupil, "running")
    pupil.get_by_role("button", name="Cancel").click()
    state_is(pupil, "cancelled")
    state_is(teacher, "cancelled")  # without being touched

    teacher.reload()
    state_is(teacher, "cancelled")
    done = steps_drawn(teacher)
    assert done >= first
    teacher.get_by_role("button", name="Resume").click()
    state_is(teacher, "running")
    teacher.wait_for_function(f"{DRAWN} > {done}")
    state_is(pupil, "running")
    teacher.get_by_role("button", name="Cancel").click()
    state_is(pupil, "cancelled")
    assert_healthy(teacher)
    assert_healthy(pupil)


def test_a_finished_training_opens_on_the_channels_page(dashboard: str, browser: Browser) -> None:
    page = visit(browser, f"{dashboard}/train")
    start(page, epochs=2)
    state_is(page, "finished")
    assert steps_drawn(page) == 4
    page.get_by_role("link", name=re.compile("Look at the channels")).click()
    expect(page.get_by_role("heading", name="Why is this network fooled?")).to_be_visible()
    expect(page.get_by_role("button", name="Attack", exact=True)).to_be_visible()  # there is a model to attack
    assert_healthy(page)
