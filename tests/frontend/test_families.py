"""The sidebar offers models by data set and network: those whose images are on the server come first."""

from types import SimpleNamespace
from typing import Any

from backend.schemas import DatasetInfo, ModelInfo
from frontend.components.gallery import at_hand, fitting_datasets, nearness
from frontend.components.scene import _families
from tests.frontend.fake_backend import CLASSES, model_info


def model(id_: str, **changes: Any) -> ModelInfo:
    return model_info("natural").model_copy(update={"id": id_, **changes})


def data(name: str, shape: tuple[int, int, int], *, available: bool = True, drawn: bool = False) -> DatasetInfo:
    return DatasetInfo(
        name=name, title=name.upper(), available=available, classes=CLASSES, image_shape=shape, eps=0.1, sizes={},
        drawn=drawn,
    )  # fmt: skip


CIFAR = {"dataset": "cifar10", "image_shape": (3, 32, 32), "arch": "resnet18"}
MNIST, DRAWN = data("fashion_mnist_mini", (1, 28, 28)), data("drawn", (3, 32, 32), drawn=True)
MODELS = [model("a", **CIFAR), model("b", **CIFAR, width=64), model("c"), model("d", **CIFAR)]


def cifar10(*, available: bool) -> DatasetInfo:
    return data("cifar10", (3, 32, 32), available=available)


def families(*datasets: DatasetInfo) -> dict[str, list[str]]:
    lab: Any = SimpleNamespace(datasets=lambda: list(datasets))
    return {name: [m.id for m in members] for name, members in _families(lab, MODELS).items()}


def test_models_of_one_data_set_architecture_and_width_are_a_family() -> None:
    found = families(MNIST, cifar10(available=True))
    assert sorted(found.values()) == [["a", "d"], ["b"], ["c"]]
    assert next(iter(found)) == "CIFAR10, resnet18, width 16"


def test_a_family_without_images_on_the_server_comes_last() -> None:
    assert list(families(MNIST, cifar10(available=False)).values()) == [["c"], ["a", "d"], ["b"]]


def test_a_family_of_which_there_are_drawings_alone_comes_after_photographs_and_before_none() -> None:
    tall = data("tall", (3, 64, 64), available=False)
    models = [model("e", dataset="tall", image_shape=(3, 64, 64)), *MODELS]
    ranks = {m.id: nearness([MNIST, cifar10(available=False), DRAWN, tall], m) for m in models}
    assert ranks == {"e": 2, "a": 1, "b": 1, "c": 0, "d": 1}
    assert at_hand([MNIST, cifar10(available=False), DRAWN], models) == [MODELS[2]]
    assert list(families(MNIST, cifar10(available=False), DRAWN).values()) == [["c"], ["a", "d"], ["b"]]


def test_photographs_are_offered_before_drawings() -> None:
    offered = fitting_datasets([MNIST, cifar10(available=True), DRAWN], MODELS[0])
    assert [found.name for found in offered] == ["cifar10", "drawn"]
