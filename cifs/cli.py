"""`cifs …`: training, evaluation, attacks and channel analysis from the command line."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from torch import Tensor

from cifs import __version__
from cifs.attacks import ATTACKS, PGD, STAGES, perturb
from cifs.card import MARKS, write_card
from cifs.channels import RELEVANCES, Estimate, channel_statistics, view
from cifs.data import dataset, load_images
from cifs.errors import CheckpointError, CIFSError, InvalidParameter
from cifs.evaluation import CHECKS, COLUMNS, TABLE, Checking, Evaluation, compare_columns, digest, run_checks, unpack
from cifs.evaluation import Progress as EvaluationProgress
from cifs.files import replacing, write_json
from cifs.foreign import LAYOUTS, SOURCES, import_model
from cifs.models import CNN
from cifs.precision import Precision, usable_device
from cifs.registry import configure
from cifs.training import Progress as TrainingProgress
from cifs.training import Run, joined, load_recipe, recipe_names
from cifs.zoo import Entry, Info, TrainingMethod, Zoo, checked_id, save_weights

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="See, measure and teach why CNNs are fooled, channel by channel.",
)
console = Console()
errors = Console(stderr=True)

Checkpoints = Annotated[Path, typer.Option(help="folder of the zoo", envvar="CIFS_CHECKPOINTS")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")]
DEFAULT_ZOO = Path("checkpoints")


class Suite(StrEnum):
    """What `cifs evaluate` measures."""

    table1 = "table1"
    curves = "curves"
    autoattack = "autoattack"


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A subcommand whose own errors are one clear line and exit code 1."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except CIFSError as error:
            message = escape(" ".join(str(error).split()))  # one line, in which [x] is no markup
            errors.print(f"[red]error:[/] {message}", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None

    return app.command(name=function.__name__.rstrip("_").replace("_", "-"))(run)


@contextmanager
def progress_bar(*columns: TextColumn, shown: bool = True) -> Iterator[Progress]:
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
        disable=not (shown and errors.is_terminal),
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
    info = Info(
        title=plan.title,
        dataset=plan.dataset,
        method=plan.method,
        eps=plan.training_attack.eps if plan.training_attack else None,
        recipe=recipe,
        command=" ".join(["cifs train", recipe, *(f"--set {override}" for override in overrides)]),
        training={
            "recipe": plan.as_dict(),
            "total_epochs": plan.epochs + (run.start.epochs if run.start else 0),
            "kept_epoch": epoch,
            "kept": f"{plan.keep} checkpoint" + (", chosen on the validation images" if plan.keep == "best" else ""),
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

        def report(progress: TrainingProgress) -> None:
            bar.update(task, completed=progress.step, loss=progress.metrics["loss"])
            if "validation_natural" in progress.metrics or (not errors.is_terminal and progress.step % 50 == 0):
                left = (time.monotonic() - began) / (progress.step - first) * (progress.steps - progress.step)
                figures = "  ".join(f"{key} {value:.4f}" for key, value in progress.metrics.items())
                console.print(
                    f"epoch {progress.epoch}  step {progress.step}/{progress.steps}  {figures}  "
                    f"{left / 60:.1f} min left"
                )

        return run.train(report=report, stop=stop)


@command
def import_(
    source: Annotated[str, typer.Argument(help=f"a file of weights, or one of: {', '.join(SOURCES)}")],
    layout: Annotated[str | None, typer.Option(help=f"of a file's names: {', '.join(LAYOUTS)}")] = None,
    model_id: Annotated[str | None, typer.Option("--id", help="id in the zoo; default: the source's own")] = None,
    data: Annotated[str, typer.Option(help="data set of a file's model")] = "cifar10",
    method: Annotated[str, typer.Option(help="how a file's model was trained: natural or vanilla")] = "natural",
    eps: Annotated[str | None, typer.Option(help="ε of its adversarial training")] = None,
    checkpoints: Checkpoints = DEFAULT_ZOO,
) -> None:
    """Take weights of another project into the zoo; they stay on this machine (git is told to ignore them)."""
    zoo = Zoo(checkpoints)
    if source in SOURCES:
        known = SOURCES[source]
        path, layout, data = known.path(), layout or known.layout, known.dataset
        title, name, came_from = known.title, model_id or known.id, known.provenance()
    else:
        path, title, name, came_from = Path(source), f"Imported {method}", model_id or Path(source).stem, source
        if layout is None:
            raise InvalidParameter(f"--layout: say which names the file uses; choose from: {', '.join(LAYOUTS)}")
    if method not in ("natural", "vanilla") or (method == "vanilla") != (eps is not None):
        raise InvalidParameter(f"--method {method} --eps {eps}: write natural without ε, or vanilla with its ε")
    if name in zoo.ids():
        raise InvalidParameter(f"{name} is in {checkpoints} already; give another --id, or remove it")
    network = import_model(path, layout, dataset(data))
    words = [f"--layout {layout}", f"--data {data}", f"--method {method}", *([f"--eps {eps}"] if eps else [])]
    info = Info(
        title=title,
        dataset=data,
        method="vanilla" if method == "vanilla" else "natural",
        eps=None if eps is None else _budget(eps, data),
        command=" ".join(["cifs import", source, *([] if source in SOURCES else words)]),
        source=f"{came_from}, SHA-256 {digest(path)}",
    )
    entry = zoo.save(name, network, info)
    write_card(entry)
    with replacing(entry.folder / ".gitignore") as temporary:
        temporary.write_text("# Weights of others: each fetches them for themselves.\n*\n", encoding="utf-8")
    console.print(f"saved {entry.folder}: {network.arch} of width {network.width}")


@command
def recipes() -> None:
    """The recipes there are."""
    table = Table("recipe", "title", "data set", "method", "epochs")
    for name in recipe_names():
        recipe = load_recipe(name)
        table.add_row(name, recipe.title, recipe.dataset, recipe.method, str(recipe.epochs))
    console.print(table)


@command
def models(
    markdown: Annotated[bool, typer.Option("--markdown", help="a Markdown table, strongest attack underlined")] = False,
    checkpoints: Checkpoints = DEFAULT_ZOO,
) -> None:
    """The models of the zoo and what was measured of them (accuracy, %); the strongest attack is underlined."""
    zoo = Zoo(checkpoints)
    families: dict[str, list[Entry]] = {}
    for entry in map(zoo.entry, zoo.ids()):
        family = f"{entry.info.dataset}: {entry.config['arch']}, width {entry.config['width']}"
        families.setdefault(family, []).append(entry)
    head = ["model", "title", "n", *(column.title for column in COLUMNS.values())]
    for family, entries in families.items():
        ordered = sorted(entries, key=lambda entry: get_args(TrainingMethod).index(entry.info.method))
        rows = [_model_row(entry, "<u>{}</u>" if markdown else "[underline]{}[/]") for entry in ordered]
        if markdown:
            lines = [head, ["---"] * len(head), *rows]
            typer.echo("\n".join([f"**{family}**", "", *(f"| {' | '.join(line)} |" for line in lines), ""]))
        else:
            table = Table(*head, title=family)
            for row in rows:
                table.add_row(*row)
            console.print(table)


def _model_row(entry: Entry, underlined: str) -> list[str]:
    evaluation = entry.evaluation() or {"cells": {}, "n": "–", "strongest": None}
    shown = dict.fromkeys(COLUMNS, "–")
    for key, cell in evaluation["cells"].items():
        shown[key] = f"{100 * cell['accuracy']:.2f}" + (f" (n = {cell['n']})" if cell["n"] != evaluation["n"] else "")
    marked = [underlined.format(text) if key == evaluation["strongest"] else text for key, text in shown.items()]
    return [entry.id, entry.info.title, str(evaluation["n"]), *marked]


@command
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
        typer.Option(help="first n images only: a table is then printed, not kept; the other suites take 1000", min=1),
    ] = None,
    eps: Annotated[
        str | None,
        typer.Option(help="ε, a number or a fraction; what is measured at another than the usual is not kept"),
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="only these columns of the table")] = None,
    sweep: Annotated[
        int | None, typer.Option(help="try adaptive settings on the first images, the best two on all", min=1)
    ] = None,
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
    budget = _budget(eps, name)
    about = {"model": model, "dataset": name, "split": split, "weights": digest(entry.folder / "model.safetensors")}
    before = None if suite is Suite.table1 else _evaluated(entry)
    images = load_images(name, split)
    if before is not None:
        n = n or min(1000, len(images))
        if any(before[key] != value for key, value in {**about, "eps": budget}.items()) or n > before["n"]:
            raise InvalidParameter(
                f"{entry.evaluation_path} is of other weights, ε or images, or of fewer; evaluate the table first"
            )
    own = (name, split, budget) == (entry.info.dataset, "test", dataset(name).eps)  # what evaluation.json speaks of
    kept = before is not None or (own and n is None and column is None)
    with progress_bar() as bar, stopping_on_signal() as stop:
        task = bar.add_task(model, total=None)
        last = ""

        def report(progress: EvaluationProgress) -> None:
            nonlocal last
            settings = progress.settings or {}
            mask = " through the mask" if settings.get("through_mask") else ""
            what = f"{model} {progress.column}"
            what += f" ε={settings['eps']:.3g} β={settings['beta']}{mask}" if settings else ""
            bar.update(task, description=what, completed=progress.images, total=progress.total)
            if what != last and not errors.is_terminal:
                console.print(what)
            last = what
            if stop():
                raise KeyboardInterrupt

        def evaluation(suffix: str, *, last: bool = False) -> Evaluation:
            return Evaluation(
                _load(entry, device, name, last=last),
                images if n is None else images[:n],
                budget,
                about,
                partial=entry.folder / f"evaluation.{suffix}.partial.json" if kept else None,
                precision=precision,
                sweep=sweep,
                report=report,
            )

        try:
            if before is None:
                result = evaluation(suite).run(tuple(column or TABLE))
                if kept and entry.last_path.exists():
                    result["last"] = {
                        "epoch": (entry.info.training or {})["recipe"]["epochs"],
                        "cells": evaluation("last", last=True).run(("natural", "pgd20"))["cells"],
                    }
            elif suite is Suite.curves:
                strongest = dict(before["cells"]["pgd20"]["settings"])
                attack = configure(ATTACKS, strongest.pop("name"), strongest)
                result = {**before, "curves": evaluation(suite).curves(attack)}
            else:
                worst = before["cells"]["worst"]
                cell = evaluation(suite).autoattack(unpack(worst["robust"], worst["n"])[:n], stage or STAGES)
                result = {**before, "cells": {**before["cells"], "autoattack": cell}}
        except KeyboardInterrupt:
            console.print("stopped; the same command goes on after the last finished setting")
            raise typer.Exit(130) from None
    table = Table(
        "",
        "accuracy %",
        "95 % interval",
        "settings",
        title=f"{model}: {result['n']} {split} images of {name}, ε = {budget:g}",
    )
    for key, cell in result["cells"].items():
        settings = {
            k: v
            for k, v in (cell["settings"] or {}).items()
            if k in ("steps", "step_size", "loss", "beta", "through_mask", "stages", "n")
        }
        table.add_row(
            COLUMNS[key].title,
            f"{100 * cell['accuracy']:.2f}",
            f"{100 * cell['low']:.2f} – {100 * cell['high']:.2f}",
            str(settings or ""),
        )
    console.print(table)
    for axis in ("eps", "steps") if suite is Suite.curves else ():
        points = ", ".join(f"{point[axis]:.3g}: {100 * point['accuracy']:.1f}" for point in result["curves"][axis])
        console.print(f"accuracy % against {axis}: {points}")
    if kept:
        if before is None:
            result = _with_other_suites(result, entry)
        write_json(entry.evaluation_path, result)
        write_card(entry)
        for suffix in (suite, "last"):
            (entry.folder / f"evaluation.{suffix}.partial.json").unlink(missing_ok=True)


def _with_other_suites(table: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """A table measured anew, with what the other suites had found of the same weights and images."""
    had = entry.evaluation() or {}
    if any(had.get(key) != table[key] for key in ("weights", "dataset", "split", "n", "eps")):
        return table
    cells = {**table["cells"], **{key: had["cells"][key] for key in had["cells"] if key == "autoattack"}}
    return {**table, "cells": cells, **{key: had[key] for key in had if key == "curves"}}


@command
def compare(
    first: Annotated[str, typer.Argument(help="id in the zoo")],
    second: Annotated[str, typer.Argument(help="id in the zoo, evaluated on the same images")],
    checkpoints: Checkpoints = DEFAULT_ZOO,
) -> None:
    """Is one model really more robust? McNemar's exact test on the same images, column by column."""
    entries = [Zoo(checkpoints).entry(model) for model in (first, second)]
    a, b = (_evaluated(entry) for entry in entries)
    compared = compare_columns(a, b)
    titles = [f"{entry.info.title} %" for entry in entries]
    title = f"{first} against {second}: {a['n']} {a['split']} images of {a['dataset']}, ε = {a['eps']:g}"
    table = Table("", *titles, "difference", "only first", "only second", "p (McNemar)", title=title)
    for key, found in compared.items():
        table.add_row(
            COLUMNS[key].title + (f" (n = {found.n})" if found.n != a["n"] else ""),
            f"{100 * found.first:.2f}",
            f"{100 * found.second:.2f}",
            f"{100 * (found.first - found.second):+.2f}",
            str(found.only_first),
            str(found.only_second),
            f"{found.p_value:.2g}",
        )
    console.print(table)


