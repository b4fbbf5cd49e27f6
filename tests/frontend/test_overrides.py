"""What a form makes of a recipe, as overrides that load_recipe takes."""

import pytest

from cifs.training import load_recipe
from frontend.overrides import duration, lines, of_method, overrides, value_at

RECIPE = "cpu/fmnist-mini-vanilla-lesson"
VALUES = load_recipe(RECIPE).as_dict()


def test_what_is_as_in_the_recipe_is_no_override() -> None:
    assert overrides(VALUES, {"epochs": VALUES["epochs"], "attack.steps": None, "model.arch": "resnet10"}) == []


@pytest.mark.parametrize(
    "chosen",
    [
        {"epochs": 3, "attack.steps": 7},
        {"attack.eps": "8/255"},
        {"dataset": "cifar10", "model.arch": "resnet18", "model.width": 4},
        {"seed": 9, "lr": 0.05},
    ],
)
def test_every_override_arrives_in_the_recipe(chosen: dict[str, object]) -> None:
    made = load_recipe(RECIPE, overrides(VALUES, chosen)).as_dict()
    assert {key: value_at(made, key) for key in chosen} == chosen


@pytest.mark.parametrize("method", ["cas", "cifs"])
def test_another_method_brings_the_layers_it_needs(method: str) -> None:
    made = load_recipe(RECIPE, overrides(VALUES, of_method(method, VALUES)))
    assert (made.method, made.model["method"]) == (method, method)
    assert of_method("vanilla", VALUES) == {}


def test_lines_written_by_hand_are_one_override_each() -> None:
    assert lines(" lr=0.1 \n\n epochs=2") == ["lr=0.1", "epochs=2"]


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1 s"), (40, "40 s"), (700, "12 min"), (10_000, "3 h")])
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == f"about {said}"
