"""A training run as small as it goes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cifs.training import Recipe, load_recipe
from tests.cifs.tiny import npz

RECIPE = """
title = "Tiny"
method = "cifs"
dataset = "tiny"
epochs = 2
batch_size = 16
lr = 0.05
padding = 1
validation = 16
model = { arch = "resnet10", width = 4, method = "cifs", imgf = { name = "softmax", per_channel = true } }
attack = { name = "pgd", eps = "8/255", steps = 2, random_start = true }
validation_attack = { name = "fgsm", eps = "8/255" }
"""
STEPS = 10  # 80 images are left for training: 5 steps an epoch


@pytest.fixture
def recipe_file(data: Path) -> Path:
    """RECIPE in a file, its data set in $CIFS_DATA."""
    npz(data)
    path = data.parent / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.fixture
def recipe(recipe_file: Path) -> Callable[..., Recipe]:
    return lambda *overrides: load_recipe(str(recipe_file), overrides)
