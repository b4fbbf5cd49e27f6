"""`POST /attack` against what numpy and the model itself say."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from cifs.attacks import ATTACKS
from cifs.data import load_images
from cifs.models import CNN
from cifs.zoo import Zoo

EMBEDDED = Path(__file__).parents[2] / "checkpoints"
IMAGES = [{"dataset": "fashion_mnist_mini", "index": i} for i in (0, 7)]
PGD = {"name": "pgd", "eps": 0.1, "steps": 3}
QUICK = {"fgsm": {}, "square": {"queries": 6}}


def array(npy: str) -> torch.Tensor:
    """(C, H, W)"""
    return torch.from_numpy(np.load(io.BytesIO(base64.b64decode(npy))))


def picture(png: str) -> torch.Tensor:
    """(C, H, W) in [0, 1] of a grey PNG."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(base64.b64decode(png))), dtype=np.float32))[None] / 255


@torch.no_grad()
def prediction(model: CNN, x: torch.Tensor) -> int:
    return int(model(x[None]).argmax())


def attack(client: TestClient, model: str = "tiny-natural", images: Any = IMAGES, **attack: Any) -> dict[str, Any]:
    response = client.post("/attack", json={"model": model, "images": images, "attack": PGD | attack})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("model", ["tiny-natural", "tiny-cifs", "tiny-cas"])
def test_every_attack_stays_in_the_ball_and_says_what_the_model_says(
    client: TestClient, checkpoints: Path, model: str, name: str
) -> None:
    chosen = {"name": name, "eps": 0.1} | QUICK.get(name, {"steps": 3})
    response = client.post("/attack", json={"model": model, "images": IMAGES, "attack": chosen})
    cnn, data = Zoo(checkpoints).load(model), load_images("fashion_mnist_mini", "test")
    for ref, result in zip(IMAGES, response.json()["results"], strict=True):
        x, x_adv = array(result["natural_image"]["npy"]), array(result["image"]["npy"])
        assert torch.equal(x * 255, data.images[ref["index"]].float())
        assert result["label"] == int(data.labels[ref["index"]])
        assert 0 <= x_adv.min() <= x_adv.max() <= 1
        assert (x_adv - x).abs().max() <= 0.1 + 1e-6
        assert result["linf"] == pytest.approx(float((x_adv - x).abs().max()))
        assert result["norm"] == response.json()["attack"]["norm"] == ("l2" if name == "pgd_l2" else "linf")
        order = 2 if result["norm"] == "l2" else np.inf
        assert result["size"] == pytest.approx(np.linalg.norm((x_adv - x).flatten().numpy(), order), abs=1e-6)
        assert result["size"] <= 0.1 + 1e-6
        assert torch.equal(array(result["perturbation"]["npy"]), x_adv - x)
        assert result["natural"]["prediction"] == prediction(cnn, x)
        assert result["adversarial"]["prediction"] == prediction(cnn, x_adv)
        assert sum(result["adversarial"]["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert result["success"] == (prediction(cnn, x_adv) != result["label"])
        assert result["png_success"] == (prediction(cnn, picture(result["image"]["png"])) != result["label"])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(client: TestClient) -> None:
    first, again, other = (attack(client, random_start=True, seed=seed)["results"] for seed in (1, 1, 2))
    assert first == again
    assert first[0]["image"]["npy"] != other[0]["image"]["npy"]


def test_the_resolved_attack_has_every_parameter_filled_in(client: TestClient) -> None:
    resolved = attack(client, eps="8/255")["attack"]
    assert resolved["eps"] == pytest.approx(8 / 255)
    assert resolved["step_size"] == pytest.approx(0.8 / 255)
    assert {"name", "steps", "random_start", "restarts", "loss", "beta", "target", "keep", "seed"} <= set(resolved)


def test_no_budget_changes_nothing(client: TestClient) -> None:
    for result in attack(client, eps=0)["results"]:
        assert result["linf"] == 0
        assert result["image"] == result["natural_image"]
        assert result["natural"] == result["adversarial"]


def test_the_trajectory_starts_at_the_natural_image_and_ends_at_the_adversarial_one(client: TestClient) -> None:
    body = {"model": "tiny-natural", "images": IMAGES, "attack": PGD, "trajectory": True}
    for result in client.post("/attack", json=body).json()["results"]:
        trajectory = result["trajectory"]
        assert [step["step"] for step in trajectory] == [0, 1, 2, 3]
        assert trajectory[0]["probabilities"] == pytest.approx(result["natural"]["probabilities"], abs=1e-5)
        assert trajectory[-1]["prediction"] == result["adversarial"]["prediction"]
        cross_entropy = -np.log(trajectory[-1]["probabilities"][result["label"]])
        assert trajectory[-1]["loss"] == pytest.approx(cross_entropy, rel=1e-3)


def test_with_restarts_the_trajectory_is_that_of_the_image_which_is_sent(client: TestClient) -> None:
    restarts = PGD | {"eps": 0.03, "steps": 2, "restarts": 8, "random_start": True}
    many = [{"dataset": IMAGES[0]["dataset"], "index": i} for i in range(8)]
    unlabelled = [{"png": result["natural_image"]["png"]} for result in attack(client, images=many)["results"]]
    body = {"model": "tiny-natural", "images": unlabelled, "attack": restarts, "trajectory": True}
    results = client.post("/attack", json=body).json()["results"]
    for result in results:
        assert [step["step"] for step in result["trajectory"]] == [0, 1, 2]
        assert result["trajectory"][-1]["probabilities"] == pytest.approx(
            result["adversarial"]["probabilities"], abs=1e-5
        )


def test_no_trajectory_is_sent_unasked(client: TestClient) -> None:
    assert attack(client)["results"][0]["trajectory"] is None


def test_an_upload_without_a_label_is_labelled_by_its_natural_prediction(client: TestClient) -> None:
    natural = attack(client)["results"][0]
    upload = {"png": natural["natural_image"]["png"]}
    unlabelled, labelled = attack(client, images=[upload, upload | {"label": 3}])["results"]
    assert unlabelled["label"] == unlabelled["natural"]["prediction"] == natural["natural"]["prediction"]
    assert labelled["label"] == 3


def test_an_uploaded_png_is_the_same_image_as_the_one_of_the_data_set(client: TestClient) -> None:
    named = attack(client)["results"][0]
    upload = {"png": named["natural_image"]["png"], "label": named["label"]}
    uploaded = attack(client, images=[upload, IMAGES[1]])["results"][0]
    assert uploaded["natural_image"]["npy"] == named["natural_image"]["npy"]
    assert uploaded["image"]["npy"] == named["image"]["npy"]


def test_an_exact_image_is_the_very_one_that_was_answered(client: TestClient) -> None:
    """A PNG of an adversarial image can undo the attack; once nothing else could be sent."""
    (found,) = attack(client, images=IMAGES[:1])["results"]
    exact = {"npy": found["image"]["npy"], "label": found["label"]}
    (again,) = attack(client, images=[exact])["results"]
    assert again["natural_image"]["npy"] == found["image"]["npy"]
    assert again["natural"] == found["adversarial"]
    assert attack(client, images=[exact | {"label": None}])["results"][0]["label"] == found["adversarial"]["prediction"]


def npy(array: np.ndarray[Any, Any], cut: int | None = None) -> dict[str, str]:
    file = io.BytesIO()
    np.save(file, array)
    return {"npy": base64.b64encode(file.getvalue()[:cut]).decode()}


FLAT = np.full((1, 28, 28), 0.5, np.float32)
HUGE = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 28, 28), }"


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (npy(FLAT[0]), "an array (28, 28) of float32 in 3136 bytes; allowed: (1, 28, 28) of float32"),
        (npy(FLAT.astype(float)), "of float64 in 6272 bytes"),
        (npy(FLAT, cut=-4), "in 3132 bytes"),
        (npy(FLAT + 1), "pixels from 1.5 to 1.5; allowed: 0 to 1"),
        (npy(FLAT * np.nan), "pixels from nan to nan"),
        (npy(np.array([print], object)), "object"),
        ({"npy": base64.b64encode(HUGE.ljust(128)).decode()}, "(99999999, 28, 28)"),
        ({"npy": base64.b64encode(b"PK no array").decode()}, "not a .npy file"),
        ({"npy": base64.b64encode(b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000).decode()}, "not a .npy file"),
        ({"npy": "%"}, "not base64"),
    ],
)
def test_what_is_no_exact_image_is_refused_with_what_is_allowed(
    client: TestClient, image: dict[str, str], why: str
) -> None:
    answer = client.post("/attack", json={"model": "tiny-natural", "images": [image], "attack": PGD})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["location"] == "images.0.npy"
    assert why in answer.json()["detail"]


