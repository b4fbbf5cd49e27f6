"""`cifs models`, `cifs import` and `cifs card`: the models there are."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cifs.card import write_card
from cifs.cli.arguments import budget_of
from cifs.cli.console import DEFAULT_ZOO, Checkpoints, console
from cifs.data import dataset
from cifs.errors import InvalidParameter
from cifs.evaluation import COLUMNS, digest
from cifs.files import replacing
from cifs.foreign import LAYOUTS, SOURCES, import_model
from cifs.methods import METHODS
from cifs.zoo import Entry, Info, Zoo


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
        eps=None if eps is None else budget_of(eps, data),
        command=" ".join(["cifs import", source, *([] if source in SOURCES else words)]),
        source=f"{came_from}, SHA-256 {digest(path)}",
    )
    entry = zoo.save(name, network, info)
    write_card(entry)
    with replacing(entry.folder / ".gitignore") as temporary:
        temporary.write_text("# Weights of others: each fetches them for themselves.\n*\n", encoding="utf-8")
    console.print(f"saved {entry.folder}: {network.arch} of width {network.width}")


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
        ordered = sorted(entries, key=lambda entry: list(METHODS).index(entry.info.method))
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
        notes = [f"n = {cell['n']}"] if cell["n"] != evaluation["n"] else []
        if key == "autoattack" and cell["settings"]["version"] != "standard":
            notes.append(f"{', '.join(cell['settings']['stages'])} only")
        shown[key] = f"{100 * cell['accuracy']:.2f}" + (f" ({'; '.join(notes)})" if notes else "")
    for key, cell in evaluation.get("more", {"cells": {}})["cells"].items():
        shown[key] += f" ({100 * cell['accuracy']:.2f}, n = {cell['n']})"
    marked = [underlined.format(text) if key == evaluation["strongest"] else text for key, text in shown.items()]
    return [entry.id, entry.info.title, str(evaluation["n"]), *marked]


def card(model: Annotated[str, typer.Argument(help="id in the zoo")], checkpoints: Checkpoints = DEFAULT_ZOO) -> None:
    """Write a model's card again from its config.json, evaluation.json and checks.json."""
    write_card(Zoo(checkpoints).entry(model))
