"""Quotas, and whom the queue takes for one caller."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from backend import adversarial
from backend.callers import Caller, Quota, caller_of
from backend.errors import Refusal
from backend.keys import Key
from tests.backend.test_keys import ADMIN, ATTACK, KEYS, READER, USER

Serve = Callable[..., TestClient]


def scope(**given: Any) -> dict[str, Any]:
    return {"type": "http", "client": ("10.0.0.1", 5), "headers": [(b"x-client", b"one")], **given}


def test_a_caller_is_a_key_or_an_address_and_the_name_it_gives() -> None:
    assert caller_of(scope()) == Caller("10.0.0.1", "one")
    assert caller_of(scope(headers=[])) == Caller("10.0.0.1")
    assert caller_of(scope(client=None, headers=[])) == Caller("")
    assert caller_of(scope(key=Key("digest", "use"))) == Caller("digest", "one", limited=True)
    assert not caller_of(scope(key=Key("digest", "admin"))).limited
    assert len(caller_of(scope(headers=[(b"x-client", b"a" * 1000)])).name) == 64


def test_a_quota_comes_back_evenly_within_the_hour() -> None:
    now = 5000.0
    quota, caller = Quota(60, clock=lambda: now), Caller("key", limited=True)
    quota.charge(caller, 20)
    assert quota.left(caller) == 40
    quota.charge(caller, 50)  # the last computation may take longer than was left
    with pytest.raises(Refusal, match="used the 60 s of computation it has in an hour; retry in 601 s") as refused:
        quota.check(caller)
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "601"})
    quota.check(Caller("another", limited=True))
    quota.check(Caller("key"))
    now += 601
    quota.check(caller)
    now += 10 * 3600
    assert quota.left(caller) == 60  # and no more


def test_a_key_that_has_used_its_quota_is_told_when_to_come_back(serve: Serve) -> None:
    adversarial.forget()
    with serve(api_keys=KEYS, key_seconds_per_hour=1e-6) as client:

        def ask(key: str, method: str = "POST", path: str = "/attack", body: object = ATTACK) -> Any:
            return client.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})

        assert ask(USER).status_code == 200
        refused = ask(USER)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["detail"].startswith("this key has used the 1e-06 s of computation")
        assert ask(USER, "GET", "/models", None).status_code == 200  # what is not computed has no quota
        assert [ask(ADMIN).status_code for _ in range(2)] == [200, 200]
        document = ask(READER, "GET", "/openapi.json", None).json()
        assert {"401", "403", "429"} <= document["paths"]["/attack"]["post"]["responses"].keys()
