from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from streamlit.components.v2 import manifest_scanner

from cifs_client import parse
from frontend.components.lab import forget
from tests.frontend.fake_backend import FakeBackend, fake_backend


@pytest.fixture(scope="session", autouse=True)
def installed_once() -> Iterator[None]:
    """For every page anew Streamlit looks for components in all that is installed: half of a test's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(scope="session")
def running_fake() -> Iterator[FakeBackend]:
    with fake_backend() as running:
        yield running


@pytest.fixture
def backend(running_fake: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBackend]:
    """The fake backend, healthy, and the dashboard pointed at it with an empty memory."""
    monkeypatch.setenv("CIFS_BACKEND_URL", running_fake.url)
    forget()
    running_fake.asked.clear()
    running_fake.requests.clear()
    lent: list[tuple[Any, Any]] = []

    def lend(content: bytes, answer: Any) -> Any:
        lent.append((read := parse(content, answer), deepcopy(read)))
        return read

    monkeypatch.setattr("frontend.components.lab.parse", lend)
    yield running_fake
    running_fake.faults.set(None)
    assert all(now == then for now, then in lent), "a page has changed what all of them are lent"
