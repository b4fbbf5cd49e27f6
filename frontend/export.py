"""The robustness table as text: HTML for the page, and CSV, Markdown, LaTeX to take away.

Accuracies in per cent; the strongest attack of each row is underlined, as on the paper's poster.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from backend.schemas import Cell, RobustnessTable


class Entry(NamedTuple):
    """One accuracy as it is printed."""

    accuracy: str
    interval: str  # "" where there is none
    strongest: bool


class PrintedRow(NamedTuple):
    title: str
    entries: list[Entry | None]  # None: not measured


class PrintedTable(NamedTuple):
    corner: str
    columns: list[str]
    rows: list[PrintedRow]


def printed(table: RobustnessTable, corner: str = "Model") -> PrintedTable:
    keys = [column.key for column in table.columns]
    rows = [
        PrintedRow(row.title, [_entry(row.cells.get(key), strongest=key == row.strongest) for key in keys])
        for row in table.rows
    ]
    return PrintedTable(corner, [column.title for column in table.columns], rows)


def _entry(cell: Cell | None, *, strongest: bool) -> Entry | None:
    if cell is None:
        return None
    return Entry(f"{100 * cell.accuracy:.2f}", f"{100 * cell.low:.2f}–{100 * cell.high:.2f}", strongest)


def printed_paper(corner: str, columns: Sequence[str], results: Mapping[str, Sequence[float]]) -> PrintedTable:
    """Plain numbers in per cent, the first column natural accuracy, the others attacks."""
    rows = []
    for title, values in results.items():
        lowest = min(values[1:])
        rows.append(PrintedRow(title, [Entry(f"{v:.2f}", "", v == lowest) for v in values]))
    return PrintedTable(corner, list(columns), rows)


def to_html(table: PrintedTable) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in (table.corner, *table.columns))
    body = "".join(
        f"<tr><th>{escape(row.title)}</th>{''.join(f'<td>{_html(entry)}</td>' for entry in row.entries)}</tr>"
        for row in table.rows
    )
    return f'<table class="robustness"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _html(entry: Entry | None) -> str:
    if entry is None:
        return "–"
    interval = f"<small>{escape(entry.interval)}</small>" if entry.interval else ""
    return _underlined(entry) + interval


def _underlined(entry: Entry) -> str:
    return f"<u>{entry.accuracy}</u>" if entry.strongest else entry.accuracy


def to_markdown(table: PrintedTable) -> str:
    lines = [_bars(table.corner, *table.columns), _bars("---", *["---:"] * len(table.columns))]
    lines += [_bars(row.title, *map(_markdown, row.entries)) for row in table.rows]
    return "\n".join(lines) + "\n"


def _bars(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _markdown(entry: Entry | None) -> str:
    if entry is None:
        return "–"
    return f"{_underlined(entry)} ({entry.interval})" if entry.interval else _underlined(entry)


def to_latex(table: PrintedTable) -> str:
    """A booktabs tabular."""
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        _ampersands(table.corner, *table.columns),
        r"\midrule",
        *(_ampersands(row.title, *(_latex(entry) for entry in row.entries), raw=True) for row in table.rows),
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
    accuracy = rf"\underline{{{entry.accuracy}}}" if entry.strongest else entry.accuracy
    interval = entry.interval.replace("–", "--")
    return rf"{accuracy} {{\scriptsize ({interval})}}" if interval else accuracy


def to_csv(table: RobustnessTable) -> str:
    """One line a measured accuracy, as fractions: what a script wants."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["model", "title", "dataset", "arch", "eps", "split", "column", "accuracy", "low", "high", "n", "strongest"]
    )
    for row in table.rows:
        for column in table.columns:
            cell = row.cells.get(column.key)
            if cell is not None:
                place = [row.model, row.title, row.dataset, row.arch, row.eps, row.split, column.key]
                writer.writerow([*place, cell.accuracy, cell.low, cell.high, cell.n, column.key == row.strongest])
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
