"""Training from the weights of a zoo model: what fits is taken, the rest is new, and it says so when nothing fits."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cifs.errors import CheckpointError
from cifs.progress import Cancelled, Progress
from cifs.training import Run, load_recipe
from cifs.training.start import starting_point
from cifs.zoo import Info, Zoo
from tests.cifs.tiny import npz, tiny

RECIPE = """
title = "Tiny"
method = "cifs"
dataset = "tiny"
epochs = 1
batch_size = 16
lr = 1e-9
padding = 0
validation = 16
precision = "float32"
init = "start"
model = { arch = "resnet10", width = 4, method = "cifs" }
"""


@pytest.fixture
def zoo(data: Path) -> Zoo:
    """A zoo with a plain `start`, and a data set of three classes."""
    npz(data)
    (data / "tiny.toml").write_text(RECIPE)
    zoo = Zoo(data / "zoo")
    model = tiny(mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])
    zoo.save("start", model, Info(title="S", dataset="tiny", method="natural"))
    return zoo


def run(zoo: Zoo, *overrides: str) -> Run:
    return Run(load_recipe(str(zoo.root.parent / "tiny.toml"), overrides), zoo.root.parent / "run", zoo=zoo)


def test_weights_of_the_same_name_and_shape_are_the_start(zoo: Zoo) -> None:
    start, begun = zoo.load("start").state_dict(), run(zoo).model.state_dict()
    for name, weight in begun.items():
        if "selection" in name or name.startswith("fc"):  # new probes; ten classes there, three here
            assert name not in start or weight.shape != start[name].shape
        else:
            assert torch.equal(weight, start[name]), name


def test_the_start_s_normalisation_is_kept_unless_the_recipe_states_another(zoo: Zoo) -> None:
    assert run(zoo).model.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert run(zoo).model.std.flatten().tolist() == pytest.approx([0.5, 0.6, 0.7])
    assert run(zoo, "model.mean=[0.0,0.0,0.0]").model.mean.flatten().tolist() == [0, 0, 0]


def test_a_start_without_normalisation_is_one_of_images_as_they_are(zoo: Zoo) -> None:
    zoo.save("bare", tiny(), Info(title="B", dataset="tiny", method="natural"))
    assert run(zoo, "init=bare").model.mean.flatten().tolist() == [0, 0, 0]
    assert run(zoo, "init=bare").model.std.flatten().tolist() == [1, 1, 1]


def test_a_folder_is_a_start_too(zoo: Zoo) -> None:
    model = run(zoo, f"init={zoo.root / 'start'}").model
    assert torch.equal(model.stem[0].weight, zoo.load("start").stem[0].weight)


def test_a_resumed_run_goes_on_from_its_own_weights(zoo: Zoo) -> None:
    first = run(zoo, "lr=0.1")

    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        first.train(stop)
    again = run(zoo, "lr=0.1")
    assert again.step == 2
    for name, weight in first.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], weight), name


def test_an_unknown_start_lists_what_there_is(zoo: Zoo) -> None:
    with pytest.raises(CheckpointError, match=r"init = 'nobody' is neither a model of .*zoo \(start\) nor a folder"):
        starting_point("nobody", zoo)


@pytest.mark.parametrize("other", ["model.width=8", "model.arch=wrn16"])
def test_a_start_of_another_architecture_or_width_is_refused(other: str, zoo: Zoo) -> None:
    with pytest.raises(CheckpointError, match="init = 'start' is a resnet10 of width 4, and a .* cannot start from it"):
        run(zoo, other)


def test_what_was_imported_is_named_however_often_it_was_trained_since(zoo: Zoo) -> None:
    assert starting_point("start", zoo).source is None
    zoo.save("theirs", tiny(), Info(title="T", dataset="tiny", method="natural", source="a package"))
    assert starting_point("theirs", zoo).source == "a package"
    training = {"recipe": {"epochs": 2}, "imported_start": "a package"}
    zoo.save("since", tiny(), Info(title="S", dataset="tiny", method="natural", training=training))
    assert starting_point("since", zoo).source == "a package"


def test_images_that_a_start_was_trained_on_are_not_held_out(zoo: Zoo) -> None:
    def start(name: str, **training: Any) -> int | None:
        zoo.save(name, tiny(), Info(title="T", dataset="tiny", method="natural", training=training or None))
        return starting_point(name, zoo).held_out("tiny")

    assert start("unknown") is None
    assert start("other", recipe={"dataset": "svhn", "validation": 3}) is None
    assert start("older", recipe={"dataset": "tiny", "validation": 3}) == 3
    assert start("chained", recipe={"dataset": "tiny", "validation": 3}, held_out=0) == 0
    start("greedy", recipe={"dataset": "tiny", "validation": 0})
    assert run(zoo, 'init="greedy"').held_out == 0
    assert run(zoo).held_out > 0


def test_epochs_of_a_start_count_with_those_of_its_own_start(zoo: Zoo) -> None:
    assert starting_point("start", zoo).epochs == 0  # where it comes from is not known
    for training, epochs in (({"recipe": {"epochs": 8}}, 8), ({"recipe": {"epochs": 2}, "total_epochs": 5}, 5)):
        zoo.save("begun", tiny(), Info(title="B", dataset="tiny", method="natural", training=training))
        assert starting_point("begun", zoo).epochs == epochs
