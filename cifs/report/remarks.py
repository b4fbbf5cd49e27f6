"""What must be said beside a figure: of an AutoAttack that is not all of it, of a verdict, and of the paper's."""

from collections.abc import Mapping

from cifs.records import Cell, PaperRow, RobustnessRow, RobustnessTable


def remark(cell: Cell | None) -> str:
    """Empty for AutoAttack's standard version, for a verdict that is to be trusted, and for any other attack."""
    if cell is not None and cell.trusted is False:
        return "not trusted"
    settings = (cell and cell.settings) or {}
    if settings.get("version", "standard") == "standard" or "stages" not in settings:
        return ""
    return f"{', '.join(map(str.upper, settings['stages']))} only"


def remarks(rows: Mapping[str, RobustnessRow], column: str) -> str:
    """Of these models' figures in a column: once what is true of all, else of whom it is. rows: by their names."""
    said = {name: text for name, row in rows.items() if (text := remark(row.cells.get(column)))}
    if len(said) == len(rows) and len({*said.values()}) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{name}: {text}" for name, text in said.items())


def beside(table: RobustnessTable) -> list[PaperRow]:
    """The paper's rows of the networks in the table, each method and IMGF once: what the poster has not, Figure 2."""
    rows: dict[tuple[str, str, str | None], PaperRow] = {}
    for row in table.paper:
        if any(of_one_network(row, ours) for ours in table.rows):
            rows.setdefault((row.arch, row.method, row.imgf), row)
    return list(rows.values())


def of_one_network(row: PaperRow, ours: RobustnessRow) -> bool:
    return (row.dataset, row.arch, row.eps) == (ours.dataset, ours.arch, ours.eps) and ours.norm == "linf"


def source(row: PaperRow) -> str:
    return f"paper, {row.source} (width {row.width}, {row.epochs} epochs: {row.kept or 'which is not said'})"
