"""What a request costs decides whether it is taken, and when it is computed."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import torch
from fastapi.testclient import TestClient
from torch import Tensor, nn

from backend import adversarial, resolve
from backend.lab import Lab
from backend.schemas import Choice
from backend.settings import Settings
from benchmarks.passes import counting
from cifs.attacks import PGD
from cifs.models import CNN
from cifs.zoo import Zoo

Serve = Callable[..., TestClient]
EMBEDDED = Path(__file__).parents[2] / "checkpoints"
WIDE = "cifar10-resnet18-w64-vanilla"


def asked(model: str, images: int, **attack: Any) -> dict[str, Any]:
    dataset = "cifar10" if model.startswith("cifar10") else "fashion_mnist_mini"
    refs = [{"dataset": dataset, "index": i} for i in range(images)]
    return {"model": model, "images": refs, "attack": {"name": "pgd", "eps": 0.1} | attack}


def test_an_attack_of_a_quarter_of_an_hour_is_refused_with_its_cost_and_where_it_belongs(serve: Serve) -> None:
    """Once allowed, for images × steps alone were counted."""
    with serve(checkpoints=EMBEDDED) as client:
        answer = client.post("/attack", json=asked(WIDE, 64, steps=200))
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["errors"][0]["location"] == "attack"
        for part in (WIDE, "64 images × 200 gradient steps", "GFLOP", "up to 5000", "POST /jobs"):
            assert part in problem["detail"]
        layer = {"layer": "layer4.1", "target": "label", "relevance": "true"}
        assert client.post("/channels", json=asked(WIDE, 64, steps=200) | layer).status_code == 422


@pytest.mark.parametrize(
    ("model", "images", "attack"),
    [
        (WIDE, 1, {"steps": 200}),
        (WIDE, 40, {"steps": 20}),  # what the story of a model takes
        ("fmnist-resnet10-w16-natural", 64, {"steps": 200}),
    ],
)
def test_what_people_ask_for_is_allowed(model: str, images: int, attack: dict[str, Any]) -> None:
    settings = Settings(checkpoints=EMBEDDED, device="cpu")
    chosen = Choice.model_validate({"name": "pgd", "eps": 0.1} | attack)
    assert resolve.attack(chosen, images, Lab(settings).describe(model), settings).steps == attack["steps"]


@pytest.mark.slow
def test_a_short_request_is_answered_with_the_same_bytes_while_a_long_one_on_its_model_runs(serve: Serve) -> None:
    """Once it waited until the long one had ended."""
    long = asked("tiny-cifs", 64, steps=200, random_start=True, restarts=10)
    short = asked("tiny-cifs", 2, steps=5)
    with serve(max_image_steps=10**6) as client:
        alone = client.post("/attack", json=short).json()["results"]
        adversarial.forget()
        ended: list[float] = []

        def ask_long() -> None:
            assert client.post("/attack", json=long).status_code == 200
            ended.append(time.monotonic())

        thread = threading.Thread(target=ask_long)
        thread.start()
        while client.get("/health").json()["computing"] == 0:
            time.sleep(0.01)
        time.sleep(0.2)
        answer = client.post("/attack", json=short)
        assert not ended
        assert answer.json()["results"] == alone
        thread.join()


def test_what_was_computed_of_an_image_is_not_computed_again(serve: Serve) -> None:
    """Once `/attack` asked again ran the network five times, and every move of a slider as often."""
    attacked = asked("tiny-cifs", 2, steps=3)
    layer = attacked | {"layer": "layer4.0"}
    looks = {"target": "label"}, {"target": "prediction", "imgf": {"name": "softmax"}}
    channels = [("/channels", layer | look) for look in looks]
    move = ("/channels/intervene", layer | {"mask": [0.0, *[1.0] * 31]})
    adversarial.forget()
    with serve() as client:

        def passes(path: str, body: dict[str, Any]) -> int:
            with counting(1) as passes:
                answer = client.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return len(passes)

        first = client.post("/attack", json=attacked).json()["results"]
        assert passes("/attack", attacked) == 0
        assert client.post("/attack", json=attacked).json()["results"] == first
        assert [passes(*look) for look in channels] == [1, 1]
        assert [passes(*move) for _ in range(3)] == [2, 1, 1]  # with what the network says without a mask


def test_what_is_remembered_is_bounded_and_what_was_asked_for_last_stays(
    checkpoints: Path,
) -> None:
    model = Zoo(checkpoints).load("tiny-natural")
    images = [torch.full((1, 1, 28, 28), i / 40) for i in range(40)]
    adversarial.forget()
    adversarial.bound(10 * (adversarial.APIECE + 40))  # ten answers of ten logits
    with counting(1) as passes:
        for x in images:
            adversarial.logits(model, images[0])
            adversarial.logits(model, x)
        assert len(passes) == 40
        adversarial.logits(model, images[20])
        assert len(passes) == 41
        adversarial.bound(0)
        for _ in range(3):
            adversarial.logits(model, images[20])
    assert len(passes) == 44
    adversarial.bound(128 * 2**20)


class Small(nn.Module):
    """Answers with ten numbers, on the way to which it makes many more."""

    config: ClassVar = {"name": "small"}

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat(1, 16, 1, 1).relu().mean(dim=(2, 3))[:, :10]


def test_memory_grows_by_what_is_said_to_be_remembered(checkpoints: Path) -> None:
    """Ten thousand tensors of ten numbers once kept 109 MiB: each held on to the block that it was a part of."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    model = cast(CNN, Small())
    for i in range(5_100):
        if i == 100:  # warm
            adversarial.forget()
            before = resident()
        adversarial.logits(model, torch.full((1, 1, 28, 28), float(i)))
    said = 5_000 * (adversarial.APIECE + 40)
    assert resident() - before < 2 * said
    adversarial.forget()


def test_an_adversarial_image_is_remembered_by_weights_for_every_copy_of_a_model(checkpoints: Path) -> None:
    first, second = (Zoo(checkpoints).load("tiny-natural") for _ in range(2))
    other = Zoo(checkpoints).load("tiny-cas")
    steps: list[str] = []

    def count(model: CNN) -> int:
        torch.manual_seed(0)
        x, y = torch.rand(1, 1, 28, 28), torch.tensor([3])
        steps.clear()
        adversarial.adversarial(model, x, y, PGD(eps=0.1, steps=3), lambda progress: steps.append(progress.doing))
        return len(steps)

    adversarial.forget()
    assert [count(first), count(second), count(other)] == [3, 0, 3]
