"""The client turns whatever a backend does into typed answers or one readable exception."""

import socket

import pytest

from backend.schemas import AttackRequest, Choice, DatasetImage
from cifs_client import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendRefused,
    BackendSlow,
    BackendUnreachable,
    Client,
    ClientSettings,
    problem_message,
)
from tests.frontend.fake_backend import FakeBackend

REQUEST = AttackRequest(
    model="fmnist-resnet10-w16-natural",
    images=[DatasetImage(dataset="fashion_mnist_mini", index=0)],
    attack=Choice.model_validate({"name": "pgd", "eps": "8/255", "steps": 3}),
    trajectory=True,
)


@pytest.fixture
def client(backend: FakeBackend) -> Client:
    return Client(ClientSettings(backend.url, timeout=10))


def test_answers_are_the_contracts_models(client: Client) -> None:
    assert client.models()[0].layers[-1].name == "layer4.0"
    assert len(client.attack(REQUEST).results[0].trajectory or []) == 4


def test_a_fraction_travels_as_it_was_written(client: Client, backend: FakeBackend) -> None:
    client.attack(REQUEST)
    assert backend.asked[-1][1]["attack"] == {"name": "pgd", "eps": "8/255", "steps": 3}


def test_an_absent_filter_is_not_sent(client: Client) -> None:
    everything = client.samples("fashion_mnist_mini", split="test", label=None, offset=0, limit=5)
    boots = client.samples("fashion_mnist_mini", split="test", label=9, offset=0, limit=5)
    assert everything.total == 60
    assert {sample.label for sample in boots.samples} == {9}


def test_a_refusal_says_what_is_allowed(client: Client, backend: FakeBackend) -> None:
    backend.faults.set("refuse")
    with pytest.raises(BackendRefused, match="it must be at most 1"):
        client.attack(REQUEST)


def test_a_busy_backend_says_when_to_come_back(client: Client, backend: FakeBackend) -> None:
    backend.faults.set("busy")
    with pytest.raises(BackendBusy, match="queue is full") as caught:
        client.models()
    assert caught.value.retry_after == 2


@pytest.mark.parametrize("fault", ["fail", "garbage"])
def test_an_answer_outside_the_contract_is_a_broken_backend(client: Client, backend: FakeBackend, fault: str) -> None:
    backend.faults.set(fault)  # type: ignore[arg-type]
    with pytest.raises(BackendBroken):
        client.models()


def test_patience_ends(backend: FakeBackend) -> None:
    backend.faults.set("slow")
    with pytest.raises(BackendSlow, match=r"0\.2 seconds"):
        Client(ClientSettings(backend.url, timeout=0.2)).models()


def test_nobody_there_names_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(BackendUnreachable, match=url):
        Client(ClientSettings(url)).health()


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1", "http://[::1"])
def test_a_nonsensical_address_is_a_backend_error(url: str) -> None:
    with pytest.raises(BackendError):
        Client(ClientSettings(url)).health()


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFS_BACKEND_URL", "http://elsewhere:9/")
    monkeypatch.setenv("CIFS_BACKEND_TIMEOUT", "7")
    assert ClientSettings.from_environment() == ClientSettings("http://elsewhere:9", 7.0)


def test_a_timeout_that_is_no_number_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFS_BACKEND_TIMEOUT", "soon")
    with pytest.raises(BackendError, match="'soon'; it has to be a number"):
        ClientSettings.from_environment()


def test_every_field_that_was_wrong_is_named() -> None:
    problem = b'{"title": "t", "status": 422, "detail": "2 errors", "errors": [{"location": "a.b", "message": "m"}]}'
    assert problem_message(problem, 422) == "2 errors\n\na.b: m"
