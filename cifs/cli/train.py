"""`cifs train` and `cifs recipes`."""

import shlex
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import TextColumn
from rich.table import Table

from cifs import __version__
from cifs.cli.console import DEFAULT_ZOO, Checkpoints, Device, console, errors, progress_bar, stopping_on_signal
from cifs.data import dataset
from cifs.precision import usable_device
from cifs.report.card import write_card
from cifs.training import Progress, Run, joined, load_recipe, recipe_names
from cifs.zoo import Entry, Info, Zoo, checked_id, save_weights


def train(
    recipe: Annotated[str, typer.Argument(help="a name under `cifs recipes`, or a .toml file")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="override, e.g. --set epochs=2 --set attack.steps=3")
    ] = None,
    model_id: Annotated[str | None, typer.Option("--id", help="id in the zoo; default: the recipe's last part")] = None,
    runs: Annotated[Path, typer.Option(help="folder of runs, from which a killed run resumes")] = Path("runs"),
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """Train by a recipe; resume where a killed run of the same recipe stopped.

    By several processes: torchrun --nproc-per-node 2 -m cifs.cli train … (CPUs; or, with --device cuda, a GPU each).
    """
    overrides = set_ or []
    plan = load_recipe(recipe, overrides)
    name = checked_id(model_id or Path(recipe).stem)
    usable_device(device)
    zoo = Zoo(checkpoints)
    with joined(device) as (ranks, own_device):
        console.quiet = not ranks.first
        run = Run(plan, runs / name, own_device, ranks, zoo)
        for note in dataset(plan.dataset).notes:
            console.print(f"{plan.dataset}: {note}")
        if not _trained(run, name):
            console.print(f"stopped at step {run.step} of {run.steps}; the same command goes on from there")
            raise typer.Exit(130)
        if ranks.first:
            entry, epoch = _kept(run, zoo, name, recipe, overrides)
            console.print(f"saved {entry.folder} (epoch {epoch})")
        ranks.wait()  # torchrun ends all processes when one ends badly: none leaves before the model is saved


def _kept(run: Run, zoo: Zoo, name: str, recipe: str, overrides: list[str]) -> tuple[Entry, int]:
    """The zoo's entry of a finished run, with its card, and the epoch its weights are of."""
    plan = run.recipe
    last = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    model, epoch = run.finished_model()
    named = [] if name == Path(recipe).stem else ["--id", name]
    info = Info(
        title=plan.title,
        dataset=plan.dataset,
        method=plan.method,
        eps=plan.training_attack.eps if plan.training_attack else None,
        recipe=recipe,
        command=shlex.join(["cifs", "train", recipe, *named, *(word for o in overrides for word in ("--set", o))]),
        training={
            "recipe": plan.as_dict(),
            "total_epochs": plan.epochs + (run.start.epochs if run.start else 0),
            "imported_start": run.start.source if run.start else None,
            "kept_epoch": epoch,
            "kept": "best checkpoint, chosen on the validation images" if run.best else "last checkpoint",
            "held_out": run.held_out,
            "validation_score": run.best["score"] if run.best else None,
            "seconds": round(run.seconds),
            "processes": run.ranks.size,
            "threads": torch.get_num_threads(),
            "device": run.device.type,
            "versions": {"cifs": __version__, "torch": str(torch.__version__)},
        },
    )
    entry = zoo.save(name, model, info, storage=plan.storage)
    if epoch == plan.epochs:
        entry.last_path.unlink(missing_ok=True)
    else:
        save_weights(entry.last_path, last, plan.storage)
    write_card(entry)
    return entry, epoch


def _trained(run: Run, name: str) -> bool:
    """Trains with a bar on a terminal, lines in a log; Ctrl-C stops in order. Returns whether it is the end."""
    if run.step:
        console.print(f"resuming {name} at step {run.step} of {run.steps}")
    began = time.monotonic()
    first = run.step
    with (
        progress_bar(TextColumn("loss {task.fields[loss]:.3f}"), shown=run.ranks.first) as bar,
        stopping_on_signal() as stop,
    ):
        task = bar.add_task(name, total=run.steps, completed=run.step, loss=float("nan"))

        def report(progress: Progress) -> None:
            bar.update(task, completed=progress.step, loss=progress.metrics["loss"])
            if "validation_natural" in progress.metrics or (not errors.is_terminal and progress.step % 50 == 0):
                left = (time.monotonic() - began) / (progress.step - first) * (progress.steps - progress.step)
                figures = "  ".join(f"{key} {value:.4f}" for key, value in progress.metrics.items())
                console.print(
                    f"epoch {progress.epoch}  step {progress.step}/{progress.steps}  {figures}  "
                    f"{left / 60:.1f} min left"
                )

        return run.train(report=report, stop=stop)


def recipes() -> None:
    """The recipes there are."""
    table = Table("recipe", "title", "data set", "method", "epochs")
    for name in recipe_names():
        recipe = load_recipe(name)
        table.add_row(name, recipe.title, recipe.dataset, recipe.method, str(recipe.epochs))
    console.print(table)
