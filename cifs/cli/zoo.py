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
from cifs.models import CNN
from cifs.records import network_text
from cifs.zoo import Entry, Info, Zoo


def import_(
    source: Annotated[
        str, typer.Argument(help=f"a file of weights, a Hugging Face folder, or one of: {', '.join(SOURCES)}")
    ],
    layout: Annotated[
        str | None,
        typer.Option(help=f"of a file's names: {', '.join(LAYOUTS)}, or library:name; default: whichever fits"),
    ] = None,
    model_id: Annotated[str | None, typer.Option("--id", help="id in the zoo; default: the source's own")] = None,
    data: Annotated[str, typer.Option(help="data set of a file's model")] = "cifar10",
    method: Annotated[str | None, typer.Option(help=f"how a file's model was trained: {', '.join(METHODS)}")] = None,
    eps: Annotated[str | None, typer.Option(help="ε of its adversarial training")] = None,
    normalised: Annotated[bool, typer.Option(help="it expects images normalised by the data's mean and std")] = False,
    checkpoints: Checkpoints = DEFAULT_ZOO,
) -> None:
    """Take weights of another project into the zoo; they stay on this machine (git is told to ignore them)."""
    zoo = Zoo(checkpoints)
    known = next((SOURCES[key] for key in SOURCES if key == source), None)
    path = Path(source) if known is None else known.path()
    layout, data = (layout, data) if known is None else (layout or known.layout, known.dataset)
    name = model_id or (path.resolve().stem if known is None else known.id)
    if name in zoo.ids():
        raise InvalidParameter(f"{name} is in {checkpoints} already; give another --id, or remove it")
    network = import_model(path, layout, dataset(data), normalised=normalised)
    trained_by = _method_of(network, method, eps)
    options = {"layout": layout, "data": data, "method": method, "eps": eps}
    words = [f"--{key} {value}" for key, value in options.items() if value is not None and known is None]
    weights = path / "model.safetensors" if path.is_dir() else path
    info = Info(
        title=f"Imported {trained_by}" if known is None else known.title,
        dataset=data,
        method=trained_by,
        eps=None if eps is None else budget_of(eps, data),
        command=" ".join(["cifs import", source, *words, *["--normalised"] * normalised]),
        source=f"{source if known is None else known.provenance()}, SHA-256 {digest(weights)}",
    )
    _keep(zoo, name, network, info)


def _method_of(network: CNN, method: str | None, eps: str | None) -> str:
    """How the network was trained: as it is modified, or as the command says. Raises UnknownName, InvalidParameter."""
    if network.selecting is not None:
        if method not in (None, network.method):
            raise InvalidParameter(f"--method {method}: the weights are of a network modified by {network.method}")
        return network.method
    plain = {name: kind for name, kind in METHODS.items() if not kind.selects}
    chosen = method or next(iter(plain))
    if chosen not in plain or plain[chosen].adversarial != (eps is not None):
        raise InvalidParameter(
            f"--method {chosen} --eps {eps}: such weights are of {' or '.join(plain)}; adversarial training has an ε"
        )
    return chosen


def _keep(zoo: Zoo, name: str, network: CNN, info: Info) -> None:
    entry = zoo.save(name, network, info)
    write_card(entry)
    with replacing(entry.folder / ".gitignore") as temporary:
        temporary.write_text("# Weights of others: each fetches them for themselves.\n*\n", encoding="utf-8")
    modified = f", modified by {network.method} at {', '.join(network.modified)}" if network.modified else ""
    console.print(f"saved {entry.folder}: {entry.network}{modified}")


def models(
    markdown: Annotated[bool, typer.Option("--markdown", help="a Markdown table, strongest attack underlined")] = False,
    checkpoints: Checkpoints = DEFAULT_ZOO,
) -> None:
    """The models of the zoo and what was measured of them (accuracy, %); the strongest attack is underlined."""
    zoo = Zoo(checkpoints)
    families: dict[str, list[Entry]] = {}
    for entry in map(zoo.entry, zoo.ids()):
        family = f"{entry.info.dataset}: {network_text(entry.config['arch'], entry.config['width'])}"
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
