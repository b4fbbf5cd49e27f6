"""`cifs train` and `cifs recipes`."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from cifs.cli.console import Json, console, print_json
from cifs.cli.task import command
from cifs.tasks import TrainedModel, Workspace
from cifs.training import load_recipe, recipe_names


def print_trained(result: TrainedModel, request: Mapping[str, Any], workspace: Workspace) -> None:
    score = "" if result.score is None else f", {100 * result.score:.2f} % on the validation images"
    console.print(f"saved {result.folder} (epoch {result.epoch} of {result.epochs}{score})")


train = command("train", print_trained)


def recipes(json: Json = False) -> None:
    """The recipes there are."""
    loaded = {name: load_recipe(name) for name in recipe_names()}
    if json:
        print_json([{"name": name, **recipe.as_dict()} for name, recipe in loaded.items()])
        return
    table = Table("recipe", "title", "data set", "method", "epochs")
    for name, recipe in loaded.items():
        table.add_row(name, recipe.title, recipe.dataset, recipe.method, str(recipe.epochs))
    console.print(table)
