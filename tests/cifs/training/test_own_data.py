"""One's own images from the folder to the table; what evaluation will need is asked for before training starts."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cifs.cli import app
from cifs.data import load_images
from cifs.errors import CIFSError, DataError, InvalidParameter, UnknownName
from cifs.training import Recipe, Run, gather
from cifs.zoo import Zoo
from tests.cifs.tiny import npz

Load = Callable[..., Recipe]

RECIPE = """
title = "Wide"
method = "cifs"
dataset = "wide"
epochs = 1
batch_size = 8
padding = 2
validation = 8
model = { arch = "resnet10", width = 4, method = "cifs" }
attack = { name = "fgsm", random_start = true }
validation_attack = { name = "fgsm" }
"""


def cifs(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.mark.slow
def test_images_of_40_by_64_in_folders_are_trained_on_and_evaluated(data: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for c, name in enumerate(("dark", "light")):
        (data / "wide" / name).mkdir(parents=True)
        for i in range(20):
            pixels = random.integers(0, 120, (40, 64, 3)) + 130 * c
            Image.fromarray(pixels.astype(np.uint8)).save(data / "wide" / name / f"{i}.png")
    (tmp_path / "wide.toml").write_text(RECIPE)
    where = ["--checkpoints", tmp_path / "zoo"]

    trained = cifs("train", tmp_path / "wide.toml", "--runs", tmp_path / "runs", *where)
    assert trained.exit_code == 0, trained.output
    assert "no test split of its own" in trained.output
    assert Zoo(tmp_path / "zoo").entry("wide").config["image_size"] == [40, 64]
    columns = ("--column", "natural", "--column", "pgd20")
    evaluated = cifs("evaluate", "wide", "--precision", "float32", *columns, *where)
    assert evaluated.exit_code == 0, evaluated.output
    model, (x, y) = Zoo(tmp_path / "zoo").load("wide"), load_images("wide", "test").batch(slice(None))
    assert x.shape == (8, 3, 40, 64)
    assert f"{100 * float((model(x).argmax(dim=1) == y).float().mean()):.2f}" in evaluated.output


@pytest.mark.parametrize("size", [8, [8, 12]])
def test_a_square_is_one_number_in_a_configuration_and_another_shape_is_two(
    size: int | list[int], data: Path, recipe: Load, tmp_path: Path
) -> None:
    if size != 8:
        shapes = {"train_images": (96, 8, 12, 3), "test_images": (12, 8, 12, 3)}
        npz(data, **{key: np.zeros(shape, np.uint8) for key, shape in shapes.items()})
    config = Run(recipe(), tmp_path).model.config
    assert json.loads(json.dumps(config["image_size"])) == size


WITHOUT = {
    "no test split": (
        {"test_images": None, "test_labels": None},
        r"tiny\.npz has no test_images and no test_labels; it has train_images, train_labels: without a test split",
    ),
    "another size": (
        {"test_images": np.zeros((12, 9, 9, 3), np.uint8)},
        r"images of \(3, 9, 9\), expected \(3, 8, 8\)",
    ),
    "another class": ({"test_labels": np.full(12, 7)}, "test label 7, expected 0 to 2"),
}


@pytest.mark.parametrize("kind", WITHOUT)
def test_what_evaluation_will_miss_is_named_before_training_starts(
    kind: str, data: Path, recipe_file: Path, tmp_path: Path
) -> None:
    changed, message = WITHOUT[kind]
    npz(data, **changed)
    result = cifs("train", recipe_file, "--runs", tmp_path / "runs", "--checkpoints", tmp_path / "zoo")
    assert result.exit_code == 1
    with pytest.raises(DataError, match=message):
        raise DataError(" ".join(result.output.split()))
    assert not (tmp_path / "runs" / "tiny" / "metrics.jsonl").exists()


WRONG = {
    "model.imgf.name=softmx": (UnknownName, "unknown IMGF 'softmx'; did you mean 'softmax'"),
    "model.imgf.colour=1": (InvalidParameter, "'colour'"),
    "model.arch=resnet81": (UnknownName, "unknown architecture 'resnet81'; did you mean 'resnet18'"),
    "model.depth=3": (InvalidParameter, "depth"),
    "model.width=0": (InvalidParameter, "width = 0"),
    "model.sites=[{layer='layer9', probe={name='linear'}}]": (UnknownName, "unknown layer 'layer9'"),
    "init=nobody": (CIFSError, "init = 'nobody'"),
    "dataset=fashion_mnist_min": (UnknownName, "unknown data set .*did you mean 'fashion_mnist_mini'"),
}


@pytest.mark.parametrize("override", WRONG)
def test_a_recipe_s_own_errors_come_before_any_image_is_read(
    override: str, data: Path, recipe: Load, tmp_path: Path
) -> None:
    """Were images read first, the damaged file would be the error."""
    (data / "tiny.npz").write_bytes(b"damaged")
    kind, message = WRONG[override]
    with pytest.raises(kind, match=message):
        gather(recipe(override), Zoo(tmp_path))
    with pytest.raises(DataError, match=r"tiny\.npz is no readable"):
        gather(recipe(), Zoo(tmp_path))
