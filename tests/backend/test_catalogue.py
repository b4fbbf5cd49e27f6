"""Health, models, data sets and registries: what is listed can be asked for."""

import base64
import io
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from backend.lab import Lab
from backend.schemas import ModelInfo
from cifs.attacks import ATTACKS
from cifs.channels import RELEVANCES
from cifs.data import Split, available, load_images
from cifs.selection import IMGFS
from cifs.zoo import Zoo

Serve = Callable[..., TestClient]
ATTACK = {"images": [{"dataset": "fashion_mnist_mini", "index": 0}], "attack": {"name": "fgsm", "eps": 0.1}}


def test_health_tells_the_models_and_the_queue(client: TestClient) -> None:
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert health["models"] == ["tiny-cas", "tiny-cifs", "tiny-natural"]
    assert health["queue_length"] == 0
    assert health["queue_limit"] == 64
    assert health["device"] == "cpu"


def test_the_first_visitor_finds_the_models_read(serve: Serve) -> None:
    with serve() as client:
        lab: Lab = client.app.state.lab  # type: ignore[attr-defined]
    assert sorted(lab._described) == ["tiny-cas", "tiny-cifs", "tiny-natural"]


def test_every_model_tells_its_layers_with_their_shapes(client: TestClient, checkpoints: Path) -> None:
    models = {model["id"]: ModelInfo.model_validate(model) for model in client.get("/models").json()}
    assert list(models) == ["tiny-cas", "tiny-cifs", "tiny-natural"]
    for model_id, model in models.items():
        cnn = Zoo(checkpoints).load(model_id)
        assert [layer.name for layer in model.layers] == list(cnn.layers)
        assert [layer.name for layer in model.layers if layer.modified] == list(cnn.modified)
        assert (model.layers[0].channels, model.layers[0].height, model.layers[0].width) == (4, 28, 28)
        assert (model.layers[-1].channels, model.layers[-1].height, model.layers[-1].width) == (32, 4, 4)
        assert model.image_shape == (1, 28, 28)
        assert model.parameters == sum(p.numel() for p in cnn.parameters())
        assert model.default_eps == 0.1
        assert model.classes[9] == "Ankle boot"
        assert model.evaluation is None
        assert not model.has_channel_statistics
        assert client.get(f"/models/{model_id}").json() == model.model_dump(mode="json")
    assert models["tiny-cifs"].imgf is not None
    assert models["tiny-cifs"].imgf.name == "softmax"
    assert models["tiny-natural"].imgf is None


def test_a_data_set_is_looked_for_once_however_many_recipes_name_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def counted(name: str, split: Split) -> bool:
        asked.append((name, split))
        return available(name, split)

    monkeypatch.setattr("backend.lab.available", counted)
    client = serve()
    recipes = client.get("/recipes").json()["recipes"]
    assert client.get("/recipes").json()["recipes"] == recipes
    assert sum(recipe["dataset"] == "fashion_mnist_mini" for recipe in recipes) > 1
    assert asked.count(("fashion_mnist_mini", "train")) == 1


def test_data_sets_tell_what_is_here_and_what_would_have_to_be_downloaded(client: TestClient) -> None:
    data = {d["name"]: d for d in client.get("/datasets").json()}
    assert data["fashion_mnist_mini"]["available"]
    assert data["fashion_mnist_mini"]["sizes"] == {"train": 2000, "test": 2000}
    assert data["fashion_mnist_mini"]["image_shape"] == [1, 28, 28]
    for spec in data.values():
        assert spec["available"] == bool(spec["sizes"])


def test_samples_come_in_pages_of_the_exact_images(client: TestClient) -> None:
    page = client.get("/datasets/fashion_mnist_mini/samples?offset=3&limit=4").json()
    images = load_images("fashion_mnist_mini", "test")
    assert page["total"] == 2000
    assert [sample["index"] for sample in page["samples"]] == [3, 4, 5, 6]
    for sample in page["samples"]:
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(sample["png"]))))
        assert np.array_equal(pixels, images.images[sample["index"], 0].numpy())
        assert sample["label"] == int(images.labels[sample["index"]])


