"""Two models' evaluations of the same images, column by column: of the first ones, as many as both have."""

from typing import Protocol

from cifs.errors import CheckpointError, InvalidParameter
from cifs.evaluation.outcomes import unpack
from cifs.evaluation.paired import difference_interval, mcnemar
from cifs.evaluation.table import COLUMNS
from cifs.records import (
    ComparedColumn,
    ComparedOutcomes,
    ComparedSetting,
    ComparedVerdict,
    Comparison,
    Evaluation,
)

SAME = ("dataset", "split", "norm", "eps")


class Outcomes(Protocol):
    """A cell, of the table or of the sweep, as far as it is compared."""

    @property
    def n(self) -> int: ...

    @property
    def robust(self) -> str | None: ...


def compare_evaluations(first: Evaluation, second: Evaluation) -> Comparison:
    """McNemar's exact test, column by column, and with each setting of the first model's sweep alone.

    Raises InvalidParameter where they are not of one split and budget, CheckpointError where one does not say which
    images withstood.
    """
    if differing := [
        f"{key} = {getattr(first, key)} and {getattr(second, key)}"
        for key in SAME
        if getattr(first, key) != getattr(second, key)
    ]:
        raise InvalidParameter(f"not evaluated on the same images with the same ε: {', '.join(differing)}")
    return Comparison(
        first=first.model,
        second=second.model,
        dataset=first.dataset,
        split=first.split,
        eps=first.eps,
        columns=_columns(first, second),
        settings=_settings(first, second),
    )


def _columns(first: Evaluation, second: Evaluation) -> list[ComparedColumn]:
    """Each under its strongest attack, in the table's order; on more images than the tables' where both have them."""
    cells, others = dict(first.cells), dict(second.cells)
    if first.more and second.more:
        for key in first.more.cells.keys() & second.more.cells.keys():
            cells[key], others[key] = first.more.cells[key], second.more.cells[key]
    shared = [key for key in COLUMNS if key in cells and key in others]
    return [ComparedColumn(column=key, **compared(cells[key], others[key]).model_dump()) for key in shared]


def _settings(first: Evaluation, second: Evaluation) -> list[ComparedSetting]:
    """How far ahead the first model would be if its attacker knew but one setting of the sweep.

    All settings of a column are compared on the same images, those the least measured one saw. Empty where the first
    model was not swept, or an earlier version did not keep which images withstood.
    """
    sweep = [entry for entry in first.sweep if entry.robust is not None and entry.column in second.cells]
    images = {key: [entry.n for entry in sweep if entry.column == key] for key in COLUMNS}
    return [
        ComparedSetting(
            column=entry.column,
            settings=entry.settings or {},
            counted=entry.counted,
            **compared(entry, second.cells[entry.column], min(images[entry.column])).model_dump(),
        )
        for entry in sweep
        if len(images[entry.column]) > 1
    ]


def compare_verdict(evaluation: Evaluation) -> ComparedVerdict | None:
    """A model's verdict beside what AutoAttack left of all that the table had left: on the images of both.

    None where one of them was not measured, or does not say which images withstood it.
    """
    verdict, autoattack = evaluation.cells.get("verdict"), evaluation.cells.get("autoattack")
    if verdict is None or autoattack is None or None in (verdict.robust, autoattack.robust):
        return None
    return ComparedVerdict(
        model=evaluation.model,
        trusted=verdict.trusted is not False,
        stages=(autoattack.settings or {}).get("stages", []),
        **compared(verdict, autoattack).model_dump(),
    )


def compared(first: Outcomes, second: Outcomes, at_most: int | None = None) -> ComparedOutcomes:
    """Two outcomes on the first images, as many as both have. Raises CheckpointError where one does not tell which."""
    n = min(first.n, second.n, at_most or first.n)
    if first.robust is None or second.robust is None:
        raise CheckpointError("an evaluation.json was not written by this project: a cell does not say which images")
    try:
        a, b = unpack(first.robust, n), unpack(second.robust, n)
    except ValueError as error:
        raise CheckpointError(f"an evaluation.json was not written by this project ({error!r})") from error
    paired = mcnemar(a, b)
    low, high = difference_interval(paired.only_first, paired.only_second, n)
    figures = {"first": int(a.sum()) / n, "second": int(b.sum()) / n, **paired._asdict()}
    return ComparedOutcomes(n=n, low=low, high=high, **figures)