def test_an_exact_image_in_fortran_order_is_the_same(client: TestClient) -> None:
    gradient = np.linspace(0, 1, 784, dtype=np.float32).reshape(1, 28, 28)
    both = attack(client, images=[npy(gradient), npy(np.asfortranarray(gradient))])["results"]
    assert both[0]["natural_image"] == both[1]["natural_image"]


def test_a_targeted_attack_succeeds_when_the_target_is_predicted(client: TestClient) -> None:
    for result in attack(client, target=4, eps=0.5)["results"]:
        assert result["success"] == (result["adversarial"]["prediction"] == 4)


def test_compute_time_is_told(client: TestClient) -> None:
    assert 0 < attack(client)["seconds"] < 60


@pytest.mark.skipif(not (EMBEDDED / "fmnist-resnet10-w16-natural" / "config.json").exists(), reason="not trained here")
def test_pgd_flips_the_embedded_natural_model_within_the_budget(serve: Any) -> None:
    with serve(checkpoints=EMBEDDED) as client:
        request = {"model": "fmnist-resnet10-w16-natural", "images": IMAGES[:1]}
        request["attack"] = {"name": "pgd", "eps": 0.1, "steps": 20}
        first, again = (client.post("/attack", json=request).json()["results"][0] for _ in range(2))
    x, x_adv = array(first["natural_image"]["npy"]), array(first["image"]["npy"])
    assert first["natural"]["prediction"] == first["label"] == 9
    assert first["adversarial"]["prediction"] != 9
    assert first["success"]
    assert (x_adv - x).abs().max() <= 0.1 + 1e-6
    assert first == again
