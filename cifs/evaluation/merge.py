"""What evaluation.json holds side by side: the table, columns on more images than its, curves, AutoAttack.

They are measured apart, for minutes or hours: each joins what is there when it ends, so that none loses another, and
nothing replaces what is of more images. This is the one place that knows which result may replace which.
"""

from collections.abc import Sequence

from cifs.errors import CheckpointError
from cifs.evaluation.bench import standing_of
from cifs.evaluation.table import COLUMNS
from cifs.records import Curves, Evaluation, Measurement, MoreMeasurements

SUBJECT = ("model", "dataset", "split", "weights", "configuration", "norm", "eps", "n")


def larger(previous: int | None, n: int) -> bool:
    """Whether a result on so many images is there, which one on the first n must not replace."""
    return previous is not None and previous > n


def stands_beside(previous: Evaluation | None, n: int) -> bool:
    """Whether columns on n images may stand beside this table: it is of fewer, and nothing of more is there."""
    if previous is None:
        return False
    return previous.n < n and not larger(previous.more.n if previous.more else None, n)


def obstacle(previous: Evaluation, key: str, n: int, stages: Sequence[str] = ()) -> str | None:
    """What is there and is not to be replaced by curves, or by an ensemble's stages, on n images; None: nothing is."""
    if key == "curves":
        curves = previous.curves
        return f"curves of {curves.n} images" if curves and larger(curves.n, n) else None
    cell = previous.cells.get(key)
    if cell is None:
        return None
    before = (cell.settings or {}).get("stages", [])
    if larger(cell.n, n) or not {*before} <= {*stages}:
        return f"{COLUMNS[key].title.removeprefix('+ ')} ({', '.join(before)}) of {cell.n} images"
    return None


def merge_table(previous: Evaluation | None, table: Evaluation) -> Evaluation:
    """A table measured anew, with all else that is there of the same, as long as it still fits.

    Columns on no more images than the table's go, and so does AutoAttack if it left an image that has now fallen to
    another attack. Raises CheckpointError if a table of more images is there by now.
    """
    if previous is None or not previous.same_subject(table):
        return table
    if larger(previous.n, table.n):
        raise CheckpointError(
            f"evaluation.json has a table of {previous.n} images by now, which one of {table.n} does not replace"
        )
    beside = {} if previous.curves is None else {"curves": previous.curves}
    more = {"more": previous.more} if previous.more and larger(previous.more.n, table.n) else {}
    ensembles = {
        key: cell
        for key, cell in previous.cells.items()
        if key == "verdict" or (key == "autoattack" and stood_before(cell, table))
    }
    cells = {**table.cells, **ensembles}
    extra = {**(previous.model_extra or {}), **(table.model_extra or {})}
    return table.with_(**extra, **beside, **more, cells={key: cells[key] for key in COLUMNS if key in cells})


def merge_columns(previous: Evaluation, before: Evaluation, columns: Evaluation) -> Evaluation:
    """Columns on more images; those there on as many stay. Raises CheckpointError if the table changed meanwhile."""
    _unchanged(previous, before)
    had = previous.more
    if had and larger(had.n, columns.n):
        raise CheckpointError(
            f"evaluation.json has columns of {had.n} images by now, which ones of {columns.n} do not replace"
        )
    cells, sweep = dict(columns.cells), list(columns.sweep)
    if had and (had.n, had.precision) == (columns.n, columns.precision):
        cells = {**had.cells, **cells}
        sweep = [entry for entry in had.sweep if entry.column not in columns.cells] + sweep
    ordered = {key: cells[key] for key in COLUMNS if key in cells}
    more = MoreMeasurements(n=columns.n, precision=columns.precision, cells=ordered, sweep=sweep)
    return previous.with_(more=more)


def merge_curves(previous: Evaluation, before: Evaluation, curves: Curves) -> Evaluation:
    """Raises CheckpointError if the table is another than the one they started from."""
    return _unchanged(previous, before).with_(curves=curves)


def merge_cell(previous: Evaluation, before: Evaluation, key: str, cell: Measurement) -> Evaluation:
    """A column measured on what the table left standing. Raises CheckpointError if the table is another by now."""
    if not stood_before(cell, _unchanged(previous, before)):
        raise CheckpointError("evaluation.json changed meanwhile (the worst case): measure this again")
    cells = {**previous.cells, key: cell}
    return previous.with_(cells={name: cells[name] for name in COLUMNS if name in cells})


def merge_verdict(previous: Evaluation, before: Evaluation, cell: Measurement) -> Evaluation:
    """The verdict, which starts from the images themselves and so stands beside any table of the same.

    Raises CheckpointError if evaluation.json is of something else by now.
    """
    if not previous.same_subject(before):
        raise CheckpointError("evaluation.json is of other weights by now: measure this again")
    cells = {**previous.cells, "verdict": cell}
    return previous.with_(cells={name: cells[name] for name in COLUMNS if name in cells})


def stood_before(cell: Measurement, table: Evaluation) -> bool:
    """Whether all that an ensemble left standing withstands the table's attacks too."""
    standing = standing_of(table.cells["worst"], cell.n)
    return len(standing) == cell.n and not bool((standing_of(cell) & ~standing).any())


def _unchanged(previous: Evaluation, before: Evaluation) -> Evaluation:
    if changed := [key for key in SUBJECT if getattr(previous, key) != getattr(before, key)]:
        raise CheckpointError(f"evaluation.json changed meanwhile ({', '.join(changed)}): measure this again")
    return previous
