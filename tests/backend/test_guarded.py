"""A server that stays up: one bad file, body or host is that one's own trouble."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from backend.app import create_app
from backend.dependencies import get_lab
from backend.errors import Refusal
from backend.requests import BodyLimit
from backend.settings import Settings
from tests.backend.test_server import server

Serve = Callable[..., TestClient]
IMAGE = {"dataset": "fashion_mnist_mini", "index": 0}


@pytest.fixture
def zoo(checkpoints: Path, tmp_path: Path) -> Path:
    return shutil.copytree(checkpoints, tmp_path / "zoo")


def edited(zoo: Path, **changes: Any) -> dict[str, Any]:
    """tiny-cas's configuration with changes; those of `info` below it."""
    path = zoo / "tiny-cas" / "config.json"
    config: dict[str, Any] = json.loads(path.read_text())
    config["info"] |= changes.pop("info", {})
    path.write_text(json.dumps(config | changes))
    return config


DAMAGED = {
    "a title that is a number": lambda zoo: edited(zoo, info={"title": 5}),
    "an unknown key": lambda zoo: edited(zoo, info={"colour": "red"}),
    "nested too deep": lambda zoo: (zoo / "tiny-cas" / "config.json").write_text("[" * 100_000),
    "too wide for any machine": lambda zoo: edited(zoo, width=2_000_000),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_one_damaged_configuration_takes_no_other_model_down(damage: str, zoo: Path, serve: Serve) -> None:
    DAMAGED[damage](zoo)
    with serve(checkpoints=zoo) as client:
        began = time.monotonic()
        assert [model["id"] for model in client.get("/models").json()] == ["tiny-cifs", "tiny-natural"]
        assert client.get("/robustness").status_code == 200
        assert client.get("/models/tiny-cas").status_code == 500
        assert time.monotonic() - began < 60  # nothing of that width was allocated


def test_an_edited_configuration_and_a_new_evaluation_are_seen(zoo: Path, serve: Serve) -> None:
    with serve(checkpoints=zoo) as client:
        assert client.get("/models/tiny-cas").json()["title"] == "CAS"
        edited(zoo, info={"title": "Renamed"})
        assert client.get("/models/tiny-cas").json()["title"] == "Renamed"
        assert client.get("/models/tiny-cas").json()["evaluation"] is None
        kept = Path(__file__).parents[2] / "checkpoints" / "fmnist-resnet10-w16-cas" / "evaluation.json"
        shutil.copy(kept, zoo / "tiny-cas" / "evaluation.json")
        assert client.get("/models/tiny-cas").json()["evaluation"]["natural"]["n"] == 10_000
        assert [row["model"] for row in client.get("/robustness").json()["rows"]] == ["tiny-cas"]


def test_a_body_of_too_many_items_is_refused_before_it_is_parsed(client: TestClient) -> None:
    body = b'{"mask": [' + b"1," * 200_000 + b"1]}"
    response = client.post("/channels/intervene", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert "more than 200000 items; allowed: up to 65536" in response.json()["detail"]


def test_a_body_nested_too_deep_is_a_clear_refusal(client: TestClient) -> None:
    response = client.post("/attack", content=b"[" * 60_000, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert "nested too deep" in response.json()["detail"]


def test_another_host_s_name_is_refused_and_every_answer_has_an_id(client: TestClient) -> None:
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 400
    first, second = client.get("/health"), client.get("/health")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert first.headers["x-content-type-options"] == "nosniff"


def test_what_is_logged_of_a_request_has_the_id_that_its_answer_has(
    zoo: Path, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    edited(zoo, info={"title": 5})
    with serve(checkpoints=zoo) as client:
        answers = [client.get("/models/tiny-cas") for _ in range(2)]
    logged = [record.getMessage() for record in caplog.records if record.name == "backend"]
    for answer in answers:
        (line,) = (line for line in logged if f"request={answer.headers['x-request-id']}" in line)
        assert "path=/models/tiny-cas" in line


def test_bodies_that_are_too_many_bytes_together_are_refused_until_there_is_room() -> None:
    async def test() -> None:
        arrived, let_go = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            arrived.set()
            await let_go.wait()

        limited = BodyLimit(app, limit=200, at_once=256, uploads={"/models": 1000})

        async def post(body: bytes, path: str = "/attack") -> None:
            async def receive() -> Message:
                return {"type": "http.request", "body": body}

            async def send(_: Message) -> None: ...

            await limited({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)

        first = asyncio.create_task(post(b"x" * 150))
        await arrived.wait()
        with pytest.raises(Refusal, match="too many bytes") as refused:
            await post(b"x" * 107)
        assert (refused.value.status_code, refused.value.headers) == (503, {"Retry-After": "1"})
        let_go.set()
        await post(b"x" * 106)  # beside the first there is just so much room
        await first
        await post(b"x" * 200)
        await post(b"x" * 1000, "/models")  # a file goes to the disk

    asyncio.run(test())
    assert BodyLimit(lambda *_: asyncio.sleep(0), limit=1).memory.most == 2**28


def test_an_unexpected_error_ends_here_and_leaves_the_connection_whole(checkpoints: Path) -> None:
    app = create_app(Settings(checkpoints=checkpoints, device="cpu"))

    def broken() -> None:
        raise RuntimeError("broken")

    app.dependency_overrides[get_lab] = broken
    with TestClient(app) as client:  # which would raise what Starlette raises once more
        assert client.get("/models").status_code == 500
        assert client.get("/imgfs").status_code == 200


@pytest.mark.slow
def test_many_large_bodies_at_once_keep_nobody_else_waiting(checkpoints: Path, tmp_path: Path) -> None:
    """Forty bodies of numbers once made /health answer after 38 s."""
    numbers = b'{"mask": [' + b"0.123456789012345678901234567890," * 500_000 + b"1]}"  # 16 MB

    with server(checkpoints, tmp_path / "log") as (address, _):

        def post(_: int) -> int:
            headers = {"Content-Type": "application/json"}
            return httpx2.post(
                f"{address}/channels/intervene", content=numbers, headers=headers, timeout=60
            ).status_code

        with ThreadPoolExecutor(20) as threads:
            answers = threads.map(post, range(40))
            slowest = 0.0
            for _ in range(10):
                began = time.monotonic()
                assert httpx2.get(f"{address}/health", timeout=30).status_code == 200
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.1)
            assert {*answers} <= {413, 503}
        assert slowest < 5
