"""Two models' evaluations of the same images, column by column: of the first ones, as many as both have."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any, NamedTuple

from cifs.errors import CheckpointError, InvalidParameter
from cifs.evaluation.evaluate import unpack
from cifs.evaluation.paired import difference_interval, mcnemar
from cifs.evaluation.table import COLUMNS

SAME = ("dataset", "split", "eps")


class Compared(NamedTuple):
    """Outcomes of both on the same images."""

    n: int  # the first images of the split, as many as both have
    first: float  # accuracy on them
    second: float
    only_first: int  # images only the first model withstands the attack on
    only_second: int
    p_value: float  # McNemar's
    low: float  # 95 % interval of first − second
    high: float


class Tried(NamedTuple):
    """One setting of the first model's sweep against the second's strongest attack of the same column."""

    column: str
    settings: dict[str, Any]
    counted: bool  # whether it is the first model's strongest
    compared: Compared


def compare_columns(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Compared]:
    """McNemar's exact test on every column that both evaluations (evaluation.json as dictionaries) have.

    Raises InvalidParameter where they are not of one split and ε, CheckpointError where one is malformed.
    """
    with _both(first, second):
        a, b = first["cells"], second["cells"]
        return {key: _compared(a[key], b[key]) for key in COLUMNS if key in a and key in b}


def compare_settings(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Tried]:
    """How far ahead the first model would be if its attacker knew but one setting of the sweep.

    All settings of a column are compared on the same images, those the least tried one saw. Empty where the first model
    was not swept, or its evaluation.json does not hold which images withstood. Raises as `compare_columns`.
    """
    with _both(first, second):
        sweep = [entry for entry in first["sweep"] if "robust" in entry and entry["column"] in second["cells"]]
        seen = {key: [entry["n"] for entry in sweep if entry["column"] == key] for key in COLUMNS}
        return [
            Tried(key, entry["settings"], entry["counted"], _compared(entry, second["cells"][key], min(seen[key])))
            for entry in sweep
            if len(seen[key := entry["column"]]) > 1
        ]


@contextmanager
def _both(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, whatever two evaluations that cannot be compared raise is said in words."""
    try:
        if differing := [f"{key} = {first[key]} and {second[key]}" for key in SAME if first[key] != second[key]]:
            raise InvalidParameter(f"not evaluated on the same images with the same ε: {', '.join(differing)}")
        yield
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"an evaluation.json was not written by this project ({error!r})") from error


def _compared(first: Mapping[str, Any], second: Mapping[str, Any], at_most: float = inf) -> Compared:
    n = int(min(first["n"], second["n"], at_most))
    a, b = unpack(first["robust"], n), unpack(second["robust"], n)
    paired = mcnemar(a, b)
    interval = difference_interval(paired.only_first, paired.only_second, n)
    return Compared(n, int(a.sum()) / n, int(b.sum()) / n, *paired, *interval)
