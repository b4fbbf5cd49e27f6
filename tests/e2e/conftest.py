"""One browser and one pair of servers for every file here."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests import servers
from tests.e2e.test_dashboard import PATIENCE, QUIET, browser_path, dashboard, page, screenshots

__all__ = ["dashboard", "page", "screenshots"]


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard whose server has a worker and nothing done yet; what is kept beside a model goes into a copy."""
    folder = tmp_path_factory.mktemp("workplace")
    checkpoints = folder / "checkpoints"
    shutil.copytree(servers.ROOT / "checkpoints", checkpoints, ignore=shutil.ignore_patterns("*-w64-*", "*wrn28*"))
    settings = {"CIFS_JOBS": "embedded", "CIFS_RUNS": str(folder / "runs"), "CIFS_CHECKPOINTS": str(checkpoints)}
    with servers.dashboard(folder, **settings) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser_path(), args=list(QUIET))
        expect.set_options(timeout=PATIENCE)
        yield opened
        opened.close()
