"""The OpenAPI document, and what schemathesis finds when it holds the app to it.

    CONTRACT_CASES=100 python -m pytest tests/backend/test_contract.py

generates up to so many requests for each operation and way, thousands in all; by default a few.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from cifs.attacks import ATTACKS
from cifs.registry import json_schema
from cifs.tasks import TASKS

from .conftest import GENERATED

OPERATIONS = [
    "GET /health",
    "GET /models",
    "GET /models/{id}",
    "GET /models/{id}/channel-statistics",
    "GET /models/{id}/robustness",
    "GET /ready",
    "GET /robustness",
    "GET /models/{id}/card",
    "GET /robustness/compare",
    "GET /robustness/export",
    "GET /robustness/groups",
    "GET /datasets",
    "GET /datasets/{name}/samples",
    "GET /attacks",
    "GET /imgfs",
    "GET /relevances",
    "GET /metrics",
    "POST /attack",
    "POST /channels",
    "POST /channels/maps",
    "POST /channels/intervene",
    "POST /channels/margin",
    "POST /channels/report",
    "POST /channels/circuit",
    "POST /channels/what-if",
    "POST /channels/film",
    "POST /channels/saliency",
    "POST /channels/response",
    "POST /channels/faithfulness",
    "POST /channels/visualise",
    "GET /models/{id}/notes",
    "POST /attack/transfer",
    "POST /survey",
    "GET /models/{id}/layers/{layer}/channels/{channel}",
    "GET /models/{id}/example",
]
LASTING = [  # jobs, and what people bring
    "PUT /models/{id}/layers/{layer}/channels/{channel}/note",
    "DELETE /models/{id}/layers/{layer}/channels/{channel}/note",
    "GET /jobs",
    "GET /jobs/kinds",
    "GET /jobs/{id}",
    "GET /jobs/{id}/events",
    "GET /jobs/{id}/log",
    "GET /recipes",
    "POST /recipes/plan",
    "GET /studies",
    "GET /studies/{name}",
    "POST /jobs",
    "POST /jobs/{id}/resume",
    "DELETE /jobs/{id}",
    "POST /models",
    "DELETE /models/{id}",
    "POST /datasets",
]
PATIENCE = 120.0  # seconds, on a busy machine
CHANNELS = {"stem": 4, "layer3.0": 16, "layer4.0": 32}  # of the tiny model
CLASSES = 10
FGSM = {"name": "fgsm", "eps": 0.1}
QUICK = settings(
    max_examples=int(os.environ.get("CONTRACT_CASES", "10")),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="session")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_the_document_has_every_operation_of_the_contract(document: dict[str, Any]) -> None:
    assert set(operations(document)) == {*OPERATIONS, *LASTING}


def fitted(body: Any, layer: str = "") -> Any:
    """With every name and number that depends on the model replaced by one of the tiny network's, and attacks short."""
    if isinstance(body, list):
        return [fitted(each, layer) for each in body]
    if not isinstance(body, dict):
        return body
    layer = body.get("layer", layer) if body.get("layer") in CHANNELS else "layer4.0"

    def fit(key: str, value: Any) -> Any:
        if key == "layer":
            return layer
        if key == "mask":
            return (value * CHANNELS[layer] or [0.5] * CHANNELS[layer])[: CHANNELS[layer]]
        if key == "channels" and isinstance(value, list):
            return [int(channel) % CHANNELS[layer] for channel in value]
        if key in ("target", "rival") and isinstance(value, int | float):
            return int(value) % CLASSES
        if key in ("k", "steps", "restarts", "targets", "queries") and value != 1:
            return 1 + int(value) % 5
        return fitted(value, layer)

    return {key: fit(key, value) for key, value in body.items()}


