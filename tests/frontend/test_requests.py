"""What a change of a page costs: how many requests it makes, and what is left for Streamlit to sweep."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from backend.schemas import AttackRequest, Choice, DatasetImage
from cifs_client import ClientSettings
from frontend.components.lab import Lab
from frontend.sweeping import spare
from tests.frontend.dashboard import fine, open_app, open_page
from tests.frontend.fake_backend import FakeBackend

# by page: a control, and what it is moved to and back
CHANGES = [
    ("channels", "layer", "layer3.0", "layer4.0"),
    ("channels", "view", "damp channels", "every channel"),
    ("channels", "view", "its whole class", "importance"),
    ("channels", "channel", 3, 4),
    ("channels", "model", "fmnist-resnet10-w16-cifs", "fmnist-resnet10-w16-natural"),
    ("laboratory", "layer", "layer3.0", "layer4.0"),
    ("laboratory", "ask", "circuit", "who carried it"),
    ("laboratory", "ask", "by hand", "film"),
    ("imgf", "imgf", "softplus", "softmax"),
    ("imgf", "layer", "layer3.0", "layer4.0"),
    ("classes", "class", 2, 1),
]
AT_MOST = 5  # requests of a change that is new: the attack, an answer or two, and what the view needs of the catalogue


def change(page: AppTest, key: str, value: object) -> None:
    widget = next(w for w in [*page.selectbox, *page.segmented_control] if w.key == key)
    widget.set_value(value).run()
    fine(page)


@pytest.mark.parametrize(("name", "key", "there", "back"), CHANGES)
def test_a_change_asks_for_nothing_twice_and_one_seen_before_for_nothing(
    backend: FakeBackend, name: str, key: str, there: object, back: object
) -> None:
    page = fine(open_page(name, index="0"))
    opened = list(backend.requests)
    assert not repeated(opened)
    change(page, key, there)
    new = backend.requests[len(opened) :]
    assert len(new) <= AT_MOST
    change(page, key, back)
    assert not repeated(backend.requests)
    before = len(backend.requests)
    for value in (there, back):
        change(page, key, value)
    assert backend.requests[before:] == []


def repeated(requests: list[str]) -> list[str]:
    return [request for request, times in Counter(requests).items() if times > 1]


@pytest.fixture
def unfrozen() -> Iterator[None]:
    spare.clear()
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("backend", "unfrozen")
def test_what_a_page_loaded_is_not_swept_again() -> None:
    page = fine(open_app())
    assert len(gc.get_objects()) < gc.get_freeze_count() / 4
    frozen = gc.get_freeze_count()
    page.run()
    assert gc.get_freeze_count() <= frozen  # once: what a run leaves behind can be collected


def test_words_are_shown_where_an_answer_is_awaited_and_not_where_it_is_remembered(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    @contextmanager
    def spinner(_: object, text: str, **looks: object) -> Iterator[None]:
        said.append(text)
        yield

    monkeypatch.setattr(DeltaGenerator, "spinner", spinner)
    lab = Lab(replace(ClientSettings.from_environment(), base_url=backend.url))
    assert lab.waiting("one moment").models() == lab.waiting("another").models() == lab.models()
    image = DatasetImage(dataset="fashion_mnist", index=0)
    request = AttackRequest(model="fmnist-resnet10-w16-natural", images=[image], attack=Choice(name="pgd"))
    assert lab.waiting("attacking").attack(request) == lab.attack(request)
    assert said == ["one moment", "attacking"]
    assert [request.split("?")[0] for request in backend.requests] == ["GET /models", "POST /attack"]
