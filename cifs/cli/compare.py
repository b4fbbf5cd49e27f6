"""`cifs compare`: is a difference between two models one?"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.table import Table

from cifs.cli.arguments import evaluated
from cifs.cli.console import DEFAULT_ZOO, Checkpoints, console
from cifs.evaluation import COLUMNS, Compared, Tried, compare_columns, compare_settings
from cifs.zoo import Zoo


def compare(
    first: Annotated[str, typer.Argument(help="id in the zoo")],
    second: Annotated[str, typer.Argument(help="id in the zoo, evaluated on images of the same split")],
    settings: Annotated[
        bool, typer.Option("--settings", help="also with each setting of the first model's sweep alone")
    ] = False,
    checkpoints: Checkpoints = DEFAULT_ZOO,
) -> None:
    """Is one model really more robust? Accuracies (%) on the same images, and McNemar's exact test, by column."""
    entries = [Zoo(checkpoints).entry(model) for model in (first, second)]
    a, b = (evaluated(entry) for entry in entries)
    n = min(a["n"], b["n"])
    title = f"{first} against {second}: {n} {a['split']} images of {a['dataset']}, ε = {a['eps']:g}"
    titles = [entry.info.title.replace(" ", "\n") for entry in entries]
    print_compared(by_title(compare_columns(a, b)), titles, n, title)
    if settings:
        if not (tried := [(_tried(setting), setting.compared) for setting in compare_settings(a, b)]):
            console.print(f"{first} was not swept, or by a version that did not keep which images withstood what")
            return
        title = f"if the attacker of {first} knew but one setting, against {second} under its strongest"
        print_compared(tried, titles, n, title)


def by_title(compared: Mapping[str, Compared]) -> list[tuple[str, Compared]]:
    return [(COLUMNS[key].title, found) for key, found in compared.items()]


def _tried(tried: Tried) -> str:
    mask = ", through the map" if tried.settings["through_mask"] else ""
    return f"{COLUMNS[tried.column].title}, β = {tried.settings['beta']}{mask}" + (
        " (counted)" if tried.counted else ""
    )


def print_compared(rows: list[tuple[str, Compared]], titles: Sequence[str], n: int, title: str) -> None:
    table = Table("", *titles, "difference\n(95 % interval)", "only\nfirst", "only\nsecond", "p", title=title)
    for name, found in rows:
        table.add_row(
            name + (f" (n = {found.n})" if found.n != n else ""),
            f"{100 * found.first:.2f}",
            f"{100 * found.second:.2f}",
            f"{100 * (found.first - found.second):+.2f} ({100 * found.low:+.2f} to {100 * found.high:+.2f})",
            str(found.only_first),
            str(found.only_second),
            f"{found.p_value:.2g}",
        )
    console.print(table)
