"""What a run is made of, checked in the order of what it costs to learn that something is missing."""

from dataclasses import dataclass
from typing import Any

import torch

from cifs.data import DATASETS, Dataset, Images, dataset, load_images
from cifs.errors import DataError, InvalidParameter
from cifs.models import build
from cifs.training.recipe import Recipe
from cifs.training.start import Start, starting_point
from cifs.zoo import Zoo

NARROW = 4  # channels


@dataclass(frozen=True)
class Material:
    """What a recipe's words stand for."""

    data: Dataset
    start: Start | None
    images: Images  # to train on
    validation: Images

    def model_arguments(self, recipe: Recipe) -> dict[str, Any]:
        """Of cifs.models.build: what the data says, then the start, then the recipe."""
        return {
            "num_classes": len(self.data.classes),
            "in_channels": self.data.image_shape[0],
            "image_size": self.data.image_size,
            "mean": list(self.data.mean),
            "std": list(self.data.std),
            **({} if self.start is None else self.start.normalisation),
            **recipe.model,
        }

    def held_out(self, recipe: Recipe) -> int:
        """How many of the last training images no training that led to this run has used."""
        before = None if self.start is None else self.start.held_out(recipe.dataset)
        return recipe.validation if before is None else min(recipe.validation, before)


def gather(recipe: Recipe, zoo: Zoo) -> Material:
    """Everything training needs, and what evaluation will need afterwards: a test split that fits.

    The recipe's own errors come before any image is read. Raises UnknownName, InvalidParameter, CheckpointError or
    DataError.
    """
    check_model(recipe)
    start = None if recipe.init is None else starting_point(recipe.init, zoo)
    data = dataset(recipe.dataset)
    train = load_images(recipe.dataset, "train")
    if not 0 <= recipe.validation < len(train) - recipe.batch_size:
        raise InvalidParameter(
            f"validation = {recipe.validation}: {recipe.dataset} has only {len(train)} training images"
        )
    cut = len(train) - recipe.validation
    if not recipe.batch_size <= (few := recipe.images or cut) <= cut:
        raise InvalidParameter(f"images = {few}: at least one batch of {recipe.batch_size}, at most {cut}")
    try:
        load_images(recipe.dataset, "test")
    except DataError as error:
        raise DataError(
            f"{error}: without a test split that fits, nothing that is trained could be evaluated; add one, or give "
            "the images as a folder of classes, which is divided for you"
        ) from error
    return Material(data, start, train[:few], train[cut:])


def check_model(recipe: Recipe) -> None:
    """Raises what building the model will raise, before any data is read: builds a narrow one."""
    arguments = dict(recipe.model)
    if recipe.dataset in DATASETS:
        data = DATASETS[recipe.dataset]
        sizes = {"num_classes": len(data.classes), "in_channels": data.image_shape[0], "image_size": data.image_size}
    else:  # one's own, of which nothing is known before it is read
        sizes = {"num_classes": 1000, "in_channels": len(arguments.get("mean") or (1,))}
    if isinstance(width := arguments.get("width"), int) and width > NARROW:
        arguments["width"] = NARROW
    with torch.random.fork_rng(devices=[]):
        build(**{**sizes, **arguments})
