"""`cifs models`, `cifs import` and `cifs card`: the models there are."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cifs.attacks import ATTACKS
from cifs.cli.console import DEFAULT_ZOO, Checkpoints, Json, console, print_json
from cifs.data import dataset
from cifs.errors import InvalidParameter
from cifs.evaluation.rows import robustness_columns, row_of
from cifs.files import replacing
from cifs.foreign import LAYOUTS, SOURCES, import_model
from cifs.registry import configure
from cifs.report import PrintedCell, PrintedTable, brief, groups, to_markdown
from cifs.report.card import write_card
from cifs.zoo import Info, Zoo


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
        eps=None if eps is None else configure(ATTACKS, "pgd", {"eps": eps}).eps,
        command=" ".join(["cifs import", source, *([] if source in SOURCES else words)]),
        source=f"{came_from}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}",
    )
    entry = zoo.save(name, network, info)
    write_card(entry)
    with replacing(entry.folder / ".gitignore") as temporary:
        temporary.write_text("# Weights of others: each fetches them for themselves.\n*\n", encoding="utf-8")
    console.print(f"saved {entry.folder}: {network.arch} of width {network.width}")


def models(
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown tables, strongest attack underlined")] = False,
    checkpoints: Checkpoints = DEFAULT_ZOO,
    json: Json = False,
) -> None:
    """The models of the zoo and what was measured of them (accuracy, %); the strongest attack is underlined."""
    zoo = Zoo(checkpoints)
    rows = [row for model_id in zoo.ids() if (row := row_of(zoo.entry(model_id)))]
    table = robustness_columns(rows)
    if json:
        print_json(table)
        return
    for name, group in groups(table).items():
        typer.echo(f"**{name}**\n\n{to_markdown(brief(group))}") if markdown else _print(name, brief(group))
    if unmeasured := [model_id for model_id in zoo.ids() if model_id not in {row.model for row in rows}]:
        typer.echo(f"Not evaluated: {', '.join(unmeasured)}")


def _print(title: str, printed: PrintedTable) -> None:
    table = Table(printed.corner, *printed.columns, title=title)
    for row in printed.rows:
        table.add_row(row.title, *("–" if cell is None else _marked(cell) for cell in row.entries))
    console.print(table)


def _marked(cell: PrintedCell) -> str:
    text = f"{cell.text} ({cell.note})" if cell.note else cell.text
    return f"[underline]{text}[/]" if cell.underlined else text


def card(model: Annotated[str, typer.Argument(help="id in the zoo")], checkpoints: Checkpoints = DEFAULT_ZOO) -> None:
    """Write a model's card again from its config.json, evaluation.json and checks.json."""
    write_card(Zoo(checkpoints).entry(model))
