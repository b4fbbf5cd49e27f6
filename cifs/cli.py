"""`cifs …`: training, evaluation, attacks and channel analysis from the command line."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cifs import __version__
from cifs.errors import CIFSError
from cifs.training import Run, load_recipe
from cifs.training import Progress as TrainingProgress
from cifs.zoo import Info, Zoo

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="See, measure and teach why CNNs are fooled, channel by channel.")
console = Console()
errors = Console(stderr=True)

Checkpoints = Annotated[Path, typer.Option(help="folder of the zoo", envvar="CIFS_CHECKPOINTS")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")]
DEFAULT_ZOO = Path("checkpoints")


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A subcommand whose own errors are one clear line and exit code 1."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except CIFSError as error:
            errors.print(f"[red]error:[/] {error}", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None

    return app.command(name=function.__name__.rstrip("_").replace("_", "-"))(run)


@contextmanager
def progress_bar(*columns: TextColumn) -> Iterator[Progress]:
    """A bar on a terminal; in a log file nothing but what the caller prints."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        *columns,
        console=errors,
        disable=not errors.is_terminal,
    ) as bar:
        yield bar


@contextmanager
def stopping_on_signal() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask for an orderly stop; a second one ends at once."""
    asked = False

    def ask(signum: int, frame: object) -> None:
        nonlocal asked
        if asked:
            sys.exit(130)
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        console.print(__version__)
        raise typer.Exit


@command
def train(
    recipe: Annotated[str, typer.Argument(help="a name under `cifs recipes`, or a .toml file")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="override, e.g. --set epochs=2 --set attack.steps=3")] = None,
    model_id: Annotated[str | None, typer.Option("--id", help="id in the zoo; default: the recipe's last part")] = None,
    runs: Annotated[Path, typer.Option(help="folder of runs, from which a killed run resumes")] = Path("runs"),
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """Train by a recipe; resume where a killed run of the same recipe stopped."""
    overrides = set_ or []
    plan = load_recipe(recipe, overrides)
    name = model_id or Path(recipe).stem
    run = Run(plan, runs / name, torch.device(device))
    if run.step:
        console.print(f"resuming {name} at step {run.step} of {run.steps}")
    began = time.monotonic()
    first = run.step
    with progress_bar(TextColumn("loss {task.fields[loss]:.3f}")) as bar, stopping_on_signal() as stop:
        task = bar.add_task(name, total=run.steps, completed=run.step, loss=float("nan"))

        def report(progress: TrainingProgress) -> None:
            bar.update(task, completed=progress.step, loss=progress.metrics["loss"])
            if "validation_natural" in progress.metrics or (not errors.is_terminal and progress.step % 50 == 0):
                left = (time.monotonic() - began) / (progress.step - first) * (progress.steps - progress.step)
                figures = "  ".join(f"{key} {value:.4f}" for key, value in progress.metrics.items())
                console.print(f"epoch {progress.epoch}  step {progress.step}/{progress.steps}  {figures}  {left / 60:.1f} min left")

        if not run.train(report=report, stop=stop):
            console.print(f"stopped at step {run.step} of {run.steps}; the same command goes on from there")
            raise typer.Exit(130)
    model, epoch = run.finished_model()
    info = Info(
        title=plan.title,
        dataset=plan.dataset,
        method=plan.method,
        eps=plan.training_attack.eps if plan.training_attack else None,
        recipe=recipe,
        command=" ".join(["cifs train", recipe, *(f"--set {override}" for override in overrides)]),
        training={
            "recipe": plan.as_dict(),
            "kept_epoch": epoch,
            "kept": f"{plan.keep} checkpoint" + (", chosen on the validation images" if plan.keep == "best" else ""),
            "validation_score": run.best["score"] if run.best else None,
            "seconds": round(run.seconds),
            "threads": torch.get_num_threads(),
            "device": device,
            "versions": {"cifs": __version__, "torch": str(torch.__version__)},
        },
    )
    entry = Zoo(checkpoints).save(name, model, info)
    console.print(f"saved {entry.folder} (epoch {epoch})")


if __name__ == "__main__":
    app()
