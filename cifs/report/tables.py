"""The robustness table as text: HTML for the page, and CSV, Markdown, LaTeX to take away.

Accuracies in per cent; the strongest attack of each row is underlined, as on the paper's poster.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Literal, NamedTuple

from cifs.plot.labels import eps_text, labels
from cifs.records import NORMS, Cell, Column, PaperRow, RobustnessRow, RobustnessTable
from cifs.report.remarks import beside, remark, source


class PrintedCell(NamedTuple):
    """One figure as it is printed."""

    text: str
    note: str = ""  # small, below
    underlined: bool = False


class PrintedRow(NamedTuple):
    title: str
    source: str  # small, below
    entries: list[PrintedCell | None]  # None: not measured
    kind: Literal["measured", "more", "last", "paper"] = "measured"


class PrintedTable(NamedTuple):
    corner: str
    columns: list[str]
    rows: list[PrintedRow]
    caption: str = ""  # of what leaves the page


def printed(table: RobustnessTable) -> PrintedTable:
    """The models, and below them the paper's rows of the same network."""
    keys, names = [column.key for column in table.columns], labels(table.rows)
    rows = [line for row in table.rows for line in _measured(row, names[row.model], keys)]
    rows += [_of_paper(row, keys) for row in beside(table)]
    return PrintedTable("Model", [column.title for column in table.columns], rows, _caption(table))


def _caption(table: RobustnessTable) -> str:
    """What the rows of a group share."""
    if not table.rows:
        return ""
    row = table.rows[0]
    width = "" if row.width is None else f", width {row.width}"
    place = f"{row.arch}{width}, {NORMS[row.norm]}, ε = {eps_text(row.eps)}"
    return f"Accuracy (%) on {row.split} images of {row.dataset}: {place}"


def _measured(row: RobustnessRow, title: str, keys: Iterable[str]) -> Iterator[PrintedRow]:
    """A model, what was measured of it on more images, and its last checkpoint where that is another."""
    epochs = f"{row.kept}, " if row.kept else "" if row.epochs is None else f"{row.epochs} epochs, "
    yield PrintedRow(
        title,
        f"measured here ({'' if row.width is None else f'width {row.width}, '}{epochs}n = {row.n:,})",
        [_entry(row.cells.get(key), row.n, _same_images(row, key), underlined=key == row.strongest) for key in keys],
    )
    if row.more is not None:
        entries = [_entry(row.more.cells.get(key), row.more.n) for key in keys]
        yield PrintedRow(title, f"n = {row.more.n:,}", entries, "more")
    if row.last is not None:
        entries = [_entry(row.last.cells.get(key), row.n) for key in keys]
        yield PrintedRow(title, f"last checkpoint, epoch {row.last.epoch}", entries, "last")


def _same_images(row: RobustnessRow, key: str) -> str:
    """What the verdict leaves of AutoAttack's images, where it was given more: side by side the two could mislead."""
    both = row.agreement
    if key != "verdict" or both is None or both.n == row.cells[key].n:
        return ""
    return f"first {both.n:,}: {100 * both.first:.2f}"


def _entry(cell: Cell | None, n: int, also: str = "", *, underlined: bool = False) -> PrintedCell | None:
    if cell is None:
        return None
    interval, of = f"{100 * cell.low:.2f}–{100 * cell.high:.2f}", "" if cell.n == n else f"n = {cell.n:,}"
    note = [interval, of, remark(cell), also]
    return PrintedCell(f"{100 * cell.accuracy:.2f}", ", ".join(filter(None, note)), underlined)


def brief(table: RobustnessTable) -> PrintedTable:
    """Ids, titles and accuracies alone; a note only where a figure is not of the row's n, or not of all stages."""
    columns = ["title", "n", *(column.title for column in table.columns)]
    rows = [
        PrintedRow(
            row.model,
            "",
            [PrintedCell(row.title), PrintedCell(str(row.n)), *(_brief(row, c.key) for c in table.columns)],
        )
        for row in table.rows
    ]
    return PrintedTable("model", columns, rows)


def _brief_cells(row: RobustnessRow, columns: Iterable[Column]) -> Iterator[PrintedCell | None]:
    return (_brief(row, column.key) for column in columns)


def _brief(row: RobustnessRow, key: str) -> PrintedCell | None:
    cell = row.cells.get(key)
    notes = []
    if cell is not None and cell.n != row.n:
        notes.append(f"n = {cell.n}")
    if said := remark(cell):
        notes.append(said)
    if row.more is not None and (more := row.more.cells.get(key)):
        notes.append(f"{100 * more.accuracy:.2f}, n = {row.more.n}")
    if cell is None:
        return PrintedCell("–", "; ".join(notes)) if notes else None
    return PrintedCell(f"{100 * cell.accuracy:.2f}", "; ".join(notes), key == row.strongest)


def printed_paper(rows: list[PaperRow], columns: Iterable[Column]) -> PrintedTable:
    """All the paper says of one network."""
    known = [column for column in columns if any(column.key in row.accuracy for row in rows)]
    shown = [_of_paper(row, [column.key for column in known]) for row in rows]
    return PrintedTable(rows[0].arch, [column.title for column in known], shown)


