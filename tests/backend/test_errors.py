"""Bad requests: a 4xx that names the value and what is allowed, as problem+json; never a 500."""

import base64
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from backend.app import create_app
from backend.dependencies import get_lab
from backend.errors import Refusal
from backend.respond import numbers
from backend.schemas import Problem
from backend.settings import Settings

Serve = Callable[..., TestClient]

IMAGE = {"dataset": "fashion_mnist_mini", "index": 0}
FGSM = {"name": "fgsm", "eps": 0.1}
ATTACK = {"model": "tiny-cifs", "images": [IMAGE], "attack": FGSM}
LAYER = {"model": "tiny-cifs", "layer": "layer4.0", "images": [IMAGE]}
TEXT = base64.b64encode(b"hello, world").decode()


def huge_png() -> str:
    """100 megapixels in 100 kB."""
    file = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def problem(response: Any, status: int) -> Problem:
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate(response.json())
    assert found.status == status
    return found


BAD_POSTS: dict[str, tuple[str, dict[str, Any], int, list[str]]] = {
    "model": ("/attack", ATTACK | {"model": "resnet"}, 404, ["'resnet'", "tiny-cas, tiny-cifs, tiny-natural"]),
    "model that is a path": ("/attack", ATTACK | {"model": "../tiny-cifs"}, 404, ["'../tiny-cifs'", "tiny-natural"]),
    "model of the wrong type": ("/attack", ATTACK | {"model": 3}, 422, ["model", "valid string", "3"]),
    "data set": (
        "/attack",
        ATTACK | {"images": [IMAGE | {"dataset": "mnist"}]},
        404,
        ["'mnist'", "fashion_mnist_mini"],
    ),
    "data set of another model": (
        "/attack",
        ATTACK | {"images": [IMAGE | {"dataset": "svhn"}]},
        422,
        ["svhn", "(3, 32"],
    ),
    "index": ("/attack", ATTACK | {"images": [IMAGE | {"index": 2000}]}, 422, ["2000", "0 to 1999"]),
    "negative index": (
        "/attack",
        ATTACK | {"images": [IMAGE | {"index": -1}]},
        422,
        ["-1", "greater than or equal to 0"],
    ),
    "split": ("/attack", ATTACK | {"images": [IMAGE | {"split": "val"}]}, 422, ["'val'", "'train' or 'test'"]),
    "no images": ("/attack", ATTACK | {"images": []}, 422, ["images", "at least 1"]),
    "many images": ("/attack", ATTACK | {"images": [IMAGE] * 9}, 422, ["9 images", "up to 8"]),
    "unknown field": ("/attack", ATTACK | {"imgs": []}, 422, ["imgs", "not permitted"]),
    "attack": ("/attack", ATTACK | {"attack": {"name": "apgd"}}, 422, ["'apgd'", "fgsm, pgd, cw"]),
    "attack parameter": ("/attack", ATTACK | {"attack": FGSM | {"e": 1}}, 422, ["'e'", "eps", "steps"]),
    "eps 8/0": ("/attack", ATTACK | {"attack": FGSM | {"eps": "8/0"}}, 422, ["eps", "'8/0'", "'8/255'"]),
    "eps negative": ("/attack", ATTACK | {"attack": FGSM | {"eps": -0.1}}, 422, ["-0.1", "greater than or equal to 0"]),
    "eps above one": ("/attack", ATTACK | {"attack": FGSM | {"eps": 1.5}}, 422, ["1.5", "less than or equal to 1"]),
    "eps as nan": ("/attack", ATTACK | {"attack": FGSM | {"eps": "nan"}}, 422, ["eps", "nan"]),
    "eps true": ("/attack", ATTACK | {"attack": FGSM | {"eps": True}}, 422, ["eps = True", "no number", "'8/255'"]),
    "eps huge": ("/attack", ATTACK | {"attack": FGSM | {"eps": 10**400}}, 422, ["eps"]),
    "steps": ("/attack", ATTACK | {"attack": {"name": "pgd", "steps": 10**9}}, 422, ["1000000000", "up to 50"]),
    "no steps": ("/attack", ATTACK | {"attack": {"name": "pgd", "steps": 0}}, 422, ["steps = 0", "equal to 1"]),
    "restarts": ("/attack", ATTACK | {"attack": {"name": "pgd", "restarts": 99}}, 422, ["99", "up to 10"]),
    "work": (
        "/attack",
        ATTACK | {"images": [IMAGE] * 8, "attack": {"name": "pgd", "steps": 50}},
        422,
        ["8 images × 50 steps × 1 restarts = 400", "up to 200"],
    ),
    "work of all targets": (
        "/attack",
        ATTACK | {"attack": {"name": "apgd_t", "steps": 30}},
        422,
        ["1 images × 30 steps × 1 restarts × 9 targets = 270", "up to 200"],
    ),
    "work of queries": (
        "/attack",
        ATTACK | {"attack": {"name": "square", "queries": 1001}},
        422,
        ["1 images × 501 pairs of queries = 501", "up to 200"],
    ),
    "attack target": ("/attack", ATTACK | {"attack": FGSM | {"target": 10}}, 422, ["10", "0 to 9"]),
    "seed": ("/attack", ATTACK | {"attack": FGSM | {"seed": -1}}, 422, ["seed = -1", "equal to 0"]),
    "text as png": ("/attack", ATTACK | {"images": [{"png": TEXT}]}, 422, ["hello", "PNG", "JPEG"]),
    "not base64": ("/attack", ATTACK | {"images": [{"png": "***"}]}, 422, ["base64"]),
    "empty png": ("/attack", ATTACK | {"images": [{"png": ""}]}, 422, ["png", "at least 1"]),
    "upload's label": ("/attack", ATTACK | {"images": [{"png": TEXT, "label": 10}]}, 422, ["10", "0 to 9"]),
    "image that is neither": ("/attack", ATTACK | {"images": [{}]}, 422, ["images.0.dataset", "images.0.index"]),
    "layer": ("/channels", LAYER | {"layer": "layer9"}, 422, ["'layer9'", "stem", "layer4.0"]),
    "layer that is a module": ("/channels", LAYER | {"layer": "selection"}, 422, ["'selection'", "layer4.0"]),
    "target": ("/channels", LAYER | {"target": 10}, 422, ["10", "0 to 9"]),
    "target's name": ("/channels", LAYER | {"target": "truth"}, 422, ["'truth'", "'label' or 'prediction'"]),
    "relevance": ("/channels", LAYER | {"relevance": "lrp"}, 422, ["'lrp'", "true, assessed"]),
    "relevance where there is no probe": (
        "/channels",
        LAYER | {"layer": "stem", "relevance": "assessed"},
        422,
        ["'stem'", "layer3.0, layer4.0"],
    ),
    "k": ("/channels", LAYER | {"relevance": {"name": "assessed", "k": 11}}, 422, ["k = 11", "10 classes"]),
    "imgf": ("/channels", LAYER | {"imgf": {"name": "relu"}}, 422, ["'relu'", "softmax, softplus, sigmoid"]),
    "temperature": ("/channels", LAYER | {"imgf": {"name": "softmax", "temperature": 0}}, 422, ["temperature = 0"]),
    "channel": ("/channels/maps", LAYER | {"channels": [0, 32]}, 422, ["32", "0 to 31"]),
    "negative channel": ("/channels/maps", LAYER | {"channels": [-1]}, 422, ["channels.0", "-1", "equal to 0"]),
    "no channels": ("/channels/maps", LAYER | {"channels": []}, 422, ["channels", "at least 1"]),
    "many maps": ("/channels/maps", LAYER | {"layer": "stem", "channels": [0] * 2000}, 422, ["1568000", "1000000"]),
    "short mask": ("/channels/intervene", LAYER | {"mask": [1.0] * 31}, 422, ["31", "32"]),
    "empty mask": ("/channels/intervene", LAYER | {"mask": []}, 422, ["0", "32"]),
    "multiplier": ("/channels/intervene", LAYER | {"mask": [1e9] * 32}, 422, ["mask.0", "1000000"]),
    "steps as a word": ("/attack", ATTACK | {"attack": {"name": "pgd", "steps": "5"}}, 422, ["steps = '5'", "integer"]),
    "steps true": ("/attack", ATTACK | {"attack": {"name": "pgd", "steps": True}}, 422, ["steps = True", "integer"]),
    "half a step": ("/attack", ATTACK | {"attack": {"name": "pgd", "steps": 5.5}}, 422, ["steps = 5.5", "integer"]),
}
# What the document allows, but not this model, these images or this server; all else it does not allow.
UNFIT = {
    "data set of another model", "index", "many images", "work", "work of all targets", "work of queries",
    "attack target", "text as png", "not base64", "upload's label", "layer", "layer that is a module", "target",
    "relevance where there is no probe", "k", "channel", "many maps", "short mask", "empty mask",
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_POSTS)
def test_a_bad_value_is_named_with_what_is_allowed(client: TestClient, case: str) -> None:
    path, body, status, fragments = BAD_POSTS[case]
    found = problem(client.post(path, json=body), status)
    said = found.detail + "".join(error.location for error in found.errors)
    for fragment in fragments:
        assert fragment in said
    assert found.type == ("urn:cifs:unfit" if case in UNFIT else "about:blank")


