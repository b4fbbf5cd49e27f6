"""Channel pages, responses along ε and faithfulness over HTTP, against the library and the other endpoints."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from backend.app import create_app
from backend.settings import Settings
from cifs.channels.exemplars import Exemplars
from cifs.tasks import FindExemplars, Workspace, exemplars_path, run_task
from cifs.zoo import Zoo

IMAGES = [{"dataset": "fashion_mnist_mini", "index": i} for i in (0, 7)]
PAGE = "/models/tiny-cifs/layers/layer3.0/channels/3"


@pytest.fixture(scope="module")
def folder(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny models, one of them with exemplars."""
    root = tmp_path_factory.mktemp("with-exemplars") / "checkpoints"
    shutil.copytree(checkpoints, root)
    run_task(FindExemplars(model="tiny-cifs", n=100), Workspace(root))
    return root


@pytest.fixture(scope="module")
def client(folder: Path) -> TestClient:
    settings = Settings(checkpoints=folder, device="cpu", jobs="off", max_image_steps=200, max_images=8)
    return TestClient(create_app(settings), raise_server_exceptions=False)


def test_a_channels_page_is_what_the_task_saved(client: TestClient, folder: Path) -> None:
    answer = client.get(PAGE).json()
    page = Exemplars.load(exemplars_path(Zoo(folder).entry("tiny-cifs"))).page("layer3.0", 3)
    assert (answer["n"], answer["channels"], answer["dataset"]) == (100, 16, "fashion_mnist_mini")
    assert [shown["index"] for shown in answer["by_activation"]] == page.images["activation"]
    assert [shown["value"] for shown in answer["by_relevance"]] == pytest.approx(page.values["relevance"])
    assert [near["channel"] for near in answer["nearest"]] == page.nearest
    assert answer["activation"] == pytest.approx(page.activation.tolist())
    for shown in answer["by_activation"]:
        seen = shown["seen"]
        assert 0 <= seen["top"] <= seen["bottom"] <= 28
        assert 0 <= seen["left"] <= seen["right"] <= 28


def test_the_attacked_image_that_activates_it_most_does_so_under_the_attack_told(client: TestClient) -> None:
    answer = client.get(PAGE).json()
    assert (answer["attack"]["name"], answer["attack"]["steps"], answer["attack"]["eps"]) == ("pgd", 20, 0.1)
    for ranking in ("by_activation", "by_relevance"):
        assert len(answer[f"attacked_{ranking}"]) == 6
    best = answer["attacked_by_activation"][0]
    image = {"dataset": "fashion_mnist_mini", "index": best["index"]}
    about: dict[str, Any] = {"model": "tiny-cifs", "images": [image], "attack": answer["attack"]}
    view = client.post("/channels", json=about | {"layer": "layer3.0"}).json()["results"][0]
    assert view["adversarial"]["activation"][3] == pytest.approx(best["value"], rel=1e-3)  # of another batch's size
    told = [shown["value"] for shown in answer["attacked_by_activation"]]
    assert told == sorted(told, reverse=True)
    assert best["png"] == client.post("/attack", json=about).json()["results"][0]["image"]["png"]


def test_the_image_that_activates_it_most_does_so_by_the_value_told(client: TestClient) -> None:
    best = client.get(PAGE).json()["by_activation"][0]
    image = {"dataset": "fashion_mnist_mini", "index": best["index"]}
    view = client.post("/channels", json={"model": "tiny-cifs", "layer": "layer3.0", "images": [image]}).json()
    assert view["results"][0]["natural"]["activation"][3] == pytest.approx(best["value"], abs=1e-5)


def test_what_has_no_page_says_how_to_get_one(client: TestClient) -> None:
    missing = client.get("/models/tiny-natural/layers/layer3.0/channels/3")
    assert missing.status_code == 404
    assert "`cifs exemplars tiny-natural` finds them" in missing.json()["detail"]
    for path, status, said in (
        ("/models/tiny-cifs/layers/layer9/channels/3", 422, "'layer9'"),
        ("/models/tiny-cifs/layers/layer3.0/channels/16", 422, "channels 0 to 15"),
        ("/models/nobody/layers/layer3.0/channels/3", 404, "'nobody'"),
    ):
        response = client.get(path)
        assert response.status_code == status
        assert said in response.json()["detail"]


def test_exemplars_of_other_weights_are_not_shown(client: TestClient, folder: Path) -> None:
    path = exemplars_path(Zoo(folder).entry("tiny-cas"))
    shutil.copy(exemplars_path(Zoo(folder).entry("tiny-cifs")), path)
    assert client.get(PAGE.replace("tiny-cifs", "tiny-cas")).status_code == 404
    path.unlink()


