"""`cifs study`: run and show experiments that are data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cifs.cli.console import Device, console, stopping_on_signal
from cifs.precision import usable_device
from cifs.studies import conduct, load_study, result_of, study_names

Name = Annotated[str, typer.Argument(help="a name under `cifs study list`, or a .toml file")]
Folder = Annotated[Path, typer.Option(help="folder of studies, from which a stopped one resumes")]
DEFAULT = Path("runs/studies")


def list_studies() -> None:
    """The studies there are."""
    table = Table("study", "question", "trainings")
    for name in study_names():
        plan = load_study(name)
        table.add_row(name, plan.question, str(len(list(plan.cells()))))
    console.print(table)


def run(name: Name, folder: Folder = DEFAULT, device: Device = "cpu") -> None:
    """Train and measure every cell that is missing, in the study's order; resume where it was stopped."""
    plan = load_study(name)
    usable_device(device)
    with stopping_on_signal() as stop:
        done = conduct(plan, folder / Path(name).stem, device=device, say=console.print, stop=stop)
    if not done:
        console.print("stopped; the same command goes on from there")
        raise typer.Exit(130)


def show(name: Name, folder: Folder = DEFAULT) -> None:
    """What is measured so far, cell by cell."""
    plan = load_study(name)
    table = Table("cell", "checkpoint", "epoch", "natural", "unadaptive", "adaptive", "strongest", title=plan.title)
    for cell in plan.cells():
        result = result_of(plan, cell, folder / Path(name).stem)
        if result is None:
            table.add_row(cell.id, "not measured yet")
            continue
        for checkpoint, measured in result["checkpoints"].items():
            levels = [f"{100 * level['accuracy']:.2f}" for level in measured["levels"].values()]
            table.add_row(cell.id, checkpoint, str(measured["epoch"]), *levels)
    console.print(table)


COMMANDS = (list_studies, run, show)
