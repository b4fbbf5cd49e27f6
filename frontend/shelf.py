"""What a view showed and asked, in the order it did: to be taken away afterwards. No Streamlit.

While a shelf is open, `charts.draw`, `tables.show_rows` and `Lab` put on it what passes through them; of shelves
inside each other the inner one.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cifs.report import PrintedTable, printed_csv, to_latex, to_markdown

CATALOGUE = ("/models", "/datasets", "/attacks", "/imgfs", "/relevances", "/health", "/ready", "/jobs?")
LONGEST = 200_000  # characters of a request; what is longer holds files


class ShownFigure(NamedTuple):
    key: str  # of its chart
    name: str  # of its files, without ending
    alt: str
    figure: Mapping[str, Any]  # as Plotly draws it


class ShownTable(NamedTuple):
    key: str
    name: str
    writers: Mapping[str, Callable[[], str]]  # ending → the file's text


class AskedRequest(NamedTuple):
    method: str
    path: str
    body: str | None  # JSON


@dataclass
class Shelf:
    figures: dict[str, ShownFigure] = field(default_factory=dict)  # by key
    tables: dict[str, ShownTable] = field(default_factory=dict)
    requests: dict[AskedRequest, None] = field(default_factory=dict)  # each once

    def take(self, other: "Shelf") -> None:
        """All that is on another, too."""
        self.figures |= other.figures
        self.tables |= other.tables
        self.requests |= other.requests


_shelf: ContextVar[Shelf | None] = ContextVar("shelf", default=None)


@contextmanager
def opened() -> Iterator[Shelf]:
    shelf = Shelf()
    before = _shelf.set(shelf)
    try:
        yield shelf
    finally:
        _shelf.reset(before)


def put_figure(shown: ShownFigure) -> None:
    if shelf := _shelf.get():
        shelf.figures[shown.key] = shown


def put_table(shown: ShownTable) -> None:
    if shelf := _shelf.get():
        shelf.tables[shown.key] = shown


def put_request(method: str, path: str, body: str | None) -> None:
    """What only lists what there is, and thumbnails, are no answers to take away."""
    listing = path in CATALOGUE or path.startswith(("/jobs?", "/datasets/"))
    if (shelf := _shelf.get()) is not None and not listing and len(body or "") <= LONGEST:
        shelf.requests[AskedRequest(method, path, body)] = None


def writers(table: PrintedTable) -> dict[str, Callable[[], str]]:
    return {
        ".csv": lambda: printed_csv(table), ".md": lambda: to_markdown(table), ".tex": lambda: to_latex(table),
    }  # fmt: skip
