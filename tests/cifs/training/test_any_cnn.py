"""A network of another library, modified at layers a recipe names: trained, saved, evaluated and looked at."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from backend.app import create_app
from backend.settings import Settings
from cifs.cli import app
from cifs.data import load_images
from cifs.zoo import Zoo
from tests.cifs.tiny import npz

RECIPE = """
title = "CIFS elsewhere"
method = "cifs"
dataset = "wide"
epochs = 1
batch_size = 8
padding = 2
validation = 8
attack = {{ name = "fgsm", random_start = true }}
[model]
arch = "{arch}"
method = "cifs"
imgf = {{ name = "softmax", per_channel = true }}
sites = [
    {{ layer = "{first}", probe = {{ name = "mlp", hidden = 8 }} }},
    {{ layer = "{second}", probe = {{ name = "linear" }} }},
]
"""
NETWORKS = {
    "torchvision:mobilenet_v3_small": ("features.8", "features.12"),
    "timm:resnet10t": ("layer3.0", "layer4.0"),
}


def cifs(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.slow
@pytest.mark.parametrize("arch", NETWORKS)
def test_a_network_of_a_library_goes_the_whole_way_on_images_of_40_by_64(arch: str, data: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(40) % 3
    pixels = (random.integers(0, 80, (40, 40, 64, 3)) + 80 * labels[:, None, None, None]).astype(np.uint8)
    npz(data, "wide", train_images=pixels, train_labels=labels, test_images=pixels[:8], test_labels=labels[:8])
    first, second = NETWORKS[arch]
    (tmp_path / "elsewhere.toml").write_text(RECIPE.format(arch=arch, first=first, second=second))
    where = ("--checkpoints", tmp_path / "zoo")

    cifs("train", tmp_path / "elsewhere.toml", "--runs", tmp_path / "runs", *where)
    zoo = Zoo(tmp_path / "zoo")
    entry, model = zoo.entry("elsewhere"), zoo.load("elsewhere")
    assert (entry.config["arch"], entry.config["width"], entry.config["image_size"]) == (arch, None, [40, 64])
    assert model.modified == (first, second)
    assert f"CIFS elsewhere: {arch} on" in (entry.folder / "README.md").read_text()

    evaluated = cifs(
        "evaluate", "elsewhere", "--precision", "float32", "--column", "natural", "--column", "fgsm", *where
    )
    x, y = load_images("wide", "test").batch(slice(None))
    with torch.no_grad():
        assert f"{100 * float((model(x).argmax(dim=1) == y).float().mean()):.2f}" in evaluated.output
    assert "elsewhere" in cifs("models", *where).output
    cifs("statistics", "elsewhere", *where)
    asked_of_the_server(tmp_path / "zoo", arch, second)


def asked_of_the_server(zoo: Path, arch: str, layer: str) -> None:
    image = {"dataset": "wide", "index": 0}
    with TestClient(create_app(Settings(checkpoints=zoo, device="cpu"))) as client:  # type: ignore[call-arg]
        model = client.get("/models/elsewhere").json()
        assert (model["arch"], model["width"], model["imgf"]["name"]) == (arch, None, "softmax")
        assert [known["name"] for known in model["layers"] if known["modified"]] == list(NETWORKS[arch])
        attack = {"name": "pgd", "eps": "8/255", "steps": 2}
        body = {"model": "elsewhere", "images": [image], "attack": attack}
        assert client.post("/attack", json=body).status_code == 200
        channels = client.post("/channels", json={**body, "layer": layer, "relevance": "true"})
        assert channels.status_code == 200
        (result,) = channels.json()["results"]
        size = next(known["channels"] for known in model["layers"] if known["name"] == layer)
        assert len(result["adversarial"]["importance"]) == len(result["natural"]["relevance"]) == size
        statistics = client.get("/models/elsewhere/channel-statistics", params={"class": 0, "layer": layer})
        assert statistics.status_code == 200