@command
def check(
    model: Annotated[str, typer.Argument(help="id in the zoo")],
    data: Annotated[str | None, typer.Option(help="data set; default: the model's own. Any other is not kept")] = None,
    n: Annotated[int, typer.Option(help="first n test images", min=1)] = 500,
    eps: Annotated[str | None, typer.Option(help="ε, a number or a fraction; default: the data set's")] = None,
    queries: Annotated[int, typer.Option(help="queries of Square per image", min=1)] = 1000,
    source: Annotated[
        list[str] | None, typer.Option(help="model to transfer attacks from; default: all others of its data set")
    ] = None,
    precision: Annotated[Precision, typer.Option(help="of the white-box gradients")] = "bf16",
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """Is the model robust, or are its gradients hard to follow? Writes checks.json. Resumes where it was stopped."""
    zoo = Zoo(checkpoints)
    entry = zoo.entry(model)
    name = data or entry.info.dataset
    budget = _budget(eps, name)
    own = (name, budget) == (entry.info.dataset, dataset(name).eps)  # what checks.json speaks of
    partial = entry.folder / "checks.partial.json" if own else None
    network, sources = _load(entry, device, name), _sources(zoo, entry, source, device, name)
    counted = (entry.evaluation() or {}).get("cells", {}).get("pgd20", {})
    chosen = [configure(CHECKS, key, {"queries": queries} if key == "square" else {}) for key in CHECKS]
    with progress_bar() as bar, stopping_on_signal() as stop:
        task = bar.add_task(model, total=None)
        last = ""

        def report(checking: Checking) -> None:
            nonlocal last
            bar.update(
                task, description=f"{checking.check}: {checking.doing}", completed=checking.done, total=checking.total
            )
            if checking.check != last and not errors.is_terminal:
                console.print(f"{model} {checking.check}")
            last = checking.check
            if stop():
                raise KeyboardInterrupt

        try:
            result = run_checks(
                network,
                load_images(name, "test")[:n],
                budget,
                checks=chosen,
                about={
                    "model": model,
                    "dataset": name,
                    "split": "test",
                    "weights": digest(entry.folder / "model.safetensors"),
                    "sources": {key: digest(zoo.root / key / "model.safetensors") for key in sources},
                },
                sources=sources,
                partial=partial,
                reported_through_mask=bool((counted.get("settings") or {}).get("through_mask")),
                precision=precision,
                report=report,
            )
        except KeyboardInterrupt:
            kept = "the same command goes on after the last finished check" if partial else "nothing was written"
            console.print(f"stopped; {kept}")
            raise typer.Exit(130) from None
    table = Table("", "", "found", title=f"{model}: {result['n']} test images of {name}, ε = {result['eps']:g}")
    for found in result["checks"].values():
        colour = {True: "green", False: "red", None: "dim"}[found["passed"]]
        table.add_row(found["title"], f"[{colour}]{MARKS[found['passed']]}[/]", found["statement"])
    console.print(table)
    if partial:
        write_json(entry.checks_path, result)
        write_card(entry)
        partial.unlink(missing_ok=True)


@command
def statistics(
    model: Annotated[str, typer.Argument(help="id in the zoo")],
    n: Annotated[int | None, typer.Option(help="first n test images only", min=1)] = None,
    eps: Annotated[str | None, typer.Option(help="ε of the PGD-20 attack; default: the data set's")] = None,
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """Channel statistics by class, natural against PGD-20: writes channel_statistics.npz (Figures 1 and 2).

    Prints how far the attack over-activates NR and under-activates PR channels, with 95 % bootstrap intervals.
    """
    entry = Zoo(checkpoints).entry(model)
    images = load_images(entry.info.dataset, "test")
    images = images if n is None else images[:n]
    attack = PGD(eps=_budget(eps, entry.info.dataset), steps=20)
    batches = (images[index] for index in torch.arange(len(images)).split(250))
    with progress_bar() as bar:
        task = bar.add_task(model, total=len(images))
        found = channel_statistics(
            entry.load(device),
            batches,
            attack,
            dataset=entry.info.dataset,
            split="test",
            report=lambda done: bar.update(task, advance=done),
        )
    found.save(entry.statistics_path)
    console.print(f"saved {entry.statistics_path}")
    title = f"{model}: {len(images)} images, ε = {attack.eps:g}; shift in % of the mean activation"
    table = Table("layer", "mean activation", "NR over-activation", "PR under-activation", title=title)
    for layer in found.layers:
        if shift := found.shift(layer):
            unit = shift.mean_activation
            shifts = (_percent(kind, unit) for kind in (shift.nr_over_activation, shift.pr_under_activation))
            table.add_row(layer, f"{unit:.4g}", *shifts)
    console.print(table)


def _percent(estimate: Estimate | None, of: float) -> str:
    if estimate is None or not of:
        return "–"
    mean, low, high = (100 * value / of for value in (estimate.mean, estimate.low, estimate.high))
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


@command
def card(model: Annotated[str, typer.Argument(help="id in the zoo")], checkpoints: Checkpoints = DEFAULT_ZOO) -> None:
    """Write a model's card again from its config.json, evaluation.json and checks.json."""
    write_card(Zoo(checkpoints).entry(model))


@command
def attack(
    model: Annotated[str, typer.Argument(help="id in the zoo")],
    name: Annotated[str, typer.Option("--attack", help="a registered attack")] = "pgd",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="parameter, e.g. --set eps=8/255 --set steps=20")
    ] = None,
    index: Annotated[list[int] | None, typer.Option(help="indices of test images")] = None,
    data: Annotated[str, typer.Option(help="data set")] = "fashion_mnist_mini",
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """Attack some test images and show what the model says before and after."""
    entry = Zoo(checkpoints).entry(model)
    settings, network = configure(ATTACKS, name, _parameters(set_)), _load(entry, device, data)
    classes = dataset(data).classes
    x, y = _test_images(data, index or [0])
    x_adv = perturb(network, x.to(device), y.to(device), settings).cpu()
    with torch.no_grad():
        before, after = (network(images.to(device)).softmax(dim=1).cpu() for images in (x, x_adv))
    table = Table("image", "label", "natural", "attacked", "max |x' − x|", title=str(settings))
    for i, image in enumerate(index or [0]):
        shown = (f"{classes[int(p.argmax())]} {100 * p.max():.1f} %" for p in (before[i], after[i]))
        table.add_row(str(image), classes[int(y[i])], *shown, f"{(x_adv[i] - x[i]).abs().max():.4f}")
    console.print(table)


@command
def channels(
    model: Annotated[str, typer.Argument(help="id in the zoo")],
    layer: Annotated[str | None, typer.Option(help="layer; default: the last")] = None,
    index: Annotated[int, typer.Option(help="index of a test image")] = 0,
    data: Annotated[str, typer.Option(help="data set")] = "fashion_mnist_mini",
    name: Annotated[str, typer.Option("--attack", help="a registered attack")] = "pgd",
    set_: Annotated[list[str] | None, typer.Option("--set", help="the attack's parameters")] = None,
    most: Annotated[int, typer.Option(help="how many channels of either end", min=1)] = 8,
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """The most and least relevant channels of a layer, natural against attacked."""
    settings, network = configure(ATTACKS, name, _parameters(set_)), _load(Zoo(checkpoints).entry(model), device, data)
    layer = layer or network.layers[-1]
    x, y = (t.to(device) for t in _test_images(data, [index]))
    x_adv = perturb(network, x, y, settings)
    natural, adversarial = (
        view(network, layer, images, relevance=RELEVANCES["true"](), classes=y) for images in (x, x_adv)
    )
    order = natural.relevance[0].argsort(descending=True)
    table = Table(
        "channel", "relevance", "natural", "attacked", "importance", title=f"{model} {layer}, image {index} of {data}"
    )
    for channel in (*order[:most].tolist(), *order[-most:].tolist()):
        m = "–" if natural.importance is None else f"{natural.importance[0, channel]:.3f}"
        a, b = natural.activation[0, channel], adversarial.activation[0, channel]
        table.add_row(str(channel), f"{natural.relevance[0, channel]:+.3f}", f"{a:.3f}", f"{b:.3f}", m)
    console.print(table)


@command
def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port", min=1, max=65535)] = 8000,
) -> None:
    """Serve the REST API (settings are CIFS_… environment variables)."""
    import uvicorn  # only here: the library needs no server

    uvicorn.run("backend.app:create_app", factory=True, host=host, port=port)


def _load(entry: Entry, device: str, data: str, *, last: bool = False) -> CNN:
    """The model, if images of this data set fit it."""
    model, spec = entry.load(device, last=last), dataset(data)
    if spec.image_shape != model.image_shape or len(spec.classes) > model.num_classes:
        raise InvalidParameter(
            f"data set {data!r} has images of {spec.image_shape} in {len(spec.classes)} classes; "
            f"{entry.id!r} takes {model.image_shape} and knows {model.num_classes}"
        )
    return model


def _sources(zoo: Zoo, target: Entry, chosen: list[str] | None, device: str, data: str) -> dict[str, CNN]:
    """The chosen models; by default every other one of the target's data set that can be loaded and fits."""
    if chosen:
        return {model_id: _load(zoo.entry(model_id), device, data) for model_id in chosen}
    found = {}
    for model_id in zoo.ids():
        with suppress(CIFSError):
            entry = zoo.entry(model_id)
            if model_id != target.id and entry.info.dataset == target.info.dataset:
                found[model_id] = _load(entry, device, data)
    return found


def _evaluated(entry: Entry) -> dict[str, Any]:
    if (evaluation := entry.evaluation()) is None:
        raise CheckpointError(f"{entry.id} has not been evaluated; `cifs evaluate {entry.id}` does it")
    return evaluation


def _budget(eps: str | None, data: str) -> float:
    return dataset(data).eps if eps is None else configure(ATTACKS, "pgd", {"eps": eps}).eps


def _parameters(overrides: list[str] | None) -> dict[str, Any]:
    pairs = [override.partition("=") for override in overrides or []]
    if wrong := [key for key, separator, _ in pairs if not separator]:
        raise InvalidParameter(f"--set {wrong[0]!r}: write parameter=value, for example eps=8/255")
    return {key: _number_or_text(value) for key, _, value in pairs}


def _number_or_text(value: str) -> Any:
    """20, 0.1 and true as JSON has them, 8/255 as it stands."""
    with suppress(ValueError):
        return json.loads(value, parse_constant=str)
    return value


def _test_images(data: str, index: list[int]) -> tuple[Tensor, Tensor]:
    images = load_images(data, "test")
    if wrong := [i for i in index if not 0 <= i < len(images)]:
        raise InvalidParameter(f"index {wrong[0]}: {data} has test images 0 to {len(images) - 1}")
    return images.batch(torch.tensor(index))


if __name__ == "__main__":
    app()
