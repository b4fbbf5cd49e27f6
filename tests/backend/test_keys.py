"""Whoever has no key, or the wrong one, is told so; and a server says whether it can take work."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from backend.settings import Settings

Serve = Callable[..., TestClient]
KEYS = {"reader-0123456789": "read", "user-01234567890": "use", "admin-0123456789": "admin"}
READER, USER, ADMIN = KEYS
ATTACK = {
    "model": "tiny-natural",
    "images": [{"dataset": "fashion_mnist_mini", "index": 0}],
    "attack": {"name": "fgsm", "eps": 0.1},
}
JOB = {"kind": "train", "request": {}}


@pytest.fixture(scope="module")
def keyed(serve: Serve) -> Iterator[TestClient]:
    with serve(api_keys=KEYS) as client:
        yield client


def status(client: TestClient, method: str, path: str, key: str | None, body: object = None) -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return client.request(method, path, json=body, headers=headers).status_code


@pytest.mark.parametrize("key", [None, "", "a-key-of-somebody-else", READER[:-1], READER.upper()])
def test_without_a_key_of_the_server_nothing_is_answered(keyed: TestClient, key: str | None) -> None:
    for method, path in (("GET", "/models"), ("POST", "/attack"), ("DELETE", "/models/x"), ("GET", "/metrics")):
        assert status(keyed, method, path, key) == 401
    answer = keyed.get("/models")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_key_may_what_its_right_says_and_no_more(keyed: TestClient) -> None:
    by_key = {
        key: (
            status(keyed, "GET", "/models", key),
            status(keyed, "POST", "/attack", key, ATTACK),
            status(keyed, "POST", "/jobs", key, JOB),
            status(keyed, "DELETE", "/models/nobody", key),
            status(keyed, "POST", "/datasets", key),
        )
        for key in KEYS
    }
    assert by_key[READER] == (200, 403, 403, 403, 403)
    assert by_key[USER] == (200, 200, 403, 403, 403)
    assert by_key[ADMIN] == (200, 200, 404, 404, 422)  # no jobs here, no such model, no file: but it was let in


def test_every_path_that_changes_something_needs_an_admin(keyed: TestClient) -> None:
    paths = keyed.get("/openapi.json", headers={"Authorization": f"Bearer {READER}"}).json()["paths"]
    changing = {
        (method.upper(), path)
        for path, item in paths.items()
        for method in item
        if method in ("post", "put", "patch", "delete") and path.startswith(("/models", "/datasets", "/jobs"))
    }
    assert ("DELETE", "/models/{id}") in changing
    for method, path in changing:
        assert status(keyed, method, path, USER) == 403, (method, path)


def test_a_refusal_says_what_the_key_may_and_what_it_takes(keyed: TestClient) -> None:
    answer = keyed.delete("/models/nobody", headers={"Authorization": f"Bearer {USER}"})
    assert answer.json()["detail"] == "this key may 'use'; DELETE /models/nobody needs one that may 'admin'"


def test_whoever_watches_over_the_server_needs_no_key(keyed: TestClient) -> None:
    assert status(keyed, "GET", "/health", None) == status(keyed, "GET", "/ready", None) == 200


def test_keys_come_from_the_environment_and_go_to_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFS_API_KEYS", json.dumps(KEYS))
    settings = Settings()
    assert settings.api_keys == KEYS
    assert "CIFS_API_KEYS" not in settings.environment()
    assert not any(key in repr(settings) for key in KEYS)


def test_a_short_key_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFS_API_KEYS", '{"short": "read"}')
    with pytest.raises(ValueError, match="at least 16 characters"):
        Settings()


def test_a_server_without_its_models_is_alive_but_not_ready(serve: Serve, checkpoints: Path, tmp_path: Path) -> None:
    root = shutil.copytree(checkpoints, tmp_path / "zoo")
    with serve(checkpoints=root) as client:
        assert client.get("/ready").json() == {"ready": True, "models": 3, "jobs": False}
        shutil.rmtree(root)
        answer = client.get("/ready")
        assert answer.status_code == 503
        assert "folder of models" in answer.json()["detail"]
        assert "Retry-After" in answer.headers
        assert client.get("/health").status_code == 200
