"""The sidebar offers models by data set and network: those whose images are on the server come first."""

from types import SimpleNamespace
from typing import Any

from backend.schemas import DatasetInfo, ModelInfo
from frontend.components.scene import _families
from tests.frontend.fake_backend import CLASSES, model_info


def model(id_: str, **changes: Any) -> ModelInfo:
    return model_info("natural").model_copy(update={"id": id_, **changes})


def data(name: str, shape: tuple[int, int, int], *, available: bool) -> DatasetInfo:
    return DatasetInfo(
        name=name, title=name.upper(), available=available, classes=CLASSES, image_shape=shape, eps=0.1, sizes={}
    )


CIFAR = {"dataset": "cifar10", "image_shape": (3, 32, 32), "arch": "resnet18"}
MODELS = [model("a", **CIFAR), model("b", **CIFAR, width=64), model("c"), model("d", **CIFAR)]


def families(*, cifar10: bool) -> dict[str, list[str]]:
    datasets = [
        data("fashion_mnist_mini", (1, 28, 28), available=True),
        data("cifar10", (3, 32, 32), available=cifar10),
    ]
    lab: Any = SimpleNamespace(datasets=lambda: datasets)
    return {name: [m.id for m in members] for name, members in _families(lab, MODELS).items()}


def test_models_of_one_data_set_architecture_and_width_are_a_family() -> None:
    assert sorted(families(cifar10=True).values()) == [["a", "d"], ["b"], ["c"]]
    assert next(iter(families(cifar10=True))) == "CIFAR10, resnet18, width 16"


def test_a_family_without_images_on_the_server_comes_last() -> None:
    assert list(families(cifar10=False).values()) == [["c"], ["a", "d"], ["b"]]
