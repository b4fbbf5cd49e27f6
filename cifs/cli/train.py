"""`cifs train` and `cifs recipes`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from cifs.cli.arguments import recipe_ids
from cifs.cli.console import (
    DEFAULT_RUNS,
    DEFAULT_ZOO,
    Checkpoints,
    Device,
    Json,
    Runs,
    console,
    print_json,
    reporting,
)
from cifs.cli.task import command
from cifs.tasks import SpeedrunEntry, TrainedModel, Workspace, speedrun
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


def bench_training(
    recipe: Annotated[str, typer.Argument(help="a name under `cifs recipes`, or a .toml", autocompletion=recipe_ids)],
    n: Annotated[int, typer.Option(min=1, help="first test images the verdict is of")] = 1000,
    runs: Runs = DEFAULT_RUNS,
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Seconds to robust accuracy: train by a recipe from nothing, then the verdict; a row of docs/speedrun.md."""
    workspace = Workspace(checkpoints, runs, device, files=True)
    with reporting(recipe, "the same command goes on from there") as report:
        entry = speedrun(recipe, n, workspace, report)
    if json:
        print_json(entry)
    else:
        console.print(speedrun_row(entry), soft_wrap=True, markup=False, highlight=False)


def speedrun_row(entry: SpeedrunEntry) -> str:
    """In Markdown: recipe, network, epochs, minutes (threads), CPU minutes, natural and robust accuracy (%), n."""
    robust = f"{100 * entry.verdict:.1f} ({100 * entry.low:.1f} – {100 * entry.high:.1f})"
    cells = (
        f"`{entry.recipe}`",
        entry.network,
        str(entry.epochs),
        f"{entry.seconds / 60:.1f} ({entry.threads})",
        f"{entry.cpu_seconds / 60:.1f}",
        f"{100 * entry.natural:.1f}",
        robust if entry.trusted else f"{robust}, not trusted",
        f"{entry.n:,}",
    )
    return f"| {' | '.join(cells)} |"
