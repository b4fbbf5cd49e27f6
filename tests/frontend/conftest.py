from collections.abc import Iterator

import pytest

from frontend.components.lab import forget
from tests.frontend.fake_backend import FakeBackend, fake_backend


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
    yield running_fake
    running_fake.faults.set(None)