def test_samples_of_one_class_keep_their_index_in_the_split(client: TestClient) -> None:
    labels = load_images("fashion_mnist_mini", "train").labels
    expected = (labels == 6).nonzero()[:, 0].tolist()
    page = client.get("/datasets/fashion_mnist_mini/samples?split=train&label=6&offset=2&limit=3").json()
    assert page["total"] == len(expected)
    assert [sample["index"] for sample in page["samples"]] == expected[2:5]
    assert {sample["class_name"] for sample in page["samples"]} == {"Shirt"}


def test_a_page_after_the_last_image_is_empty(client: TestClient) -> None:
    page = client.get("/datasets/fashion_mnist_mini/samples?offset=100000").json()
    assert page["samples"] == []
    assert page["total"] == 2000


def test_a_data_set_that_is_not_here_is_no_reason_to_download_it(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFS_DATA", str(tmp_path))
    with serve() as client:
        assert not next(d for d in client.get("/datasets").json() if d["name"] == "svhn")["available"]
        response = client.get("/datasets/svhn/samples")
    assert response.status_code == 404
    assert "'svhn'" in response.json()["detail"]
    assert list(tmp_path.iterdir()) == []


def test_a_users_own_data_is_served_and_a_malformed_file_takes_nothing_down(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFS_DATA", str(tmp_path))
    images, labels = np.zeros((3, 8, 8, 3), np.uint8), np.array([0, 1, 1])
    np.savez(
        tmp_path / "my_data.npz",
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
    )
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    with serve() as client:
        names = {d["name"]: d for d in client.get("/datasets").json()}
        page = client.get("/datasets/my_data/samples").json()
        broken = client.get("/datasets/broken/samples")
        image = {"dataset": "my_data", "index": 0}
        misfit = client.post("/attack", json=ATTACK | {"model": "tiny-cifs", "images": [image]})
    assert names["my_data"]["image_shape"] == [3, 8, 8]
    assert "broken" not in names
    assert [sample["class_name"] for sample in page["samples"]] == ["class 0", "class 1", "class 1"]
    assert broken.status_code == 500
    assert str(tmp_path) not in broken.text
    assert misfit.status_code == 422
    assert "(3, 8, 8)" in misfit.json()["detail"]


def test_a_folder_of_classes_is_served_with_what_was_decided_about_it(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFS_DATA", str(tmp_path))
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (12, 8)).save(tmp_path / "pets" / name / f"{i}.png")
    with serve() as client:
        pets = {d["name"]: d for d in client.get("/datasets").json()}["pets"]
        sample = client.get("/datasets/pets/samples").json()["samples"][0]
    assert (pets["image_shape"], pets["classes"], pets["sizes"]) == (
        [3, 8, 12],
        ["cat", "dog"],
        {"train": 8, "test": 2},
    )
    assert "no test split of its own" in pets["notes"][0]
    assert Image.open(io.BytesIO(base64.b64decode(sample["png"]))).size == (12, 8)


@pytest.mark.parametrize(("path", "registry"), [("/attacks", ATTACKS), ("/imgfs", IMGFS), ("/relevances", RELEVANCES)])
def test_everything_registered_has_a_schema_to_build_a_form_from(client: TestClient, path: str, registry: dict) -> None:
    described = client.get(path).json()
    assert [d["name"] for d in described] == list(registry)
    for choice in described:
        schema = choice["parameters"]
        jsonschema.Draft202012Validator.check_schema(schema)
        assert choice["title"]
        for parameter in schema.get("properties", {}).values():
            assert parameter["description"]


def test_the_schema_of_attacks_has_the_servers_own_limits(client: TestClient) -> None:
    pgd = next(d for d in client.get("/attacks").json() if d["name"] == "pgd")
    assert pgd["parameters"]["properties"]["steps"]["maximum"] == 50
    assert pgd["parameters"]["properties"]["restarts"]["maximum"] == 10


def test_no_checkpoints_is_an_empty_list(serve: Serve, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with serve(checkpoints=folder) as client:
            assert client.get("/models").json() == []
            assert client.get("/robustness").json()["rows"] == []
            assert client.get("/health").json()["models"] == []
            response = client.post("/attack", json=ATTACK | {"model": "tiny-cifs"})
    assert response.status_code == 404
    assert "choose from: none" in response.json()["detail"]


@pytest.mark.parametrize("damaged", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("how", ["truncated", "foreign", "missing"])
def test_a_corrupt_checkpoint_is_left_out_and_the_others_are_served(
    serve: Serve, checkpoints: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: str, how: str
) -> None:
    root = shutil.copytree(checkpoints, tmp_path / "checkpoints")
    path = root / "tiny-cifs" / damaged
    match how:
        case "truncated":
            path.write_bytes(path.read_bytes()[:100])
        case "foreign":
            path.write_bytes(b'{"hello": "world"}')
        case "missing":
            path.unlink()
    with serve(checkpoints=root) as client:
        assert [model["id"] for model in client.get("/models").json()] == ["tiny-cas", "tiny-natural"]
        listed = (damaged, how) != ("config.json", "missing")  # without config.json it is no checkpoint
        for response in (
            client.get("/models/tiny-cifs"),
            client.post("/attack", json=ATTACK | {"model": "tiny-cifs"}),
        ):
            assert response.status_code == (500 if listed else 404)
            assert response.headers["content-type"] == "application/problem+json"
            assert str(tmp_path) not in response.text
        assert client.post("/attack", json=ATTACK | {"model": "tiny-natural"}).status_code == 200
    if listed:
        assert "tiny-cifs" in caplog.text


def test_only_as_many_models_as_allowed_stay_in_memory(serve: Serve) -> None:
    with serve(models_in_memory=2) as client:
        for model in ("tiny-natural", "tiny-cas", "tiny-natural", "tiny-cifs"):
            assert client.post("/attack", json=ATTACK | {"model": model}).status_code == 200
        assert client.get("/health").json()["models_loaded"] == ["tiny-natural", "tiny-cifs"]


def test_a_checkpoint_that_is_replaced_is_served_anew(serve: Serve, checkpoints: Path, tmp_path: Path) -> None:
    root = shutil.copytree(checkpoints, tmp_path / "checkpoints")
    with serve(checkpoints=root) as client:
        before = client.post("/attack", json=ATTACK | {"model": "tiny-natural"}).json()["results"]
        weights = root / "tiny-natural" / "model.safetensors"
        other = Zoo(root).load("tiny-natural")
        with np.errstate(all="ignore"):
            for parameter in other.parameters():
                parameter.data.mul_(1.5)
        Zoo(root).save("tiny-natural", other, Zoo(root).entry("tiny-natural").info)
        assert weights.exists()
        after = client.post("/attack", json=ATTACK | {"model": "tiny-natural"}).json()["results"]
    assert before[0]["natural"]["probabilities"] != after[0]["natural"]["probabilities"]


def test_metrics_count_requests_by_route(serve: Serve) -> None:
    with serve() as client:
        client.get("/models/nope")
        metrics = client.get("/metrics").text
    assert 'handler="/models/{id}",method="GET",status="4xx"} 1.0' in metrics


@pytest.mark.parametrize(("origins", "allowed"), [([], None), (["https://a.example"], "https://a.example")])
def test_other_origins_are_let_in_only_when_set(serve: Serve, origins: list[str], allowed: str | None) -> None:
    with serve(cors_origins=origins) as client:
        response = client.get("/health", headers={"origin": "https://a.example"})
    assert response.headers.get("access-control-allow-origin") == allowed


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.settings import Settings

    monkeypatch.setenv("CIFS_MAX_IMAGES", "3")
    monkeypatch.setenv("CIFS_CORS_ORIGINS", '["https://a.example"]')
    assert Settings().max_images == 3
    assert Settings().cors_origins == ["https://a.example"]


def test_the_server_computes_with_as_many_threads_as_are_set(serve: Serve) -> None:
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            with serve(threads=threads), ThreadPoolExecutor(1) as new:  # as one that computes
                assert new.submit(torch.get_num_threads).result() == threads
    finally:
        torch.set_num_threads(before)


def test_samples_can_be_named_one_by_one(client: TestClient) -> None:
    url = "/datasets/fashion_mnist_mini/samples"
    page = client.get(f"{url}?index=34&index=3").json()
    assert [sample["index"] for sample in page["samples"]] == [34, 3]
    assert page["samples"][1] == client.get(f"{url}?offset=3&limit=1").json()["samples"][0]
    assert "has images 0 to 1999" in client.get(f"{url}?index=2000").json()["detail"]
    assert client.get(url, params={"index": [0] * 201}).status_code == 422
