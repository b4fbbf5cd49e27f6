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
        found.setdefault(name, RobustnessTable(columns=table.columns, rows=[])).rows.append(row)
    return dict(sorted(found.items()))


def eps_text(eps: float) -> str:
    """8/255 rather than 0.03137."""
    levels = 255 * eps
    return f"{levels:.0f}/255" if eps and abs(levels - round(levels)) < 1e-4 else f"{eps:.4g}"


def labels(rows: Sequence[RobustnessRow]) -> dict[str, str]:
    """What to call each model, by id: its title, with the id where two share it."""
    shared = Counter(row.title for row in rows)
    return {row.model: row.title if shared[row.title] == 1 else f"{row.title} ({row.model})" for row in rows}
