"""`POST /channels`, `/channels/maps` and `/channels/intervene` against hooks and algebra of the test's own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from torch import Tensor

from cifs.data import load_images
from cifs.models import CNN
from cifs.selection import IMGFS
from cifs.zoo import Zoo

IMAGES = [{"dataset": "fashion_mnist_mini", "index": i} for i in (0, 7)]
PGD = {"name": "pgd", "eps": 0.1, "steps": 2}


def ask(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(path, json={"model": "tiny-cifs", "layer": "layer4.0", "images": IMAGES} | body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.fixture
def model(checkpoints: Path) -> CNN:
    return Zoo(checkpoints).load("tiny-cifs")


@pytest.fixture
def x() -> Tensor:
    """(2, 1, 28, 28): the images asked for."""
    return load_images("fashion_mnist_mini", "test").images[[0, 7]].float() / 255


@torch.no_grad()
def features_of(model: CNN, layer: str, x: Tensor) -> Tensor:
    kept: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda module, inputs, z: kept.append(z))
    model(x)
    handle.remove()
    return kept[0]


@pytest.mark.parametrize("layer", ["stem", "layer1.0", "layer2.0", "layer3.0", "layer4.0"])
def test_activations_are_the_means_of_the_maps(client: TestClient, model: CNN, x: Tensor, layer: str) -> None:
    z = features_of(model, layer, x)
    for result, row in zip(ask(client, "/channels", layer=layer)["results"], z.mean(dim=(2, 3)), strict=True):
        assert result["natural"]["activation"] == pytest.approx(row.tolist(), abs=1e-5)
        assert result["adversarial"] is None


def test_at_the_penultimate_layer_relevance_is_the_weight_row_of_the_target(
    client: TestClient, checkpoints: Path
) -> None:
    model = Zoo(checkpoints).load("tiny-natural")
    weight = next(m for m in reversed(list(model.modules())) if isinstance(m, torch.nn.Linear)).weight
    body = ask(client, "/channels", model="tiny-natural", target=3)
    for result in body["results"]:
        assert result["natural"]["target"] == 3
        assert result["natural"]["relevance"] == pytest.approx(weight[3].tolist(), abs=1e-5)
    assert body["importance_source"] is None
    assert body["imgf"] is None
    assert body["results"][0]["natural"]["importance"] is None
    assert body["results"][0]["natural"]["selected"] is None


def test_the_importance_of_a_modified_layer_is_the_models_own(client: TestClient, model: CNN, x: Tensor) -> None:
    body = ask(client, "/channels")
    with torch.no_grad():
        selection = model.trace(x).layers["layer4.0"]
    assert body["importance_source"] == "model"
    assert body["imgf"] == {"name": "softmax", "temperature": 1.0, "scale": 1.0, "per_channel": True}
    for i, result in enumerate(body["results"]):
        assert result["natural"]["importance"] == pytest.approx(selection.importance[i].tolist(), abs=1e-5)
        means = selection.selected[i].mean(dim=(1, 2))
        assert result["natural"]["selected"] == pytest.approx(means.tolist(), abs=1e-5)


@pytest.mark.parametrize("name", IMGFS)
@pytest.mark.parametrize("layer", ["stem", "layer4.0"])
def test_a_what_if_imgf_is_applied_to_the_relevance_of_any_layer(client: TestClient, name: str, layer: str) -> None:
    body = ask(client, "/channels", layer=layer, imgf={"name": name})
    assert body["importance_source"] == "request"
    assert body["imgf"]["name"] == name
    for result in body["results"]:
        seen = result["natural"]
        expected = IMGFS[name]()(torch.tensor(seen["relevance"])[None])[0]
        assert seen["importance"] == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-6)
        assert seen["selected"] == pytest.approx((expected * torch.tensor(seen["activation"])).tolist(), abs=1e-5)


@pytest.mark.parametrize("relevance", ["true", "assessed", {"name": "assessed", "k": 3}])
def test_every_relevance_is_resolved_and_one_number_a_channel(client: TestClient, relevance: Any) -> None:
    body = ask(client, "/channels", relevance=relevance, attack=PGD)
    assert body["relevance"]["name"] == (relevance if isinstance(relevance, str) else relevance["name"])
    for result in body["results"]:
        assert len(result["natural"]["relevance"]) == len(result["adversarial"]["relevance"]) == 32


@pytest.mark.parametrize("target", ["label", "prediction", 5])
def test_the_target_is_the_label_or_each_inputs_own_prediction_or_a_class(client: TestClient, target: Any) -> None:
    for result in ask(client, "/channels", target=target, attack=PGD)["results"]:
        for seen in (result["natural"], result["adversarial"]):
            expected = {"label": result["label"], "prediction": seen["prediction"], 5: 5}[target]
            assert seen["target"] == expected


def test_an_attack_that_may_change_nothing_gives_two_equal_views(client: TestClient) -> None:
    for result in ask(client, "/channels", attack={"name": "pgd", "eps": 0})["results"]:
        assert result["natural"] == result["adversarial"]


def test_channels_are_those_of_the_image_that_attack_returns(client: TestClient) -> None:
    attacked = client.post("/attack", json={"model": "tiny-cifs", "images": IMAGES, "attack": PGD}).json()
    body = ask(client, "/channels", attack=PGD)
    assert body["attack"] == attacked["attack"]
    for seen, result in zip(body["results"], attacked["results"], strict=True):
        assert seen["adversarial"]["probabilities"] == pytest.approx(result["adversarial"]["probabilities"], abs=1e-6)


def test_maps_are_the_features_of_the_channels_asked_for_in_their_order(
    client: TestClient, model: CNN, x: Tensor
) -> None:
    body = ask(client, "/channels/maps", layer="layer3.0", channels=[5, 0], attack=PGD)
    z = features_of(model, "layer3.0", x)
    for i, result in enumerate(body["results"]):
        assert [maps["channel"] for maps in result["channels"]] == [5, 0]
        for maps in result["channels"]:
            assert torch.allclose(torch.tensor(maps["natural"]), z[i, maps["channel"]], atol=1e-5)
            assert torch.tensor(maps["adversarial"]).shape == z.shape[2:]


def test_a_mask_of_ones_changes_nothing_and_one_of_zeros_leaves_the_bias(client: TestClient, checkpoints: Path) -> None:
    ones = ask(client, "/channels/intervene", mask=[1.0] * 32, attack=PGD)
    for result in ones["results"]:
        assert result["natural"]["before"] == result["natural"]["after"]
        assert result["adversarial"]["before"] == result["adversarial"]["after"]
    zeros = ask(client, "/channels/intervene", model="tiny-natural", mask=[0] * 32)
    head = next(m for m in reversed(list(Zoo(checkpoints).load("tiny-natural").modules())) if hasattr(m, "bias"))
    for result in zeros["results"]:
        bias_alone = head.bias.softmax(dim=0).tolist()  # type: ignore[operator, union-attr]
        assert result["natural"]["after"]["probabilities"] == pytest.approx(bias_alone, abs=1e-5)
        assert result["adversarial"] is None


def test_what_is_attached_for_one_request_is_gone_for_the_next(client: TestClient) -> None:
    before = ask(client, "/channels")
    ask(client, "/channels/intervene", mask=[0] * 32)
    assert ask(client, "/channels") == before
