"""Models that may stand in one table: of one data set, one architecture and width, evaluated at one ε."""

from collections import Counter
from collections.abc import Sequence

from backend.schemas import RobustnessRow, RobustnessTable
from frontend.figures.colours import METHODS


def groups(table: RobustnessTable) -> dict[str, RobustnessTable]:
    """Tables by name, in each the methods in the paper's order."""
    found: dict[str, RobustnessTable] = {}
    for row in sorted(table.rows, key=lambda row: (list(METHODS).index(row.method), row.title)):
        name = f"{row.dataset}, {row.arch}, width {row.width}, ε = {eps_text(row.eps)}"
        found.setdefault(name, RobustnessTable(columns=table.columns, rows=[], paper=table.paper)).rows.append(row)
    return dict(sorted(found.items()))


def eps_text(eps: float, like: float | None = None) -> str:
    """8/255 rather than 0.03137; `like`: another budget, beside whose decimals 0.2 stays 0.2."""
    return f"{255 * eps:.0f}/255" if eps and all(map(_whole_levels, (eps, like or eps))) else f"{eps:.4g}"


def _whole_levels(eps: float) -> bool:
    return abs(255 * eps - round(255 * eps)) < 1e-4


def labels(rows: Sequence[RobustnessRow]) -> dict[str, str]:
    """What to call each model, by id: its title, with the id where two share it."""
    shared = Counter(row.title for row in rows)
    return {row.model: row.title if shared[row.title] == 1 else f"{row.title} ({row.model})" for row in rows}