def holds(client: TestClient, operation: str, mode: GenerationMode, **aimed: Any) -> None:
    """Generated requests are answered as the document says and never by a 500.

    What the document allows is not refused, but for naming what is not there (404) or what does not fit it (`unfit`).
    Where bodies are `aimed` at what is there, and fitted to it, not even that.
    """
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    method, path = operation.split()

    @QUICK
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def test(case: schemathesis.Case) -> None:
        if aimed:
            case.body = fitted({**case.body, **aimed})
        answer = case.call(timeout=PATIENCE)
        excluded = [] if aimed else [positive_data_acceptance]
        if answer.status_code == 413:  # a refusal too, which comes before the body is looked into
            excluded.append(negative_data_rejection)
        case.validate_response(answer, excluded_checks=excluded)
        GENERATED[answer.status_code] += 1
        if mode is GenerationMode.POSITIVE and answer.status_code in (400, 413, 422):
            assert answer.json()["type"] == "urn:cifs:unfit", answer.text

    test()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_well_formed_requests_are_answered_as_documented(client: TestClient, operation: str) -> None:
    holds(client, operation, GenerationMode.POSITIVE)


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.startswith("POST") or o.endswith(("samples", "statistics"))]
)
def test_malformed_requests_are_refused_as_documented(client: TestClient, operation: str) -> None:
    holds(client, operation, GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def lasting(serve: Callable[..., TestClient], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """With a queue and no worker, and models of its own."""
    folder = tmp_path_factory.mktemp("lasting")
    doubles = {"jobs": "external", "runs": folder, "tasks": "tests.backend.jobs.doubles:TASKS"}
    with serve(checkpoints=folder / "models", **doubles) as client:
        yield client


@pytest.mark.parametrize("operation", LASTING)
def test_requests_about_jobs_and_uploads_are_answered_as_documented(lasting: TestClient, operation: str) -> None:
    holds(lasting, operation, GenerationMode.POSITIVE)


@pytest.mark.parametrize(
    "operation", ["GET /jobs", "POST /jobs", "POST /recipes/plan", "POST /models", "POST /datasets"]
)
def test_malformed_requests_about_jobs_and_uploads_are_refused_as_documented(
    lasting: TestClient, operation: str
) -> None:
    holds(lasting, operation, GenerationMode.NEGATIVE)


@pytest.mark.parametrize("body", [{"kind": "count", "request": {}}, {"kind": "misbehave", "request": {"how": "x"}}])
def test_jobs_that_are_taken_are_answered_as_documented(lasting: TestClient, body: dict[str, Any]) -> None:
    holds(lasting, "POST /jobs", GenerationMode.POSITIVE, shards=1, processes=1, **body)


def test_jobs_of_the_kinds_there_are_are_answered_as_documented(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    with serve(checkpoints=tmp_path / "models", jobs="external", runs=tmp_path) as client:
        holds(client, "POST /jobs", GenerationMode.POSITIVE)


def test_the_document_bounds_attacks_as_the_operator_does(serve: Callable[..., TestClient]) -> None:
    """A parameter whose default is too much for this server has to be given."""
    document = serve(max_steps=50).get("/openapi.json").json()
    attacks = {option["title"]: option for option in document["components"]["schemas"]["AttackChoice"]["anyOf"]}
    assert list(attacks) == list(ATTACKS)
    assert (
        attacks["pgd"]["properties"]["steps"]["maximum"] == attacks["apgd_ce"]["properties"]["steps"]["maximum"] == 50
    )
    assert attacks["fgsm"]["properties"]["steps"] == json_schema(ATTACKS["fgsm"])["properties"]["steps"]
    assert (attacks["pgd"]["required"], attacks["apgd_ce"]["required"]) == (["name"], ["name", "steps"])


def test_the_document_tells_every_kind_of_job_with_its_request(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    document = serve(jobs="external", runs=tmp_path).get("/openapi.json").json()
    kinds = {option["title"]: option for option in document["components"]["schemas"]["JobRequest"]["anyOf"]}
    assert {kind: option["properties"]["request"] for kind, option in kinds.items()} == {
        kind: json_schema(task) for kind, task in TASKS.items()
    }


@pytest.fixture(scope="module")
def roomy(serve: Callable[..., TestClient]) -> Iterator[TestClient]:
    """With the limits that a server has by default."""
    with serve() as client:
        yield client


@pytest.mark.parametrize(
    ("operation", "aimed"),
    [
        ("POST /attack", {}),
        ("POST /channels", {"layer": "layer4.0"}),
        ("POST /channels", {"layer": "stem", "attack": None, "target": "prediction", "relevance": "true"}),
        ("POST /channels/maps", {"layer": "layer3.0", "attack": None}),
        ("POST /channels/intervene", {"layer": "stem", "attack": None}),
        ("POST /channels/margin", {"layer": "layer4.0", "attack": FGSM}),
        ("POST /channels/circuit", {"layers": ["stem"], "attack": FGSM, "draws": 1}),
        ("POST /channels/what-if", {"attack": FGSM}),
        ("POST /channels/film", {"layer": "layer3.0", "attack": FGSM}),
        ("POST /channels/response", {"layer": "layer3.0", "channels": [0], "points": 2, "attack": FGSM}),
        ("POST /channels/faithfulness", {"layer": "stem", "attack": None, "notions": ["true"]}),
        ("POST /channels/saliency", {"layer": "layer3.0", "attack": FGSM, "steps": 2}),
    ],
)
def test_requests_that_fit_a_model_are_all_answered(roomy: TestClient, operation: str, aimed: dict[str, Any]) -> None:
    images = [{"dataset": "fashion_mnist_mini", "index": 0}]
    holds(roomy, operation, GenerationMode.POSITIVE, model="tiny-cifs", images=images, **aimed)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.startswith("POST")])
def test_the_examples_of_every_request_are_answered(
    client: TestClient, document: dict[str, Any], operation: str
) -> None:
    reference = operations(document)[operation]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    examples = document["components"]["schemas"][reference.split("/")[-1]]["examples"]
    assert examples
    for example in examples:
        tiny: dict[str, Any] = (
            {"models": ["tiny-cifs", "tiny-natural"]} if "models" in example else {"model": "tiny-cifs"}
        )
        mask = {"mask": [1.0] * 32} if "mask" in example else {}  # as many as the tiny model has
        response = client.post(operation.split()[1], json=example | tiny | mask)
        assert response.status_code == 200, response.text


@pytest.mark.parametrize("operation", OPERATIONS + LASTING)
def test_every_error_is_documented_as_a_problem(document: dict[str, Any], operation: str) -> None:
    responses = operations(document)[operation]["responses"]
    problem = {**document["components"]["schemas"]["Problem"], "components": document["components"]}
    for status, response in responses.items():
        if status.startswith("2"):
            continue
        (content,) = response["content"].items()
        assert content[0] == "application/problem+json"
        assert content[1]["schema"] == {"$ref": "#/components/schemas/Problem"}
        jsonschema.validate(content[1]["example"], problem)
        assert content[1]["example"]["status"] == int(status)
    if operation.startswith("POST") and operation in OPERATIONS:
        assert {"400", "404", "413", "422", "503"} <= set(responses)
        assert "Retry-After" in responses["503"]["headers"]


TEXT = ("GET /metrics", "GET /models/{id}/card", "GET /robustness/export", "POST /channels/report")


@pytest.mark.parametrize("operation", TEXT[1:])
def test_every_text_has_an_example(document: dict[str, Any], operation: str) -> None:
    (content,) = operations(document)[operation]["responses"]["200"]["content"].values()
    assert content["example"]


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o not in TEXT])
def test_every_answer_has_an_example_of_its_schema(document: dict[str, Any], operation: str) -> None:
    content = operations(document)[operation]["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(content["example"], {**content["schema"], "components": document["components"]})
