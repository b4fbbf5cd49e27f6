"""What must be said of an AutoAttack that is not the whole standard version."""

from collections.abc import Iterable

from backend.schemas import Cell, RobustnessRow


def remark(cell: Cell | None) -> str:
    """Empty for the standard version, and for any other attack."""
    settings = (cell and cell.settings) or {}
    if settings.get("version", "standard") == "standard":
        return ""
    return f"{', '.join(map(str.upper, settings['stages']))} only"


def remarks(rows: Iterable[RobustnessRow]) -> str:
    """Of all these models' AutoAttack, each once."""
    return "; ".join(dict.fromkeys(said for row in rows if (said := remark(row.cells.get("autoattack")))))