def test_a_whole_number_may_be_written_with_a_point(client: TestClient) -> None:
    """JSON has one kind of number, and so has its schema."""
    body = json.dumps(ATTACK | {"attack": {"name": "pgd", "steps": 2}}).replace('"steps": 2', '"steps": 2.0')
    answer = client.post("/attack", content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["attack"]["steps"] == 2, answer.text


BAD_GETS = {
    "/models/nope": (404, ["'nope'", "tiny-natural"]),
    "/models/..": (404, []),
    "/models/%2e%2e%2ftiny-cifs": (404, []),
    "/models/nope/robustness": (404, ["'nope'"]),
    "/models/tiny-cifs/robustness": (404, ["not been evaluated", "cifs evaluate tiny-cifs"]),
    "/robustness?dataset=imagenet": (404, ["'imagenet'", "cifar10"]),
    "/robustness/compare?first=tiny-cifs": (422, ["second", "missing"]),
    "/robustness/compare?first=nope&second=tiny-cifs": (404, ["'nope'", "tiny-natural"]),
    "/robustness/compare?first=tiny-cas&second=tiny-cifs": (404, ["not been evaluated", "cifs evaluate tiny-cas"]),
    "/models/tiny-cifs/channel-statistics?class=1": (404, ["no channel statistics", "cifs statistics tiny-cifs"]),
    "/models/tiny-cifs/channel-statistics": (422, ["class", "missing"]),
    "/models/tiny-cifs/channel-statistics?class=10": (422, ["10", "0 to 9"]),
    "/models/tiny-cifs/channel-statistics?class=one": (422, ["class", "'one'", "integer"]),
    "/datasets/nope/samples": (404, ["'nope'", "fashion_mnist_mini"]),
    "/datasets/fashion_mnist_mini/samples?offset=-1": (422, ["offset", "-1", "equal to 0"]),
    "/datasets/fashion_mnist_mini/samples?limit=0": (422, ["limit", "equal to 1"]),
    "/datasets/fashion_mnist_mini/samples?limit=10000": (422, ["10000", "1 to 200"]),
    "/datasets/fashion_mnist_mini/samples?label=10": (422, ["10", "0 to 9"]),
    "/datasets/fashion_mnist_mini/samples?split=val": (422, ["'val'", "'train' or 'test'"]),
    "/nothing/here": (404, ["/nothing/here", "/openapi.json"]),
}


@pytest.mark.parametrize("path", BAD_GETS)
def test_a_bad_path_or_query_is_named_with_what_is_allowed(client: TestClient, path: str) -> None:
    status, fragments = BAD_GETS[path]
    found = problem(client.get(path), status)
    for fragment in fragments:
        assert fragment in found.detail


BAD_BODIES = {
    "NaN": (b'{"model": "m", "attack": {"name": "pgd", "eps": NaN}}', 422, "NaN"),
    "Infinity": (b'{"mask": [-Infinity]}', 422, "Infinity"),
    "a number beyond all floats": (b'{"mask": [1e999]}', 422, "1e999"),
    "no JSON": (b'{"model": ', 422, "not JSON"),
    "an array": (b"[]", 422, "dictionary"),
    "nothing": (b"", 422, "missing"),
    "no UTF-8": (b'"\xff"', 400, "body"),
    "deep nesting": (b"[" * 100_000, 400, "body"),
    "very many members": (b"{" + b", ".join(b'"%d": 1' % i for i in range(1000)) + b"}", 422, "up to 64"),
    "very many images": (b'{"images": [' + b", ".join([b"1"] * 50_000) + b"]}", 422, "images"),
    "a lone surrogate": (b'{"model": "\\ud800", "images": [{"png": "a"}], "attack": {"name": "pgd"}}', 404, "\\ud800"),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_body_that_is_no_proper_json_is_refused(client: TestClient, case: str) -> None:
    content, status, fragment = BAD_BODIES[case]
    found = problem(client.post("/attack", content=content, headers={"content-type": "application/json"}), status)
    assert fragment in found.detail


def test_a_forgotten_content_type_is_told_apart_from_a_wrong_body(client: TestClient) -> None:
    found = problem(client.post("/attack", content=json.dumps(ATTACK)), 422)
    assert "Content-Type: application/json" in found.detail


def test_a_hundred_megapixel_png_is_refused(client: TestClient) -> None:
    found = problem(client.post("/attack", json=ATTACK | {"images": [{"png": huge_png()}]}), 413)
    assert "10000 × 10000 = 100000000 pixels" in found.detail
    assert "up to 20000000" in found.detail
    assert found.errors[0].location == "images.0.png"


@pytest.mark.parametrize("path", ["/attack", "/channels"])
def test_uploads_of_many_pixels_together_are_refused_before_any_is_decoded(serve: Serve, path: str) -> None:
    images = [{"png": huge_png()}] * 3
    body = ATTACK if path == "/attack" else LAYER
    with serve(max_pixels=100_000_000, max_request_pixels=200_000_000) as client:
        began = time.monotonic()
        found = problem(client.post(path, json=body | {"images": images}), 413)
        assert time.monotonic() - began < 1
    assert "300000000 pixels in one request; allowed: up to 200000000" in found.detail
    assert found.errors[0].location == "images"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(serve: Serve, chunked: bool) -> None:
    content: Any = (b"x" * 1000 for _ in range(3)) if chunked else b"x" * 3000
    with serve(max_body_bytes=2000) as client:
        found = problem(client.post("/attack", content=content, headers={"content-type": "application/json"}), 413)
    assert "2000 bytes" in found.detail


def test_a_long_refused_value_is_not_repeated_in_full(client: TestClient) -> None:
    body = ATTACK | {"attack": FGSM | {"eps": "9" * 100_000}}
    assert len(client.post("/attack", json=body).content) < 10_000


def test_a_method_that_is_not_allowed_is_told_with_those_that_are(client: TestClient) -> None:
    response = client.delete("/attack")
    assert "DELETE" in problem(response, 405).detail
    assert response.headers["allow"] == "POST"


def test_an_unexpected_error_is_a_problem_without_internals(
    checkpoints: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app: FastAPI = create_app(Settings(checkpoints=checkpoints, device="cpu"))

    def broken() -> None:
        raise RuntimeError("a secret of the server's")

    app.dependency_overrides[get_lab] = broken
    with TestClient(app, raise_server_exceptions=False) as client:
        found = problem(client.get("/models"), 500)
    assert "secret" not in found.model_dump_json()
    assert "a secret of the server's" in caplog.text


@pytest.mark.parametrize(
    ("name", "parameter"), [("softmax", "temperature"), ("softplus", "alpha"), ("fixed", "temperature")]
)
@pytest.mark.parametrize("value", [1e-4, 1e4])
def test_importance_is_finite_at_the_ends_of_what_its_parameters_may_be(
    client: TestClient, name: str, parameter: str, value: float
) -> None:
    body = LAYER | {"layer": "stem", "imgf": {"name": name, parameter: value}}
    assert client.post("/channels", json=body).status_code == 200
    beyond = LAYER | {"imgf": {"name": name, parameter: value / 2 if value < 1 else value * 2}}
    assert f"{parameter} = " in problem(client.post("/channels", json=beyond), 422).detail


def test_what_is_driven_to_infinity_is_refused_and_not_sent_as_null() -> None:
    with pytest.raises(Refusal, match="importance is not finite"):
        numbers(torch.tensor([1.0, torch.inf]), "importance")
