"""The robustness table as text: HTML for the page, and CSV, Markdown, LaTeX to take away.

Accuracies in per cent; the strongest attack of each row is underlined, as on the paper's poster.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import Literal, NamedTuple

from backend.schemas import Cell, RobustnessRow, RobustnessTable
from frontend import paper
from frontend.groups import labels


class Entry(NamedTuple):
    """One figure as it is printed."""

    text: str
    note: str = ""  # small, below
    underlined: bool = False


class PrintedRow(NamedTuple):
    title: str
    source: str  # small, below
    entries: list[Entry | None]  # None: not measured
    kind: Literal["measured", "more", "last", "paper"] = "measured"


class PrintedTable(NamedTuple):
    corner: str
    columns: list[str]
    rows: list[PrintedRow]


def printed(table: RobustnessTable) -> PrintedTable:
    """The models, and below them the paper's rows of the same data set and architecture."""
    keys, names = [column.key for column in table.columns], labels(table.rows)
    rows = [line for row in table.rows for line in _measured(row, names[row.model], keys)]
    for arch in {row.arch for row in table.rows if row.dataset == paper.DATASET} & paper.RESULTS.keys():
        rows += _of_paper(paper.RESULTS[arch], keys)
    return PrintedTable("Model", [column.title for column in table.columns], rows)


def _measured(row: RobustnessRow, title: str, keys: Iterable[str]) -> Iterator[PrintedRow]:
    """A model, what was measured of it on more images, and its last checkpoint where that is another."""
    epochs = "" if row.epochs is None else f"{row.epochs} epochs, "
    yield PrintedRow(
        title,
        f"measured here (width {row.width}, {epochs}n = {row.n:,})",
        [_entry(row.cells.get(key), row.n, underlined=key == row.strongest) for key in keys],
    )
    if row.more is not None:
        entries = [_entry(row.more.cells.get(key), row.more.n) for key in keys]
        yield PrintedRow(title, f"n = {row.more.n:,}", entries, "more")
    if row.last is not None:
        entries = [_entry(row.last.cells.get(key), row.n) for key in keys]
        yield PrintedRow(title, f"last checkpoint, epoch {row.last.epoch}", entries, "last")


def _entry(cell: Cell | None, n: int, *, underlined: bool = False) -> Entry | None:
    if cell is None:
        return None
    interval = f"{100 * cell.low:.2f}–{100 * cell.high:.2f}"
    return Entry(f"{100 * cell.accuracy:.2f}", interval + ("" if cell.n == n else f", n = {cell.n:,}"), underlined)


def printed_paper(results: paper.Results) -> PrintedTable:
    return PrintedTable(results.network, list(paper.COLUMNS.values()), _of_paper(results, paper.COLUMNS))


def _of_paper(results: paper.Results, keys: Iterable[str]) -> list[PrintedRow]:
    rows = []
    for title, figures in results.rows.items():
        values = dict(zip(paper.COLUMNS, figures, strict=True))
        strongest = min(values, key=values.__getitem__)  # natural accuracy is the highest
        shown = [Entry(f"{values[key]:.2f}", "", key == strongest) if key in values else None for key in keys]
        rows.append(PrintedRow(title, results.source, shown, "paper"))
    return rows


def to_html(table: PrintedTable) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in (table.corner, *table.columns))
    body = "".join(map(_html_row, table.rows))
    return f'<table class="robustness"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _html_row(row: PrintedRow) -> str:
    cells = "".join(
        f"<td>{'–' if entry is None else _underlined(entry) + _small(entry.note)}</td>" for entry in row.entries
    )
    return f'<tr class="{row.kind}"><th>{escape(row.title)}{_small(row.source)}</th>{cells}</tr>'


def _small(text: str) -> str:
    return f"<small>{escape(text)}</small>" if text else ""


def _underlined(entry: Entry) -> str:
    return f"<u>{entry.text}</u>" if entry.underlined else entry.text


def to_markdown(table: PrintedTable) -> str:
    lines = [_bars(table.corner, *table.columns), _bars("---", *["---:"] * len(table.columns))]
    lines += [_bars(_titled(row), *map(_markdown, row.entries)) for row in table.rows]
    return "\n".join(lines) + "\n"


def _titled(row: PrintedRow) -> str:
    return f"{row.title}, {row.source}" if row.source else row.title


def _bars(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _markdown(entry: Entry | None) -> str:
    if entry is None:
        return "–"
    return f"{_underlined(entry)} ({entry.note})" if entry.note else _underlined(entry)


def to_latex(table: PrintedTable) -> str:
    """A booktabs tabular."""
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        _ampersands(table.corner, *table.columns),
        r"\midrule",
        *(_ampersands(_titled(row), *(_latex(entry) for entry in row.entries), raw=True) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _ampersands(title: str, *cells: str, raw: bool = False) -> str:
    written = cells if raw else tuple(map(_escape_latex, cells))
    return " & ".join((_escape_latex(title), *written)) + r" \\"


LATEX_SPECIALS = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def _escape_latex(text: str) -> str:
    return text.translate(LATEX_SPECIALS)


def _latex(entry: Entry | None) -> str:
    if entry is None:
        return "--"
    text = rf"\underline{{{entry.text}}}" if entry.underlined else entry.text
    note = entry.note.replace("–", "--")
    return rf"{text} {{\scriptsize ({note})}}" if note else text


def to_csv(table: RobustnessTable) -> str:
    """One line a measured accuracy, as fractions: what a script wants."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    place = ["model", "title", "dataset", "arch", "width", "epochs", "eps", "split"]
    writer.writerow([*place, "checkpoint", "column", "accuracy", "low", "high", "n", "strongest"])
    for row in table.rows:
        parts = [("kept", row.cells, row.strongest)]
        parts += [("kept", row.more.cells, None)] if row.more else []
        parts += [("last", row.last.cells, None)] if row.last else []
        for checkpoint, cells, strongest in parts:
            for key, cell in cells.items():
                where = [*(getattr(row, name) for name in place), checkpoint, key]
                writer.writerow([*where, cell.accuracy, cell.low, cell.high, cell.n, key == strongest])
    return text.getvalue()


class Download(NamedTuple):
    name: str
    file: str
    mime: str
    write: Callable[[RobustnessTable], str]


DOWNLOADS = (
    Download("CSV", "robustness.csv", "text/csv", to_csv),
    Download("Markdown", "robustness.md", "text/markdown", lambda table: to_markdown(printed(table))),
    Download("LaTeX", "robustness.tex", "application/x-tex", lambda table: to_latex(printed(table))),
)
