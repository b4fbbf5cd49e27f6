"""`POST /survey` against `POST /attack` and the pictures of a data set, and what a job leaves for it."""

import base64
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cifs.data import load_images
from cifs.tasks import SurveyImages, Workspace, run_task
from tests.backend.conftest import Serve, save_models

DATA = "fashion_mnist_mini"
ATTACK = {"name": "pgd", "eps": 0.1, "steps": 3}
ABOUT = {"model": "tiny-natural", "layer": "layer4.0", "attack": ATTACK}


def ask(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/survey", json=ABOUT | body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_a_survey_says_of_each_image_what_an_attack_on_it_says(client: TestClient) -> None:
    answer = ask(client, first={"dataset": DATA, "n": 6})
    images = [{"dataset": DATA, "index": i} for i in range(6)]
    attacked = client.post("/attack", json={"model": "tiny-natural", "images": images, "attack": ATTACK}).json()
    assert answer["n"] == 6
    assert not answer["kept"]
    assert answer["index"] == list(range(6))
    for i, result in enumerate(attacked["results"]):
        assert answer["label"][i] == result["label"]
        for inputs in ("natural", "adversarial"):
            assert answer["prediction"][inputs][i] == result[inputs]["prediction"]
            lost = result[inputs]["prediction"] != result["label"]
            assert (answer["margin"][inputs][i] > 0) == lost
            assert answer["confusion"][inputs][result["label"]][result[inputs]["prediction"]] > 0
    assert sum(map(sum, answer["confusion"]["noise"])) == 6


def test_the_channels_of_a_class_are_those_of_its_images(client: TestClient) -> None:
    label = int(load_images(DATA, "test").labels[5])
    answer = ask(client, images=[{"dataset": DATA, "index": 5}], layer="layer3.0")
    seen = client.post(
        "/channels",
        json=ABOUT | {"layer": "layer3.0", "images": [{"dataset": DATA, "index": 5}]},
    ).json()["results"][0]
    of_class = {key: rows[label] for key, rows in answer["channels"].items()}
    assert answer["index"] == [5]
    assert of_class["counts"] == 1
    assert of_class["natural"] == pytest.approx(seen["natural"]["activation"], abs=1e-5)
    assert of_class["adversarial"] == pytest.approx(seen["adversarial"]["activation"], abs=1e-4)
    assert of_class["relevance"] == pytest.approx(seen["natural"]["relevance"], abs=1e-5)
    assert answer["channels"]["noise"][(label + 1) % 10] is None  # no image of that class


def test_uploads_are_surveyed_in_their_order(client: TestClient) -> None:
    samples = client.get(f"/datasets/{DATA}/samples?limit=3").json()["samples"]
    uploads = [{"png": sample["png"], "label": sample["label"]} for sample in samples]
    mine, theirs = ask(client, images=uploads), ask(client, first={"dataset": DATA, "n": 3})
    assert mine["index"] == [0, 1, 2]
    assert mine["prediction"] == theirs["prediction"]
    bad = [uploads[0], {"png": base64.b64encode(b"no picture").decode()}]
    refused = client.post("/survey", json=ABOUT | {"images": bad})
    assert refused.status_code == 422
    assert "neither a PNG nor a JPEG" in refused.json()["detail"]
    assert refused.json()["errors"][0]["location"] == "images.1.png"


@pytest.mark.parametrize("given", [{}, {"first": {"dataset": DATA, "n": 2}, "images": [{"dataset": DATA, "index": 0}]}])
def test_either_the_first_images_or_a_list_is_asked_for(client: TestClient, given: dict[str, Any]) -> None:
    response = client.post("/survey", json=ABOUT | given)
    assert response.status_code == 422
    assert "give either `first` or `images`" in response.json()["detail"]


def test_more_than_a_request_may_have_are_a_jobs_and_found_again_by_another_server(
    serve: Serve, tmp_path: Path
) -> None:
    folder = save_models(tmp_path / "checkpoints")
    body = ABOUT | {"first": {"dataset": DATA, "n": 40}}
    with serve(checkpoints=folder, max_images=8) as client:
        missing = client.post("/survey", json=body)
        assert missing.status_code == 404
        assert "a job of kind 'survey' does it, and up to 8 are looked at now" in missing.json()["detail"]
    run_task(SurveyImages(model="tiny-natural", set={"eps": 0.1, "steps": 3}, data=DATA, n=40), Workspace(folder))
    with serve(checkpoints=folder, max_images=8) as client:
        kept = ask(client, first={"dataset": DATA, "n": 40})
        assert kept["kept"]
        few = ask(client, first={"dataset": DATA, "n": 8})
        assert few["prediction"]["adversarial"] == kept["prediction"]["adversarial"][:8]
        assert few["margin"]["natural"] == pytest.approx(kept["margin"]["natural"][:8], abs=1e-4)
        other = client.post("/survey", json=body | {"attack": ATTACK | {"steps": 4}})
        assert other.status_code == 404
