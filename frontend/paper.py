"""The paper's own results, which the backend tells, beside ours."""

from typing import NamedTuple

from cifs.records import PaperRow, RobustnessRow
from cifs.report.remarks import of_one_network


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
    return [row for row in rows if of_one_network(row, ours) and (row.method, row.imgf) == (ours.method, ours.imgf)]
