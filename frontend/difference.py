"""What a paired comparison of two models says, in a table and in plain words."""

from cifs.plot.margin import points
from cifs.records import ComparedColumn, Comparison
from cifs.report import PrintedCell, PrintedRow, PrintedTable

CHANCE = 0.05
DECIDING = ("pgd100", "autoattack", "verdict")  # not the worst case: more settings are tried against models with probes


def printed_difference(comparison: Comparison, titles: dict[str, str], first: str, second: str) -> PrintedTable:
    """titles: of the columns, by key. first, second: what to call the models."""
    head = [f"{first} %", f"{second} %", "Difference", "95 % interval", "Only first", "Only second", "p (McNemar)"]
    return PrintedTable(
        "", head, [_row(column, titles.get(column.column, column.column)) for column in comparison.columns]
    )


def _row(column: ComparedColumn, title: str) -> PrintedRow:
    figures = [f"{100 * column.first:.2f}", f"{100 * column.second:.2f}", f"{points(column):+.2f}"]
    figures += [f"{100 * column.low:+.2f} to {100 * column.high:+.2f}"]
    figures += [f"{column.only_first:,}", f"{column.only_second:,}", p_text(column.p_value).removeprefix("= ")]
    return PrintedRow(title, f"n = {column.n:,}", [PrintedCell(text) for text in figures])


def verdict(comparison: Comparison, titles: dict[str, str], first: str, second: str) -> list[str]:
    """One sentence for each column that decides, else for the last one both were measured on."""
    columns = comparison.columns
    deciding = [column for column in columns if column.column in DECIDING] or columns[-1:]
    return [_sentence(column, titles.get(column.column, column.column), first, second) for column in deciding]


def _sentence(column: ComparedColumn, title: str, first: str, second: str) -> str:
    under = f"under “{title}” ({column.n:,} images, p {p_text(column.p_value)})"
    if column.p_value >= CHANCE:
        return f"**Neither is shown to be more robust** {under}: the difference of {points(column):+.2f} may be chance."
    better, worse = (first, second) if column.first > column.second else (second, first)
    return f"**{better} is more robust than {worse}** {under}: by {abs(points(column)):.2f} points."


def p_text(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}"
