"""`cifs train` and `cifs recipes`."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from cifs.cli import app
from cifs.files import locked
from cifs.precision import instructions
from cifs.report.card import card
from cifs.training import load_recipe, recipe_names
from cifs.zoo import Zoo

Train = Callable[..., Result]


@pytest.fixture
def train(recipe_file: Path, tmp_path: Path) -> Train:
    """`cifs train` of one epoch, in folders of the test's own."""

    def run(*arguments: str) -> Result:
        where = ["--runs", tmp_path / "runs", "--checkpoints", tmp_path / "zoo", "--set", "epochs=1"]
        return CliRunner().invoke(app, ["train", str(recipe_file), *map(str, where), *arguments])

    return run


def test_a_run_that_is_being_made_is_not_made_twice(train: Train, tmp_path: Path) -> None:
    with locked(tmp_path / "runs" / "tiny"):
        refused = train()
    assert refused.exit_code == 1
    assert f"is in use by process {os.getpid()} on " in " ".join(refused.output.split())
    assert not (tmp_path / "runs" / "tiny" / "state.pt").exists()
    assert train().exit_code == 0


def test_json_is_alone_on_the_standard_output(train: Train, tmp_path: Path) -> None:
    result = train("--json", "--id", "mine")
    said = json.loads(result.stdout)
    training = Zoo(tmp_path / "zoo").entry("mine").info.training
    assert training is not None
    assert said == {
        "id": "mine",
        "folder": str(tmp_path / "zoo" / "mine"),
        "epoch": training["kept_epoch"],
        "epochs": 1,
        "score": training["validation_score"],
        "seconds": training["seconds"],
    }
    assert "epoch 1" in result.stderr


def test_a_training_says_which_instructions_its_bits_are_a_function_of(train: Train, tmp_path: Path) -> None:
    assert train().exit_code == 0
    entry = Zoo(tmp_path / "zoo").entry("tiny")
    assert (entry.info.training or {})["instructions"] == instructions()
    assert f", bf16 products by {instructions()}\n" in card(entry)


def test_a_card_tells_of_noise_averages_and_smoothed_labels(train: Train, tmp_path: Path) -> None:
    """Once it told of the attack alone, as if the recipe had nothing else."""
    plain, softened = tmp_path / "zoo" / "plain", tmp_path / "zoo" / "softened"
    assert train("--id", plain.name).exit_code == 0
    overrides = ("noise=2", "ema=0.9", "label_smoothing=0.1")
    assert train("--id", softened.name, *(word for one in overrides for word in ("--set", one))).exit_code == 0
    text = (softened / "README.md").read_text(encoding="utf-8")
    assert ", after uniform noise of 2 ε\n- weights averaged with decay 0.9, 0.1 of each label spread over" in text
    without = (plain / "README.md").read_text(encoding="utf-8")
    assert not any(word in without for word in ("after uniform noise", "averaged with decay", "of each label"))


def test_the_average_s_last_weights_stand_beside_its_best(train: Train, tmp_path: Path) -> None:
    """With a rate so high that an epoch before the last is the best, both of the average."""
    given = ("epochs=4", "ema=0.9", "lr=2", "warm_up=0", "schedule=multistep", "milestones=[1]")
    assert train(*(word for override in given for word in ("--set", override))).exit_code == 0
    entry = Zoo(tmp_path / "zoo").entry("tiny")
    assert (entry.info.training or {})["kept_epoch"] < 4
    state = torch.load(tmp_path / "runs" / "tiny" / "state.pt", weights_only=True)
    for name, tensor in entry.load(last=True).state_dict().items():
        assert torch.equal(tensor, state["average"][name])
    for name, tensor in entry.load().state_dict().items():
        assert torch.equal(tensor, state["best"]["model"][name])


def test_recipes_as_json_are_the_recipes() -> None:
    listed = {recipe["name"]: recipe for recipe in json.loads(CliRunner().invoke(app, ["recipes", "--json"]).stdout)}
    assert tuple(listed) == recipe_names()
    for name in ("cpu/fmnist-resnet10-w16-cas", "paper/cifar10-resnet18-cifs-softmax"):
        assert listed[name] == {"name": name, **load_recipe(name).as_dict()}


def test_the_shell_completes_a_recipe_s_name() -> None:
    shell = {"_CIFS_COMPLETE": "complete_bash", "COMP_WORDS": "cifs train cpu/fmnist-", "COMP_CWORD": "2"}
    completed = CliRunner().invoke(app, [], prog_name="cifs", env=shell).stdout.split()
    assert completed == [name for name in recipe_names() if name.startswith("cpu/fmnist-")]
