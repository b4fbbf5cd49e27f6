"""`cifs evaluate`, `check` and `compare`: what was measured, as tables on the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cifs.cli.arguments import model_ids
from cifs.cli.console import DEFAULT_ZOO, Checkpoints, Device, Json, console, errors, print_json
from cifs.cli.task import command
from cifs.evaluation import COLUMNS, compare_evaluations
from cifs.records import ComparedOutcomes, ComparedSetting, Comparison, Evaluation, MaskingChecks
from cifs.report.card import MARKS
from cifs.tasks import Compare, Workspace, own_counterpart, run_task, task_of, verified
from cifs.tasks.robustness import Evaluate

SHOWN = ("steps", "step_size", "loss", "beta", "through_mask", "stages", "n")  # settings worth a column's width
SUITES = {"table1": "evaluate", "curves": "curves", "autoattack": "autoattack", "verdict": "verdict"}


def print_evaluation(result: Evaluation, request: Mapping[str, Any], workspace: Workspace) -> None:
    title = f"{result.model}: {result.n} {result.split} images of {result.dataset}, ε = {result.eps:g}"
    table = Table("", "accuracy %", "95 % interval", "settings", title=title)
    for key, cell in result.cells.items():
        settings = {name: value for name, value in (cell.settings or {}).items() if name in SHOWN}
        interval = f"{100 * cell.low:.2f} – {100 * cell.high:.2f}"
        table.add_row(COLUMNS[key].title, f"{100 * cell.accuracy:.2f}", interval, str(settings or ""))
    console.print(table)
    if request["suite"] == "curves":
        _print_curves(result)
    elif request["suite"] in result.cells:
        _print_stages(result, request["suite"])
    elif "imgf" in request:
        _print_against_own(result, request, workspace)


def _print_curves(result: Evaluation) -> None:
    assert result.curves is not None
    for axis in ("eps", "steps"):
        points = ", ".join(
            f"{getattr(point, axis):.3g}: {100 * point.accuracy:.1f}" for point in getattr(result.curves, axis)
        )
        console.print(f"accuracy % against {axis}: {points}")


def _print_stages(result: Evaluation, key: str) -> None:
    for stage in result.cells[key].after or ():
        through = " through the importance maps" if stage.through_mask else ""
        console.print(f"after {stage.stage}{through}: {stage.correct} left", *stage.remarks)
    if (signs := result.cells[key].indicators) is None:
        return
    for sign in signs:
        console.print(f"{'passed' if sign.passed else 'FAILED'}: {sign.count} of {sign.of} {sign.title}")
    if not result.cells[key].trusted:
        errors.print("not trusted: attacks do not work on this network as they should, so the figure means little")


def _print_against_own(result: Evaluation, request: Mapping[str, Any], workspace: Workspace) -> None:
    """What was measured with another IMGF against what is saved of the model's own, on the same images."""
    task = task_of("evaluate", {key: value for key, value in request.items() if key != "suite"})
    assert isinstance(task, Evaluate)
    if (own := own_counterpart(task, workspace, result)) is None:
        return
    imgf = request["imgf"]
    title = f"{result.model}: {imgf} as chosen against its own importance map, the first {result.n} images"
    _print_compared(_by_title(compare_evaluations(result, own)), (imgf, "its own"), result.n, title)


def print_checks(result: MaskingChecks, request: Mapping[str, Any], workspace: Workspace) -> None:
    title = f"{result.model}: {result.n} test images of {result.dataset}, ε = {result.eps:g}"
    table = Table("", "", "result", title=title)
    for check in result.checks.values():
        colour = {True: "green", False: "red", None: "dim"}[check.passed]
        table.add_row(check.title, f"[{colour}]{MARKS[check.passed]}[/]", check.statement)
    console.print(table)


def compare(
    first: Annotated[str, typer.Argument(help="id in the zoo", autocompletion=model_ids)],
    second: Annotated[
        str, typer.Argument(help="id in the zoo, evaluated on images of the same split", autocompletion=model_ids)
    ],
    settings: Annotated[
        bool, typer.Option("--settings", help="also with each setting of the first model's sweep alone")
    ] = False,
    checkpoints: Checkpoints = DEFAULT_ZOO,
    json: Json = False,
) -> None:
    """Is one model really more robust? Accuracies (%) on the same images, and McNemar's exact test, by column."""
    workspace = Workspace(checkpoints)
    result = run_task(Compare(first=first, second=second), workspace)
    assert isinstance(result, Comparison)
    if json:
        print_json(result)
        return
    entries = [workspace.zoo.entry(model) for model in (first, second)]
    n = max((column.n for column in result.columns), default=0)
    place = f"{n} {result.split} images of {result.dataset}, ε = {result.eps:g}"
    titles = [entry.info.title.replace(" ", "\n") for entry in entries]
    _print_compared(_by_title(result), titles, n, f"{first} against {second}: {place}")
    if settings and not result.settings:
        console.print(f"{first} was not swept, or by a version that did not keep which images withstood what")
    elif settings:
        title = f"if the attacker of {first} knew but one setting, against {second} under its strongest"
        _print_compared([(_setting(setting), setting) for setting in result.settings], titles, n, title)


def _by_title(comparison: Comparison) -> list[tuple[str, ComparedOutcomes]]:
    return [(COLUMNS[column.column].title, column) for column in comparison.columns]


def _setting(setting: ComparedSetting) -> str:
    mask = ", through the map" if setting.settings["through_mask"] else ""
    return f"{COLUMNS[setting.column].title}, β = {setting.settings['beta']}{mask}" + " (counted)" * setting.counted


def _print_compared(rows: Sequence[tuple[str, ComparedOutcomes]], titles: Sequence[str], n: int, title: str) -> None:
    table = Table("", *titles, "difference\n(95 % interval)", "only\nfirst", "only\nsecond", "p", title=title)
    for name, outcomes in rows:
        table.add_row(
            name + (f" (n = {outcomes.n})" if outcomes.n != n else ""),
            f"{100 * outcomes.first:.2f}",
            f"{100 * outcomes.second:.2f}",
            f"{100 * (outcomes.first - outcomes.second):+.2f} "
            f"({100 * outcomes.low:+.2f} to {100 * outcomes.high:+.2f})",
            str(outcomes.only_first),
            str(outcomes.only_second),
            f"{outcomes.p_value:.2g}",
        )
    console.print(table)


evaluate = command("evaluate", print_evaluation, SUITES)
check = command("check", print_checks)


def verify(
    model: Annotated[str, typer.Argument(help="id in the zoo", autocompletion=model_ids)],
    proof: Annotated[Path, typer.Argument(help="the .npz that `cifs evaluate MODEL --suite verdict` wrote")],
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Confirms every adversarial image of a verdict in float32: within ε, in [0, 1], and fooling these very weights."""
    result = verified(Workspace(checkpoints, device=device), model, proof)
    if json:
        print_json(result)
    for problem in result.problems:
        errors.print(f"the proof is of something else: {problem}", soft_wrap=True)
    if result.refuted:
        some = ", ".join(map(str, result.refuted[:10])) + ("…" if len(result.refuted) > 10 else "")
        errors.print(f"{len(result.refuted)} images are not proved to be fooled: {some}", soft_wrap=True)
    if not result.valid:
        raise typer.Exit(1)
    if not json:
        bound = f"{100 * result.robust / result.n:.2f} % of {result.n} images"
        console.print(f"confirmed: {model} is right under attack on at most {bound}")
