"""`cifs evaluate`: the robustness table, its curves, and AutoAttack."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, cast

import typer
from rich.table import Table

from cifs.attacks import ATTACKS, STAGES, GradientAttack
from cifs.card import write_card
from cifs.cli.arguments import budget_of, evaluated, load, more_images, parameters
from cifs.cli.compare import by_title, print_compared
from cifs.cli.console import DEFAULT_ZOO, Checkpoints, Device, console, measuring
from cifs.data import Split, dataset, load_images
from cifs.errors import InvalidParameter
from cifs.evaluation import (
    COLUMNS,
    TABLE,
    Evaluation,
    Progress,
    compare_columns,
    digest,
    is_of_fewer,
    of_more,
    unpack,
    with_autoattack,
    with_curves,
    with_more,
    with_table,
)
from cifs.files import write_json
from cifs.models import CNN
from cifs.precision import Precision
from cifs.registry import configure
from cifs.selection import IMGFS
from cifs.zoo import Entry, Zoo


class Suite(StrEnum):
    """What `cifs evaluate` measures."""

    table1 = "table1"
    curves = "curves"
    autoattack = "autoattack"


def evaluate(
    model: Annotated[str, typer.Argument(help="id in the zoo")],
    suite: Annotated[
        Suite,
        typer.Option(help="table1; then, on its first images, accuracy against ε and steps, or AutoAttack"),
    ] = Suite.table1,
    data: Annotated[str | None, typer.Option(help="data set; default: the model's own")] = None,
    split: Annotated[str, typer.Option(help="train or test")] = "test",
    n: Annotated[
        int | None,
        typer.Option(
            help="first n images only; a kept table of more stays. Default: all; the other suites take 1000", min=1
        ),
    ] = None,
    eps: Annotated[
        str | None,
        typer.Option(help="ε, a number or a fraction; what is measured at another than the usual is not kept"),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="only these columns of the table; beside a kept one if of more images"),
    ] = None,
    sweep: Annotated[
        int | None, typer.Option(help="try adaptive settings on the first images, the best two on all", min=1)
    ] = None,
    imgf: Annotated[
        str | None,
        typer.Option(help="another IMGF in its CIFS layers, compared with its own; what is measured is not kept"),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="that IMGF's parameters")] = None,
    stage: Annotated[list[str] | None, typer.Option(help=f"of AutoAttack; default: {', '.join(STAGES)}")] = None,
    precision: Annotated[Precision, typer.Option(help="of the gradients; success is confirmed in float32")] = "bf16",
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """Measure a model by the robustness table: adaptive attacks, the strongest counts. Resumes where it was stopped.

    The suites curves and autoattack add to what `--suite table1` found.
    """
    entry = Zoo(checkpoints).entry(model)
    name = data or entry.info.dataset
    budget = budget_of(eps, name)
    about = {"model": model, "dataset": name, "split": split, "weights": digest(entry.folder / "model.safetensors")}
    table = entry.evaluation()
    before = None if suite is Suite.table1 else evaluated(entry)
    if set_ and imgf is None:
        raise InvalidParameter(f"--set {set_[0]}: parameters of which IMGF? Name it with --imgf")
    if imgf is not None and before is not None:
        raise InvalidParameter(f"--imgf {imgf}: only with --suite table1, whose result is then printed and not kept")
    images = load_images(name, cast(Split, split))  # refuses any other
    n = None if n is None else min(n, len(images))
    if before is not None:
        n = n or min(1000, len(images))
        if any(before[key] != value for key, value in {**about, "eps": budget}.items()) or n > before["n"]:
            raise InvalidParameter(
                f"{entry.evaluation_path} is of other weights, ε or images, or of fewer; evaluate the table first"
            )
    # What evaluation.json speaks of.
    own = imgf is None and (name, split, budget) == (entry.info.dataset, "test", dataset(name).eps)
    kept = before is not None or (own and column is None)
    if kept and before is None and (larger := more_images(table, about["weights"], n)):
        console.print(f"{entry.evaluation_path} is of {larger:,} images; what is found on {n:,} is not kept")
        kept = False
    if before is not None and (had := of_more(before, suite, n or 0, [*(stage or STAGES)])):
        console.print(f"{entry.evaluation_path} has {had}; what is found now is not kept")
        kept = False
    # Columns measured on more images than the kept table: they stand beside it.
    subject = {**about, "eps": budget, "n": n or len(images)}
    more = own and before is None and column is not None and is_of_fewer(table, subject)
    names = {suite: "more"} if more else {suite: suite, "last": "last"}
    partials = {
        key: entry.folder / f"evaluation.{part}{f'-{n}' if n else ''}.partial.json" for key, part in names.items()
    }
    resumes = "the same command goes on after the last finished setting"
    with measuring(model, resumes if kept or more else "nothing was written") as tell:

        def evaluation(key: str) -> Evaluation:
            network = load(entry, device, name, last=key == "last")
            return Evaluation(
                network if imgf is None else _with_imgf(network, imgf, set_),
                images if n is None else images[:n],
                budget,
                about,
                partial=partials[key] if kept or more else None,
                precision=precision,
                sweep=sweep,
                report=lambda progress: tell(_doing(progress), progress.images, progress.total),
            )

        if before is None:
            result = {**evaluation(suite).run(tuple(column or TABLE)), "of": len(images)}
            if kept and entry.last_path.exists():
                result["last"] = _last(evaluation("last"), entry)
        elif suite is Suite.curves:
            curves = _curves(before, evaluation(suite))
            result = with_curves(evaluated(entry), before, curves)
        else:
            cell = _autoattack(before, evaluation(suite), n, stage or STAGES)
            result = with_autoattack(evaluated(entry), before, cell)
    _print(result, f"{model}: {result['n']} {split} images of {name}, ε = {budget:g}", suite)
    if imgf is not None:
        _print_against_own(result, entry, imgf)
    if more and table is not None:
        result = with_more(evaluated(entry), table, result)
    elif kept and before is None:
        result = with_table(entry.evaluation(), result)
    if kept or more:
        write_json(entry.evaluation_path, result)
        write_card(entry)
        for partial in partials.values():
            partial.unlink(missing_ok=True)


def _last(evaluation: Evaluation, entry: Entry) -> dict[str, Any]:
    """What the table says beside the best checkpoint: where its training ended."""
    epochs = (entry.info.training or {})["recipe"]["epochs"]
    return {"epoch": epochs, "cells": evaluation.run(("natural", "pgd20"))["cells"]}


def _curves(table: dict[str, Any], evaluation: Evaluation) -> dict[str, Any]:
    """Of the strongest PGD-20 that the table found."""
    strongest = dict(table["cells"]["pgd20"]["settings"])
    attack = configure(ATTACKS, strongest.pop("name"), strongest)
    assert isinstance(attack, GradientAttack)  # as every column's is
    return evaluation.curves(attack)


def _autoattack(table: dict[str, Any], evaluation: Evaluation, n: int | None, stages: Sequence[str]) -> dict[str, Any]:
    """On those of the first n images that withstand all else."""
    worst = table["cells"]["worst"]
    return evaluation.autoattack(unpack(worst["robust"], worst["n"])[:n], stages)


def _print(result: dict[str, Any], title: str, suite: Suite) -> None:
    table = Table("", "accuracy %", "95 % interval", "settings", title=title)
    shown = ("steps", "step_size", "loss", "beta", "through_mask", "stages", "n")
    for key, cell in result["cells"].items():
        settings = {name: value for name, value in (cell["settings"] or {}).items() if name in shown}
        interval = f"{100 * cell['low']:.2f} – {100 * cell['high']:.2f}"
        table.add_row(COLUMNS[key].title, f"{100 * cell['accuracy']:.2f}", interval, str(settings or ""))
    console.print(table)
    for after in result["cells"]["autoattack"]["after"] if suite is Suite.autoattack else ():
        through = " through the importance maps" if after["through_mask"] else ""
        console.print(f"after {after['stage']}{through}: {after['correct']} left", *after["remarks"])
    for axis in ("eps", "steps") if suite is Suite.curves else ():
        points = ", ".join(f"{point[axis]:.3g}: {100 * point['accuracy']:.1f}" for point in result["curves"][axis])
        console.print(f"accuracy % against {axis}: {points}")


def _with_imgf(network: CNN, name: str, set_: list[str] | None) -> CNN:
    """The model with another IMGF in its CIFS layers."""
    if network.config["method"] != "cifs":
        raise InvalidParameter(f"--imgf {name}: the model has no CIFS layers (method {network.config['method']})")
    for layer in network.modified:
        network.selector(layer).imgf = configure(IMGFS, name, parameters(set_))
    return network


def _print_against_own(result: dict[str, Any], entry: Entry, imgf: str) -> None:
    """What was measured with another IMGF against what is kept of the model's own, on the same images."""
    own, same = entry.evaluation(), ("weights", "dataset", "split", "eps")
    if own is None or own["n"] < result["n"] or any(own[key] != result[key] for key in same):
        return
    title = f"{entry.id}: {imgf} as chosen against its own importance map, the first {result['n']} images"
    compared = compare_columns(result, own)
    print_compared(by_title(compared), (imgf, "its own"), result["n"], title)


def _doing(progress: Progress) -> str:
    if (settings := progress.settings) is None:
        return progress.column
    mask = " through the mask" if settings["through_mask"] else ""
    return f"{progress.column} ε={settings['eps']:.3g} β={settings['beta']}{mask}"
