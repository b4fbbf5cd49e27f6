"""The paper's own results, which the backend tells, beside ours."""

from typing import NamedTuple

from backend.schemas import PaperRow, RobustnessRow, RobustnessTable


def beside(table: RobustnessTable) -> list[PaperRow]:
    """Of the networks in the table, each method and IMGF once: what the poster has not, from Figure 2."""
    found: dict[tuple[str, str, str | None], PaperRow] = {}
    for row in table.paper:
        if any(_of_one_network(row, ours) for ours in table.rows):
            found.setdefault((row.arch, row.method, row.imgf), row)
    return list(found.values())


def source(row: PaperRow) -> str:
    return f"paper, {row.source} (width {row.width}, {row.epochs} epochs)"


class Margins(NamedTuple):
    """How far the paper has one method ahead of another, in one place of it."""

    source: str
    points: dict[str, float]  # by column


def margins(rows: list[PaperRow], first: RobustnessRow, second: RobustnessRow) -> Margins | None:
    """Between the paper's counterparts of two models of ours; None where it compares no such two."""
    for a in _counterparts(rows, first):
        for b in _counterparts(rows, second):
            if a is not b and (a.source, a.arch) == (b.source, b.arch):
                points = {key: 100 * (a.accuracy[key] - b.accuracy[key]) for key in a.accuracy if key in b.accuracy}
                return Margins(f"{a.source}, width {a.width}", points)
    return None


def _counterparts(rows: list[PaperRow], ours: RobustnessRow) -> list[PaperRow]:
    return [row for row in rows if _of_one_network(row, ours) and (row.method, row.imgf) == (ours.method, ours.imgf)]


def _of_one_network(row: PaperRow, ours: RobustnessRow) -> bool:
    return (row.dataset, row.arch, row.eps) == (ours.dataset, ours.arch, ours.eps)