def _of_paper(row: PaperRow, keys: Iterable[str]) -> PrintedRow:
    found = row.accuracy
    shown = [PrintedCell(f"{100 * found[key]:.2f}", "", key == row.strongest) if key in found else None for key in keys]
    return PrintedRow(row.title, source(row), shown, "paper")


def to_html(table: PrintedTable, name: str = "Table") -> str:
    """What is wider than the page scrolls, by keyboard too; `name` is what a screen reader says of it."""
    head = "".join(f"<th>{escape(title)}</th>" for title in (table.corner, *table.columns))
    body = "".join(map(_html_row, table.rows))
    inner = f'<table class="robustness"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scrolls" role="region" tabindex="0" aria-label="{escape(name)}">{inner}</div>'


def _html_row(row: PrintedRow) -> str:
    cells = "".join(
        f"<td>{'–' if entry is None else _underlined(entry) + _small(entry.note)}</td>" for entry in row.entries
    )
    return f'<tr class="{row.kind}"><th>{escape(row.title)}{_small(row.source)}</th>{cells}</tr>'


def _small(text: str) -> str:
    """An interval is not broken at its dash: a word joiner follows."""
    return f"<small>{escape(text).replace('–', '–&#8288;')}</small>" if text else ""


def _underlined(entry: PrintedCell) -> str:
    return f"<u>{entry.text}</u>" if entry.underlined else entry.text


def to_markdown(table: PrintedTable) -> str:
    lines = [table.caption, ""] if table.caption else []
    lines += [_bars(table.corner, *table.columns), _bars("---", *["---:"] * len(table.columns))]
    lines += [_bars(_titled(row), *map(_markdown, row.entries)) for row in table.rows]
    return "\n".join(lines) + "\n"


def _titled(row: PrintedRow) -> str:
    return f"{row.title}, {row.source}" if row.source else row.title


def _bars(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _markdown(entry: PrintedCell | None) -> str:
    if entry is None:
        return "–"
    return f"{_underlined(entry)} ({entry.note})" if entry.note else _underlined(entry)


def to_latex(table: PrintedTable) -> str:
    """A booktabs tabular."""
    lines = [
        *([f"% {table.caption}"] if table.caption else []),
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


def _latex(entry: PrintedCell | None) -> str:
    if entry is None:
        return "--"
    text = _escape_latex(entry.text)
    text = rf"\underline{{{text}}}" if entry.underlined else text
    note = _escape_latex(entry.note).replace("–", "--")
    return rf"{text} {{\scriptsize ({note})}}" if note else text


def table_of(rows: Sequence[Mapping[str, object]]) -> PrintedTable:
    """Of rows with the same columns; the first names the row. None: nothing to print."""
    corner, *columns = rows[0] if rows else [""]
    printed_rows = [
        PrintedRow(_text(row[corner]), "", [None if row[c] is None else PrintedCell(_text(row[c])) for c in columns])
        for row in rows
    ]
    return PrintedTable(corner, columns, printed_rows)


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def printed_csv(table: PrintedTable) -> str:
    """As it is printed, a note beside its figure."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([table.corner, *table.columns])
    for row in table.rows:
        writer.writerow([_titled(row), *("" if entry is None else _plain(entry) for entry in row.entries)])
    return file.getvalue()


def _plain(entry: PrintedCell) -> str:
    return f"{entry.text} ({entry.note})" if entry.note else entry.text


def to_csv(table: RobustnessTable) -> str:
    """One line an accuracy, as fractions: what a script wants. The paper's come without interval and n."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    place = ["model", "title", "dataset", "arch", "width", "epochs", "norm", "eps", "split"]
    writer.writerow(["source", *place, "checkpoint", "column", "accuracy", "low", "high", "n", "strongest", "note"])
    for row in table.rows:
        parts = [("kept", row.cells, row.strongest)]
        parts += [("kept", row.more.cells, None)] if row.more else []
        parts += [("last", row.last.cells, None)] if row.last else []
        for checkpoint, cells, strongest in parts:
            for key, cell in cells.items():
                where = ["measured here", *(getattr(row, name) for name in place), checkpoint, key]
                figures = [cell.accuracy, cell.low, cell.high, cell.n]
                writer.writerow([*where, *figures, key == strongest, remark(cell)])
    for line in beside(table):
        about = [
            "paper",
            "",
            line.title,
            line.dataset,
            line.arch,
            line.width,
            line.epochs,
            "linf",
            line.eps,
            "test",
            line.kept or "",
        ]
        for key, accuracy in line.accuracy.items():
            writer.writerow([*about, key, accuracy, "", "", "", key == line.strongest, line.source])
    return text.getvalue()


class Format(NamedTuple):
    """What a table can be taken away as."""

    name: str
    ending: str
    mime: str
    write: Callable[[RobustnessTable], str]

    def file(self, table: RobustnessTable) -> str:
        """Named after the group, so that none overwrites another's."""
        place = [f"-{r.dataset}-{r.arch}-w{r.width}-eps{eps_text(r.eps)}" for r in table.rows[:1]]
        return f"robustness{''.join(place).replace('/', '-')}{self.ending}"


FORMATS = (
    Format("CSV", ".csv", "text/csv", to_csv),
    Format("Markdown", ".md", "text/markdown", lambda table: to_markdown(printed(table))),
    Format("LaTeX", ".tex", "application/x-tex", lambda table: to_latex(printed(table))),
)
