"""`cifs models`, `cifs import` and `cifs card`: the models there are."""

from collections.abc import Sequence
from hashlib import sha256
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
from cifs.methods import METHODS
from cifs.models import CNN
from cifs.records import ComparedVerdict
from cifs.registry import configure
from cifs.report import PrintedCell, PrintedTable, brief, groups, table_of, to_markdown
from cifs.report.card import write_card
from cifs.zoo import Info, Zoo


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
        eps=None if eps is None else configure(ATTACKS, "pgd", {"eps": eps}).eps,
        command=" ".join(["cifs import", source, *words, *["--normalised"] * normalised]),
        source=f"{source if known is None else known.provenance()}, SHA-256 {sha256(weights.read_bytes()).hexdigest()}",
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
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown tables, strongest attack underlined")] = False,
    verdicts: Annotated[
        bool, typer.Option("--verdicts", help="instead: the verdict beside AutoAttack, on the same images")
    ] = False,
    checkpoints: Checkpoints = DEFAULT_ZOO,
    json: Json = False,
) -> None:
    """The models of the zoo and what was measured of them (accuracy, %); the strongest attack is underlined."""
    zoo = Zoo(checkpoints)
    rows = [row for model_id in zoo.ids() if (row := row_of(zoo.entry(model_id)))]
    if verdicts:
        _verdicts([row.agreement for row in rows if row.agreement], markdown, json)
        return
    table = robustness_columns(rows)
    if json:
        print_json(table)
        return
    for name, group in groups(table).items():
        typer.echo(f"**{name}**\n\n{to_markdown(brief(group))}") if markdown else _print(name, brief(group))
    if unmeasured := [model_id for model_id in zoo.ids() if model_id not in {row.model for row in rows}]:
        typer.echo(f"Not evaluated: {', '.join(unmeasured)}")


def _verdicts(found: Sequence[ComparedVerdict], markdown: bool, json: bool) -> None:
    """What every model's verdict left standing that AutoAttack fools, and the other way round."""
    if json:
        print_json([both.model_dump() for both in found])
        return
    rows = [
        {
            "model": both.model,
            "n": both.n,
            "AutoAttack's stages": len(both.stages),
            "+ AutoAttack": f"{100 * both.second:.2f}",
            "Verdict": f"{100 * both.first:.2f}" + " (not trusted)" * (not both.trusted),
            "difference": f"{100 * (both.first - both.second):+.2f}",
            "fooled by AutoAttack alone": both.only_first,
            "fooled by the verdict alone": both.only_second,
        }
        for both in found
    ]
    if not rows:
        typer.echo("No model has both a verdict and AutoAttack.")
        return
    typer.echo(to_markdown(table_of(rows))) if markdown else _print("The same images", table_of(rows))


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
