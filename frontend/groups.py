"""Models that may stand in one table: of one data set, one architecture and width, evaluated at one ε."""

from cifs.plot.colours import method_rank
from cifs.plot.labels import eps_text
from cifs.records import RobustnessTable, network_text


def groups(table: RobustnessTable) -> dict[str, RobustnessTable]:
    """Tables by name, in each the methods in the paper's order."""
    found: dict[str, RobustnessTable] = {}
    for row in sorted(table.rows, key=lambda row: (method_rank(row.method), row.title)):
        name = f"{row.dataset}, {network_text(row.arch, row.width)}, ε = {eps_text(row.eps)}"
        found.setdefault(name, RobustnessTable(columns=table.columns, rows=[], paper=table.paper)).rows.append(row)
    return dict(sorted(found.items()))
