"""`cifs study`: run and show experiments that are data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from cifs.cli.console import Device, Json, console, print_json, reporting
from cifs.files import replacing
from cifs.records import StudyRecord
from cifs.studies import filled, load_study, markdown, study_names, verdicts
from cifs.tasks import Workspace, prepared_study, study_folder, sum_up

Name = Annotated[str, typer.Argument(help="a name under `cifs study list`, or a .toml file")]
Runs = Annotated[Path, typer.Option(help="folder of runs, where a stopped study resumes: in studies/<name>")]
Into = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="a Markdown page whose parts between <!-- study: PART --> and <!-- end of study --> are written anew; "
        "parts: measured, hypotheses, comparisons, accuracies, gains",
    ),
]
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


def show(name: Name, runs: Runs = DEFAULT, into: Into = None, json: Json = False) -> None:
    """What is measured so far; writes record.json, report.md and figures for each regime beside the cells."""
    stem, study = Path(name).stem, load_study(name)
    record = sum_up(stem, study, study_folder(Workspace(runs=runs), stem))
    if into is not None:
        page = filled(into.read_text(encoding="utf-8"), record, verdicts(study, record))
        with replacing(into) as temporary:
            temporary.write_text(page, encoding="utf-8")
    _tell(record, json)


def _tell(record: StudyRecord, json: bool) -> None:
    if json:
        print_json(record)
    else:
        console.print(Markdown(markdown(record)))


COMMANDS = (list_studies, run, show)
