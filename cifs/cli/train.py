"""`cifs train` and `cifs recipes`."""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import TextColumn
from rich.table import Table

from cifs.cli.console import (
    DEFAULT_ZOO,
    Checkpoints,
    Device,
    Json,
    console,
    errors,
    print_json,
    progress_bar,
    stopping_on_signal,
)
from cifs.data import dataset
from cifs.files import locked
from cifs.precision import usable_device
from cifs.progress import Cancelled, Progress
from cifs.report.card import write_card
from cifs.training import Run, finish, joined, load_recipe, recipe_names
from cifs.zoo import Entry, Zoo, checked_id


def _completed(incomplete: str) -> list[str]:
    return [name for name in recipe_names() if name.startswith(incomplete)]


def train(
    recipe: Annotated[
        str, typer.Argument(help="a name under `cifs recipes`, or a .toml file", autocompletion=_completed)
    ],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="override, e.g. --set epochs=2 --set attack.steps=3")
    ] = None,
    model_id: Annotated[str | None, typer.Option("--id", help="id in the zoo; default: the recipe's last part")] = None,
    runs: Annotated[Path, typer.Option(help="folder of runs, from which a killed run resumes")] = Path("runs"),
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
    tensorboard: Annotated[bool, typer.Option(help="write events for TensorBoard beside the run's metrics")] = False,
    json: Json = False,
) -> None:
    """Train by a recipe; resume where a killed run of the same recipe stopped.

    By several processes: torchrun --nproc-per-node 2 -m cifs.cli train … (CPUs; or, with --device cuda, a GPU each).
    """
    given = set_ or []
    plan = load_recipe(recipe, given)
    name = checked_id(model_id or Path(recipe).stem)
    usable_device(device)
    zoo, say = Zoo(checkpoints), (errors if json else console)
    with joined(device) as (ranks, own_device):
        say.quiet = not ranks.first
        with locked(runs / name) if ranks.first else nullcontext():
            run = Run(plan, runs / name, own_device, ranks, zoo, tensorboard)
            for note in dataset(plan.dataset).notes:
                say.print(f"{plan.dataset}: {note}")
            _train(run, name, say)
            if ranks.first:
                entry = finish(run, zoo, name, recipe, given)
                write_card(entry)
                _print(entry, say, json)
            ranks.wait()  # torchrun ends all processes when one ends badly: none leaves before the model is saved


def _print(entry: Entry, say: Console, json: bool) -> None:
    training = entry.info.training or {}
    say.print(f"saved {entry.folder} (epoch {training['kept_epoch']})")
    if json:
        about = {"id": entry.id, "folder": str(entry.folder), "epoch": training["kept_epoch"]}
        print_json({**about, "score": training["validation_score"], "seconds": training["seconds"]})


def _train(run: Run, name: str, say: Console) -> None:
    """With a bar on a terminal, lines in a log; Ctrl-C stops in order, and the command exits with 130."""
    if run.step:
        say.print(f"resuming {name} at step {run.step} of {run.steps}")
    with (
        progress_bar(TextColumn("loss {task.fields[loss]:.3f}"), shown=run.ranks.first) as bar,
        stopping_on_signal() as stop,
    ):
        task = bar.add_task(name, total=run.steps, completed=run.step, loss=float("nan"))
        first, began = run.step, time.monotonic()

        def say_where(progress: Progress) -> None:
            """After a validation; in a log file every 50 steps too."""
            if "validation_natural" in progress.metrics or (not errors.is_terminal and progress.done % 50 == 0):
                left = (time.monotonic() - began) / max(1, progress.done - first) * (run.steps - progress.done)
                epoch, *metrics = (f"{key} {value:.4g}" for key, value in progress.metrics.items())
                figures = "  ".join([epoch, f"step {progress.done}/{run.steps}", *metrics])
                say.print(f"{figures}  {left / 60:.1f} min left")

        def report(progress: Progress) -> None:
            if progress.doing == "training":
                bar.update(task, completed=progress.done, loss=progress.metrics["loss"])
                say_where(progress)
            if stop():
                raise Cancelled("stopped")

        try:
            run.train(report)
        except Cancelled:
            say.print(f"stopped at step {run.step} of {run.steps}; the same command goes on from there")
            raise typer.Exit(130) from None


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
