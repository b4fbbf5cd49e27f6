"""Channel statistics and robustness: what the files hold is what is served."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cifs.attacks import PGD
from cifs.channels import channel_statistics
from cifs.data import load_images
from cifs.evaluation import COLUMNS, Evaluation
from cifs.files import write_json
from cifs.zoo import Zoo

Serve = Callable[..., TestClient]
N = 12


@pytest.fixture(scope="module")
def measured(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo, with a plain and a CIFS model measured on a few images."""
    root = shutil.copytree(checkpoints, tmp_path_factory.mktemp("measured") / "checkpoints")
    images = load_images("fashion_mnist_mini", "test")[:N]
    about = {"dataset": "fashion_mnist_mini", "split": "test"}
    for model_id in ("tiny-natural", "tiny-cifs"):
        entry = Zoo(root).entry(model_id)
        model = entry.load()
        evaluation = Evaluation(model, images, 0.1, {"model": model_id, **about}, precision="float32")
        write_json(entry.evaluation_path, evaluation.run(["natural", "fgsm", "pgd20"]))
        channel_statistics(model, [images], PGD(eps=0.1, steps=2), **about).save(entry.statistics_path)
    return root


@pytest.fixture(scope="module")
def client(serve: Serve, measured: Path) -> Iterator[TestClient]:
    with serve(checkpoints=measured) as client:
        yield client


def test_the_table_has_a_row_for_every_evaluated_model(client: TestClient, measured: Path) -> None:
    table = client.get("/robustness").json()
    assert [column["key"] for column in table["columns"]] == list(COLUMNS)
    assert [row["model"] for row in table["rows"]] == ["tiny-cifs", "tiny-natural"]
    for row in table["rows"]:
        saved = json.loads((measured / row["model"] / "evaluation.json").read_text())
        assert row["n"] == N
        assert row["eps"] == 0.1
        assert row["strongest"] == saved["strongest"]
        for key, cell in row["cells"].items():
            assert cell["low"] <= cell["accuracy"] <= cell["high"]
            for name in ("accuracy", "low", "high", "n", "settings"):
                assert cell[name] == saved["cells"][key][name]
        assert client.get(f"/models/{row['model']}/robustness").json() == row
        assert client.get(f"/models/{row['model']}").json()["evaluation"] == row["cells"]


def test_the_whole_sweep_is_served_and_the_strongest_counted(client: TestClient) -> None:
    row = client.get("/models/tiny-cifs/robustness").json()
    assert {entry["column"] for entry in row["sweep"]} == {"fgsm", "pgd20"}
    for column in ("fgsm", "pgd20"):
        entries = [entry for entry in row["sweep"] if entry["column"] == column]
        (counted,) = (entry for entry in entries if entry["counted"])
        assert counted["accuracy"] == min(entry["accuracy"] for entry in entries) == row["cells"][column]["accuracy"]


@pytest.mark.parametrize("model", ["tiny-natural", "tiny-cifs"])
def test_channel_statistics_are_the_means_over_the_images_of_the_class(client: TestClient, model: str) -> None:
    labels = load_images("fashion_mnist_mini", "test").labels[:N].tolist()
    statistics = client.get(f"/models/{model}/channel-statistics?class={labels[0]}&layer=layer4.0").json()
    mine = [i for i, label in enumerate(labels) if label == labels[0]]
    assert statistics["n"] == len(mine)
    request: dict[str, Any] = {
        "model": model,
        "layer": "layer4.0",
        "images": [{"dataset": "fashion_mnist_mini", "index": i} for i in mine],
        "attack": {"name": "pgd", "eps": 0.1, "steps": 2},
    }
    seen = client.post("/channels", json=request).json()["results"]
    for inputs in ("natural", "adversarial"):
        for quantity in ("activation", "relevance", "importance", "selected"):
            rows = [result[inputs][quantity] for result in seen]
            if rows[0] is None:
                assert statistics[inputs][quantity] is None
                continue
            means = [sum(values) / len(values) for values in zip(*rows, strict=True)]
            assert statistics[inputs][quantity] == pytest.approx(means, rel=1e-3, abs=1e-5)
        assert all(0 <= share <= 1 for share in statistics[inputs]["frequency"])


def test_the_last_layer_is_the_default(client: TestClient) -> None:
    statistics = client.get("/models/tiny-cifs/channel-statistics?class=9").json()
    assert statistics["layer"] == "layer4.0"
    assert statistics["layers"] == ["stem", "layer1.0", "layer2.0", "layer3.0", "layer4.0"]
    assert statistics["class_name"] == "Ankle boot"


def test_a_layer_without_statistics_is_told_with_those_that_have_them(client: TestClient) -> None:
    response = client.get("/models/tiny-cifs/channel-statistics?class=9&layer=conv1")
    assert response.status_code == 422
    assert "'conv1'" in response.json()["detail"]
    assert "stem" in response.json()["detail"]


def test_a_class_without_images_is_told_to_be_so(client: TestClient) -> None:
    missing = sorted(set(range(10)) - set(load_images("fashion_mnist_mini", "test").labels[:N].tolist()))[0]
    response = client.get(f"/models/tiny-cifs/channel-statistics?class={missing}")
    assert response.status_code == 404
    assert f"class {missing}" in response.json()["detail"]


@pytest.mark.parametrize("content", [b"not json", b"[]", b"{}", b'{"cells": {"natural": {"accuracy": "high"}}}'])
def test_a_malformed_evaluation_takes_nothing_else_down(
    serve: Serve, measured: Path, tmp_path: Path, content: bytes
) -> None:
    root = shutil.copytree(measured, tmp_path / "checkpoints")
    (root / "tiny-cifs" / "evaluation.json").write_bytes(content)
    with serve(checkpoints=root) as client:
        assert [row["model"] for row in client.get("/robustness").json()["rows"]] == ["tiny-natural"]
        assert client.get("/models/tiny-cifs").json()["evaluation"] is None
        response = client.get("/models/tiny-cifs/robustness")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"


def test_malformed_statistics_are_a_clear_problem(serve: Serve, measured: Path, tmp_path: Path) -> None:
    root = shutil.copytree(measured, tmp_path / "checkpoints")
    (root / "tiny-cifs" / "channel_statistics.npz").write_bytes(b"nothing")
    with serve(checkpoints=root) as client:
        response = client.get("/models/tiny-cifs/channel-statistics?class=9")
    assert response.status_code == 500
    assert "corrupt" in response.json()["detail"]
