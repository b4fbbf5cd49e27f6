"""The laboratory's endpoints against sums, hooks of the test's own, and the other endpoints."""

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from torch import Tensor

from cifs.attacks import PGD, perturb
from cifs.data import load_images
from cifs.models import CNN
from cifs.zoo import Zoo

INDICES = (0, 7)
IMAGES = [{"dataset": "fashion_mnist_mini", "index": i} for i in INDICES]
ATTACK = {"name": "pgd", "eps": 0.1, "steps": 3}
ABOUT = {"model": "tiny-natural", "images": IMAGES, "attack": ATTACK}


def ask(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(path, json=ABOUT | body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def refused(client: TestClient, path: str, **body: Any) -> str:
    response = client.post(path, json=ABOUT | body)
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    detail: str = response.json()["detail"]
    return detail


@pytest.fixture
def model(checkpoints: Path) -> CNN:
    return Zoo(checkpoints).load("tiny-natural")


@pytest.fixture
def pair(model: CNN) -> tuple[Tensor, Tensor, Tensor]:
    """x, x_adv (2, 1, 28, 28) and the labels."""
    images = load_images("fashion_mnist_mini", "test")
    x, y = images.batch(torch.tensor(INDICES))
    return x, perturb(model, x, y, PGD(eps=0.1, steps=3)), y


@torch.no_grad()
def patched(model: CNN, layer: str, x: Tensor, donor: Tensor, channels: list[int]) -> int:
    """The prediction of one image when some channels' features are another's, by hooks of the test's own."""
    stored: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda module, inputs, z: stored.append(z.clone()))
    model(donor)
    handle.remove()

    def put_in(module: torch.nn.Module, inputs: Any, z: Tensor) -> Tensor:
        z = z.clone()
        z[:, channels] = stored[0][:, channels]
        return z

    handle = model.get_submodule(layer).register_forward_hook(put_in)
    prediction = int(model(x).argmax())
    handle.remove()
    return prediction


@pytest.mark.parametrize(
    ("name", "layer"), [("tiny-natural", "layer4.0"), ("tiny-cifs", "layer4.0"), ("tiny-cas", "layer4.0")]
)
def test_the_parts_of_the_margin_sum_to_its_change(client: TestClient, name: str, layer: str) -> None:
    for result in ask(client, "/channels/margin", model=name, layer=layer)["results"]:
        parts = [*result["by_features"], *(result["by_importance"] or []), *result["by_maps_above"].values()]
        change = result["adversarial_margin"] - result["natural_margin"]
        assert result["exact"]
        assert sum(parts) == pytest.approx(change, abs=1e-4)
        assert result["rival"] != result["label"]
        assert (result["by_importance"] is None) == (name == "tiny-natural")


def test_at_an_inner_layer_the_completeness_error_is_shown(client: TestClient) -> None:
    for result in ask(client, "/channels/margin", layer="layer2.0", rival=3)["results"]:
        assert result["rival"] == 3
        assert not result["exact"]
        error = abs(sum(result["by_features"]) - result["passed"])
        assert result["completeness_error"] == pytest.approx(error, abs=1e-5)


def test_a_circuit_does_what_it_says_and_none_of_it_can_be_spared(
    client: TestClient, model: CNN, pair: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Untrained, the network may be wrong on the natural image already; then there is nothing to bring back."""
    x, x_adv, y = pair
    body = ask(client, "/channels/circuit", layers=["layer4.0"], direction="break", draws=10)
    for i, result in enumerate(body["results"]):
        channels = [channel["channel"] for channel in result["channels"]]
        prediction = patched(model, "layer4.0", x[i : i + 1], x_adv[i : i + 1], channels)
        assert result["patched"]["prediction"] == prediction
        assert result["reached"] == (prediction != int(y[i]))
        curves = result["curves"]
        assert curves["counts"][0] == 0
        assert curves["counts"][-1] == result["channels_in_all"] == 32
        assert curves["circuit"][0] == pytest.approx(curves["random"][0], abs=1e-4)
        assert curves["circuit"][-1] == pytest.approx(curves["relevance"][-1], abs=1e-4)
        assert all(low - 1e-5 <= high for low, high in zip(curves["random_low"], curves["random_high"], strict=True))


def test_layers_of_a_circuit_may_be_named_in_any_order(client: TestClient) -> None:
    body = ask(client, "/channels/circuit", layers=["layer4.0", "stem"])
    assert body["layers"] == ["stem", "layer4.0"]
    assert body["results"][0]["channels_in_all"] == 36


def test_scaled_channels_are_a_mask_as_under_intervene(client: TestClient) -> None:
    scalings = [{"layer": "layer4.0", "channels": [0, 5], "factor": 0.5}]
    results = ask(client, "/channels/what-if", scalings=scalings)["results"]
    mask = [0.5 if channel in (0, 5) else 1.0 for channel in range(32)]
    expected = client.post("/channels/intervene", json=ABOUT | {"layer": "layer4.0", "mask": mask}).json()["results"]
    for result, other in zip(results, expected, strict=True):
        assert result["edited_channels"] == {"layer4.0": 2}
        for kind in ("natural", "adversarial"):
            for when in ("before", "after"):
                assert result[kind][when]["probabilities"] == pytest.approx(
                    other[kind][when]["probabilities"], abs=1e-5
                )


def test_nothing_edited_is_the_network_as_it_was_also_when_attacked_again(client: TestClient) -> None:
    for result in ask(client, "/channels/what-if", again=True)["results"]:
        for kind in ("natural", "adversarial"):
            assert result[kind]["before"] == result[kind]["after"]
        assert [attack["through_mask"] for attack in result["again"]] == [False, True]
        for attack in result["again"]:
            assert attack["prediction"]["probabilities"] == pytest.approx(
                result["adversarial"]["before"]["probabilities"], abs=1e-5
            )


def test_the_models_own_imgf_in_its_place_changes_nothing_and_another_does(client: TestClient) -> None:
    own = {"name": "softmax", "per_channel": True}
    for imgf, same in ((own, True), ({"name": "softplus", "alpha": 0.1}, False)):
        reselections = [{"layer": "layer4.0", "imgf": imgf}]
        for result in ask(client, "/channels/what-if", model="tiny-cifs", reselections=reselections)["results"]:
            before, after = (result["natural"][when]["probabilities"] for when in ("before", "after"))
            assert (before == pytest.approx(after, abs=1e-6)) == same


def test_the_control_counts_draws_that_are_right(client: TestClient) -> None:
    """With every channel of the last layer silent, each draw is the same: the bias alone speaks."""
    everything = [{"layer": "layer4.0", "channels": list(range(32)), "factor": 0.0}]
    for result in ask(client, "/channels/what-if", scalings=everything, controls=7)["results"]:
        right = result["natural"]["after"]["prediction"] == result["label"]
        assert result["control"] == {"draws": 7, "natural_right": 7 * right, "adversarial_right": 7 * right}


def test_the_last_frame_of_a_film_is_the_attacked_image(client: TestClient) -> None:
    body = ask(client, "/channels/film", layer="layer3.0", channels=4)
    attacked = client.post("/attack", json=ABOUT | {"trajectory": True}).json()["results"]
    for result, other in zip(body["results"], attacked, strict=True):
        assert [frame["step"] for frame in result["frames"]] == [0, 1, 2, 3]
        assert result["frames"][-1]["png"] == other["image"]["png"]
        assert result["frames"][-1]["perturbation"] == other["perturbation"]["png"]
        assert result["magnification"] == other["perturbation"]["magnification"]
        for frame, step in zip(result["frames"], other["trajectory"], strict=True):
            assert frame["loss"] == pytest.approx(step["loss"], abs=1e-4)
            assert (frame["margin"] > 0) == (frame["prediction"]["prediction"] != result["label"])
        assert list(result["divergence"]) == ["stem", "layer1.0", "layer2.0", "layer3.0", "layer4.0"]
        assert all(path[0] == pytest.approx(0, abs=1e-6) and path[-1] > 0 for path in result["divergence"].values())
        moved = [abs(channel["activation"][-1] - channel["activation"][0]) for channel in result["moved"]]
        assert moved == sorted(moved, reverse=True)
        assert len(moved) == 4


def test_saliency_is_of_what_each_input_is_predicted_as(client: TestClient, model: CNN) -> None:
    body = ask(client, "/channels/saliency", layer="layer3.0", steps=100)
    x, _ = load_images("fashion_mnist_mini", "test").batch(torch.tensor(INDICES))
    with torch.no_grad():
        black = model(torch.zeros_like(x[:1]))[0]
        logits = model(x)
    for i, result in enumerate(body["results"]):
        maps = result["natural"]
        predicted = maps["prediction"]["prediction"]
        assert predicted == int(logits[i].argmax())
        change = float(logits[i, predicted] - black[predicted])
        assert sum(map(sum, maps["integrated_gradients"])) == pytest.approx(change, abs=0.02 * abs(change) + 1e-3)
        assert (len(maps["grad_cam"]), len(maps["grad_cam"][0])) == (7, 7)
        assert min(map(min, maps["grad_cam"])) >= 0


def test_transfer_counts_what_each_source_does_to_each_model(client: TestClient) -> None:
    two = {"models": ["tiny-natural", "tiny-cifs"], "images": IMAGES, "attack": ATTACK}
    body = client.post("/attack/transfer", json=two).json()
    assert [(entry["source"], entry["shown"]) for entry in body["entries"]] == [
        (source, shown) for source in two["models"] for shown in two["models"]
    ]
    own = client.post("/attack", json=ABOUT).json()["results"]
    assert [p["probabilities"] for p in body["entries"][0]["predictions"]] == [
        pytest.approx(result["adversarial"]["probabilities"], abs=1e-5) for result in own
    ]
    for entry in body["entries"]:
        right = [p["prediction"] == y for p, y in zip(body["natural"][entry["shown"]], body["labels"], strict=True)]
        wrong = [p["prediction"] != y for p, y in zip(entry["predictions"], body["labels"], strict=True)]
        assert entry["right_before"] == sum(right)
        assert entry["fooled"] == sum(a and b for a, b in zip(right, wrong, strict=True))
    for models, said in ((["tiny-cifs"] * 2, "none may be named twice"), (["tiny-cifs"], "at least 2")):
        response = client.post("/attack/transfer", json=two | {"models": models})
        assert response.status_code == 422
        assert said in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/channels/margin", {"layer": "layer9"}, "'layer9'; choose from: stem"),
        ("/channels/margin", {"layer": "stem", "rival": 10}, "rival = 10: no such class; allowed: 0 to 9"),
        ("/channels/margin", {"layer": "stem", "images": IMAGES * 4, "steps": 513}, "less than or equal to 512"),
        ("/channels/circuit", {"layers": ["layer9"]}, "'layer9'"),
        ("/channels/circuit", {"layers": ["stem", "stem"]}, "at least one, and none twice"),
        ("/channels/circuit", {"layers": ["stem"], "draws": 1000}, "less than or equal to 200"),
        ("/channels/what-if", {"scalings": [{"layer": "stem", "channels": [4], "factor": 0.0}]}, "channels 0 to 3"),
        ("/channels/what-if", {"scalings": [{"layer": "stem", "channels": "XR", "factor": 0.0}]}, "'XR'"),
        ("/channels/what-if", {"reselections": [{"layer": "stem", "imgf": {"name": "softplus"}}]}, "no linear head"),
        ("/channels/what-if", {"reselections": [{"layer": "stem", "imgf": {"name": "relu"}}]}, "'relu'"),
        ("/channels/film", {"layer": "stem", "channels": 0}, "greater than or equal to 1"),
        ("/channels/saliency", {"layer": "stem", "steps": 257}, "less than or equal to 256"),
        ("/channels/what-if", {"again": True, "attack": ATTACK | {"steps": 50}}, "6 images × 50 steps"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_is_allowed(
    client: TestClient, path: str, body: dict[str, Any], said: str
) -> None:
    assert said in refused(client, path, **body)


# ---- the page of one image ------------------------------------------------------------------------------------------


def test_the_page_is_of_the_images_that_the_attack_gives(client: TestClient) -> None:
    about = ABOUT | {"images": IMAGES[:1]}
    (result,) = client.post("/attack", json=about).json()["results"]
    page = client.post("/channels/report", json=about | {"layer": "layer4.0"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-disposition"].startswith("attachment")
    for image in ("natural_image", "image"):
        exact = np.load(io.BytesIO(base64.b64decode(result[image]["npy"])))
        assert hashlib.sha256(exact.tobytes()).hexdigest() in page.text
    assert "--set eps=0.1 --set steps=3" in page.text
    assert "curl http://testserver/channels/report" in page.text


def test_a_page_is_of_one_image_and_a_layer_there_is(client: TestClient) -> None:
    assert "images" in refused(client, "/channels/report", layer="layer4.0")
    assert "no layer 'x'" in refused(client, "/channels/report", images=IMAGES[:1], layer="x")
