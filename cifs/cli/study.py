"""`cifs study`: run and show experiments that are data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from cifs.cli.console import Device, console, stopping_on_signal
from cifs.files import write_json
from cifs.plot.study import study_figure, study_info
from cifs.precision import usable_device
from cifs.studies import Study, conduct, load_study, markdown, study_names, summary

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
    _write(name, plan, folder / Path(name).stem)
    if not done:
        console.print("stopped; the same command goes on from there")
        raise typer.Exit(130)


def show(name: Name, folder: Folder = DEFAULT) -> None:
    """What is measured so far; writes record.json, report.md and a figure for each regime beside the cells."""
    console.print(Markdown(_write(name, load_study(name), folder / Path(name).stem)))


def _write(name: str, plan: Study, folder: Path) -> str:
    """The report as Markdown, written into the folder with the record and the figures."""
    record = summary(Path(name).stem, plan, folder)
    text = markdown(record)
    write_json(folder / "record.json", record.model_dump(mode="json"))
    (folder / "report.md").write_text(text, encoding="utf-8")
    for regime in {accuracy.regime for accuracy in record.accuracies}:
        study_figure(study_info(record, regime)).write_html(folder / f"{regime}.html", include_plotlyjs="cdn")
    return text


COMMANDS = (list_studies, run, show)
