"""`cifs study`: run and show experiments that are data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from cifs.cli.console import Device, Json, console, errors, print_json, reporting
from cifs.files import replacing
from cifs.memory import keep_freed
from cifs.records import StudyRecord
from cifs.studies import Repeated, costs, filled, load_study, markdown, repeated, study_names, throughput, verdicts
from cifs.studies.cost import CellCost
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
Only = Annotated[
    list[str] | None, typer.Option("--only", help="this training alone, REGIME-ARM-SEED; may be repeated; default: all")
]
DEFAULT, DOCS = Path("runs"), Path("docs")


def list_studies() -> None:
    """The studies there are."""
    table = Table("study", "question", "trainings")
    for name in study_names():
        plan = load_study(name)
        table.add_row(name, plan.question, str(len(list(plan.cells()))))
    console.print(table)


def run(name: Name, only: Only = None, runs: Runs = DEFAULT, device: Device = "cpu", json: Json = False) -> None:
    """Train and measure every cell that is missing, in the study's order; resume where it was stopped.

    Several processes may run the same study: each takes the next cell that no other is at.
    """
    prepared = prepared_study(Path(name).stem, load_study(name), Workspace(runs=runs, device=device), only or ())
    keep_freed()
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


def verify(
    name: Name,
    only: Only = None,
    runs: Runs = DEFAULT,
    against: Annotated[Path, typer.Option(help="folder with studies/<name>, where the outcomes before are")] = DOCS,
) -> None:
    """Whether trainings came out as they did before: the same curves, and the same images standing under each attack.

    They are a function of the recipe, of the processor's instructions for products in bf16 and of the number of threads
    (OMP_NUM_THREADS; 1 for what is published). Any that came out otherwise ends the command with 1.
    """
    stem = Path(name).stem
    before, now = (study_folder(Workspace(runs=folder), stem) for folder in (against, runs))
    found = repeated(load_study(name), before, now, only or ())
    for one in found:
        console.print(f"{one.cell}: {_repetition(one)}", soft_wrap=True)
    if others := sum(not one.same for one in found):
        errors.print(f"{others} of {len(found)} trainings came out otherwise", soft_wrap=True)
        raise typer.Exit(1)


def _repetition(one: Repeated) -> str:
    before, now = one.by
    if one.same:
        return f"the same, bit for bit ({now})"
    counts = {"points of the curve": one.curve, "epochs kept": one.epochs}
    counts |= {f"images, {level}": count for level, count in one.images.items()}
    return f"otherwise in {', '.join(f'{what}: {n}' for what, n in counts.items())} ({before} before, now {now})"


def estimate(
    name: Name,
    tflops: Annotated[
        float | None, typer.Option(min=1e-6, help="sustained throughput in 10¹² FLOP/s; none: measured here")
    ] = None,
    price: Annotated[float | None, typer.Option(min=0, help="of an hour of the device; none: no cost is given")] = None,
    standing: Annotated[
        float,
        typer.Option(min=0, max=1, help="share of images that attacks go on with, for fooled ones are dropped"),
    ] = 1.0,
    device: Device = "cpu",
) -> None:
    """What a study costs: FLOPs by closed form, hours at a throughput that is stated, or measured on this machine."""
    study = load_study(name)
    rate = tflops * 1e12 if tflops is not None else throughput(study.recipe_of(next(study.cells())), device=device)
    table = Table("regime", "arm", "trainings", "PFLOP each", "of it training", "hours each", "hours", "cost")
    known: dict[tuple[str, str], list[CellCost]] = {}
    for cell, cost in zip(study.cells(), costs(study, standing=standing), strict=True):
        known.setdefault((cell.regime, cell.arm), []).append(cost)
    rows = [(*key, len(alike), alike[0].total, alike[0].training) for key, alike in known.items()]
    for regime, arm, trainings, total, training in rows:
        hours = total / rate / 3600
        table.add_row(
            regime, arm, str(trainings), f"{total / 1e15:,.3g}", f"{training / total:.0%}", f"{hours:,.2f}",
            f"{trainings * hours:,.1f}", _cost(trainings * hours, price),
        )  # fmt: skip
    hours = sum(trainings * total for _, _, trainings, total, _ in rows) / rate / 3600
    table.add_row("", "all", str(sum(row[2] for row in rows)), "", "", "", f"{hours:,.1f}", _cost(hours, price))
    console.print(table)
    how = "stated" if tflops is not None else f"measured on {device} just now"
    dropped = "as if no image were dropped" if standing == 1 else f"for {standing:.0%} of the images"
    console.print(f"At {rate / 1e12:,.3g} TFLOP/s ({how}); attacks of validation and measuring counted {dropped}.")


def _cost(hours: float, price: float | None) -> str:
    return "–" if price is None else f"{hours * price:,.2f}"


def _tell(record: StudyRecord, json: bool) -> None:
    if json:
        print_json(record)
    else:
        console.print(Markdown(markdown(record)))


COMMANDS = (list_studies, run, show, verify, estimate)