def test_the_response_runs_from_natural_to_twice_the_budget(client: TestClient) -> None:
    about: dict[str, Any] = {"model": "tiny-cifs", "layer": "layer3.0", "images": IMAGES}
    attack = {"name": "pgd", "eps": 0.1, "steps": 3}
    body = client.post("/channels/response", json=about | {"attack": attack, "channels": [3, 0], "points": 3}).json()
    assert body["eps"] == pytest.approx([0.0, 0.1, 0.2])
    for point, eps in enumerate(body["eps"]):
        view = client.post("/channels", json=about | {"attack": attack | {"eps": eps}}).json()
        for result, expected in zip(body["results"], view["results"], strict=True):
            assert [c["channel"] for c in result["channels"]] == [3, 0]
            for channel in result["channels"]:
                for quantity in ("activation", "relevance"):
                    of_view = expected["adversarial"][quantity][channel["channel"]]
                    assert channel[quantity][point] == pytest.approx(of_view, abs=1e-5)


def test_every_notion_is_reported_with_its_interval_beside_the_control(client: TestClient) -> None:
    body = client.post(
        "/channels/faithfulness", json={"model": "tiny-cifs", "layer": "layer4.0", "images": IMAGES}
    ).json()
    names = [notion["notion"] for notion in body["notions"]]
    assert names == ["true", "assessed", "gradient_x_activation", "conductance", "ablation", "random"]
    assert (body["n"], len(body["correlations"])) == (2, 5)
    for notion in body["notions"]:
        assert notion["deletion"]["low"] <= notion["deletion"]["mean"] <= notion["deletion"]["high"]
        assert notion["deletion_curve"][0] == pytest.approx(notion["insertion_curve"][-1], abs=1e-5)
    one = next(notion for notion in body["notions"] if notion["notion"] == "ablation")
    assert one["correlation"]["mean"] == pytest.approx(1)
    plain = client.post("/channels/faithfulness", json={"model": "tiny-cifs", "layer": "stem", "images": IMAGES}).json()
    assert "assessed" not in [notion["notion"] for notion in plain["notions"]]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/channels/response", {"channels": [99], "attack": {"name": "fgsm"}}, "channel 99"),
        ("/channels/response", {"channels": [0], "attack": {"name": "pgd"}, "points": 33}, "66 images × 20 steps"),
        ("/channels/faithfulness", {"notions": ["shapley"]}, "'shapley'"),
        ("/channels/faithfulness", {"notions": ["assessed"], "layer": "stem"}, "no probe"),
    ],
)
def test_what_cannot_be_asked_is_refused(client: TestClient, path: str, body: dict[str, Any], said: str) -> None:
    response = client.post(path, json={"model": "tiny-cifs", "layer": "layer3.0", "images": IMAGES} | body)
    assert response.status_code == 422
    assert said in response.json()["detail"]


def test_an_optimised_image_drives_the_channel_as_far_as_it_says(client: TestClient) -> None:
    asked = {"model": "tiny-cifs", "layer": "layer3.0", "channel": 3, "steps": 12}
    found = client.post("/channels/visualise", json=asked).json()
    assert len(found["climb"]) == 13
    assert found["reached"] == max(found["climb"]) >= found["start"] == found["climb"][0]
    best = client.get(PAGE).json()["by_activation"][0]["value"]
    assert found["exemplar"] == pytest.approx(best)
    image = {"png": found["png"]}
    view = client.post("/channels", json={"model": "tiny-cifs", "layer": "layer3.0", "images": [image]}).json()
    rounded = view["results"][0]["natural"]["activation"][3]
    assert rounded == pytest.approx(found["reached"], rel=0.05, abs=1e-3)  # a PNG has 8 bits
    refusal = client.post("/channels/visualise", json=asked | {"channel": 99})
    assert refusal.status_code == 422
    assert "channel 99: layer 'layer3.0' has channels 0 to 15" in refusal.json()["detail"]


def test_notes_are_kept_listed_and_deleted(client: TestClient, folder: Path) -> None:
    text = "<script>alert('ε')</script>\nsecond line"
    written = client.put(f"{PAGE}/note", json={"text": text})
    assert written.status_code == 200, written.text
    assert client.put(f"{PAGE}/note", json={"text": text + "!"}).json()["text"] == text + "!"
    again = TestClient(create_app(Settings(checkpoints=folder, device="cpu", jobs="off")))  # another server, later
    (note,) = again.get("/models/tiny-cifs/notes").json()
    assert (note["layer"], note["channel"], note["text"]) == ("layer3.0", 3, text + "!")
    assert client.get("/models/tiny-natural/notes").json() == []
    assert client.delete(f"{PAGE}/note").json()["text"] == text + "!"
    assert client.get("/models/tiny-cifs/notes").json() == []
    assert client.delete(f"{PAGE}/note").status_code == 404


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "x" * 4001}, {"text": 3}, {"text": "x", "more": 1}])
def test_what_is_no_note_is_refused_and_nothing_is_kept(client: TestClient, body: dict[str, Any]) -> None:
    assert client.put(f"{PAGE}/note", json=body).status_code == 422
    assert client.get("/models/tiny-cifs/notes").json() == []


def test_a_note_belongs_to_a_channel_there_is(client: TestClient) -> None:
    for path in ("layers/layer3.0/channels/16", "layers/..%2Fx/channels/0", "layers/layer9/channels/0"):
        assert client.put(f"/models/tiny-cifs/{path}/note", json={"text": "x"}).status_code in (404, 422)
    assert client.get("/models/tiny-cifs/notes").json() == []
