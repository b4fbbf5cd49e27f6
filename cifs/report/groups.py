"""Models that may stand in one table: of one data set, one architecture and width, evaluated in one norm at one ε."""

from cifs.plot.labels import eps_text
from cifs.records import NORMS, RobustnessRow, RobustnessTable

ORDER = ("natural", "vanilla", "cas", "cifs")  # the paper's; others after them


def groups(table: RobustnessTable) -> dict[str, RobustnessTable]:
    """Tables by name, in each the methods in the paper's order."""
    by_name: dict[str, RobustnessTable] = {}
    for row in sorted(table.rows, key=_place):
        empty = RobustnessTable(columns=table.columns, rows=[], paper=table.paper)
        by_name.setdefault(group_name(row), empty).rows.append(row)
    return dict(sorted(by_name.items()))


def group_name(row: RobustnessRow) -> str:
    """As in "cifar10, resnet18, width 16, ε = 8/255"; another norm than ℓ∞ is named."""
    width = "" if row.width is None else f", width {row.width}"
    norm = "" if row.norm == "linf" else f" ({NORMS[row.norm]})"
    return f"{row.dataset}, {row.arch}{width}, ε = {eps_text(row.eps)}{norm}"


def _place(row: RobustnessRow) -> tuple[int, str, str]:
    known = ORDER.index(row.method) if row.method in ORDER else len(ORDER)
    return known, row.method, row.title
