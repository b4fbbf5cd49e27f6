"""`cifs study`: run and show experiments that are data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from cifs.cli.console import Device, Json, console, print_json, reporting
from cifs.records import StudyRecord
from cifs.studies import load_study, markdown, study_names
from cifs.tasks import Workspace, prepared_study, study_folder, sum_up

Name = Annotated[str, typer.Argument(help="a name under `cifs study list`, or a .toml file")]
Runs = Annotated[Path, typer.Option(help="folder of runs, where a stopped study resumes: in studies/<name>")]
DEFAULT = Path("runs")


def list_studies() -> None:
    """The studies there are."""
    table = Table("study", "question", "trainings")
    for name in study_names():
        plan = load_study(name)
        table.add_row(name, plan.question, str(len(list(plan.cells()))))
    console.print(table)


def run(name: Name, runs: Runs = DEFAULT, device: Device = "cpu", json: Json = False) -> None:
    """Train and measure every cell that is missing, in the study's order; resume where it was stopped.

    Several processes may run the same study: each takes the next cell that no other is at.
    """
    prepared = prepared_study(Path(name).stem, load_study(name), Workspace(runs=runs, device=device))
    with reporting("study", "the same command goes on from there") as report:
        record = prepared.run(report)
    assert isinstance(record, StudyRecord)
    _tell(record, json)


def show(name: Name, runs: Runs = DEFAULT, json: Json = False) -> None:
    """What is measured so far; writes record.json, report.md and a figure for each regime beside the cells."""
    stem = Path(name).stem
    _tell(sum_up(stem, load_study(name), study_folder(Workspace(runs=runs), stem)), json)


def _tell(record: StudyRecord, json: bool) -> None:
    if json:
        print_json(record)
    else:
        console.print(Markdown(markdown(record)))


COMMANDS = (list_studies, run, show)
