"""One pair of servers for all files here, a browser for each."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import servers
from tests.e2e.test_dashboard import PATIENCE, QUIET, browser_path


@pytest.fixture(scope="session")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that runs no jobs and keeps nothing: what a test before has asked may be remembered."""
    with servers.dashboard(tmp_path_factory.mktemp("logs")) as url:
        yield url


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard whose server has a worker and nothing done yet; what is kept beside a model goes into a copy."""
    folder = tmp_path_factory.mktemp("workplace")
    checkpoints = folder / "checkpoints"
    shutil.copytree(servers.ROOT / "checkpoints", checkpoints, ignore=shutil.ignore_patterns("*-w64-*", "*wrn28*"))
    settings = {"CIFS_JOBS": "embedded", "CIFS_RUNS": str(folder / "runs"), "CIFS_CHECKPOINTS": str(checkpoints)}
    with servers.dashboard(folder, **settings) as url:
        yield url


@pytest.fixture(scope="module")  # no longer: its event loop runs as long as it is open, and other tests bring theirs
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser_path(), args=list(QUIET))
        expect.set_options(timeout=PATIENCE)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1440, "height": 1000}, color_scheme="light")
    opened.set_default_timeout(PATIENCE)
    yield opened
    opened.close()


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    if os.environ.get("CIFS_SCREENSHOTS") != "1":
        return tmp_path
    folder = servers.ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
