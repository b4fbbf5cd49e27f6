"""Two models' evaluations of the same images, column by column."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cifs.errors import CheckpointError, InvalidParameter
from cifs.evaluation.evaluate import unpack
from cifs.evaluation.paired import difference_interval, mcnemar
from cifs.evaluation.table import COLUMNS

SAME = ("dataset", "split", "n", "eps")


class Compared(NamedTuple):
    """One column of both."""

    n: int  # the first images of the split, as many as both have of this column
    first: float  # accuracy on them
    second: float
    only_first: int  # images only the first model withstands the attack on
    only_second: int
    p_value: float  # McNemar's
    low: float  # 95 % interval of first − second
    high: float


def compare_columns(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Compared]:
    """McNemar's exact test on every column that both evaluations (evaluation.json as dictionaries) have.

    Raises InvalidParameter where they are not of the same images and ε, CheckpointError where one is malformed.
    """
    try:
        if differing := [f"{key} = {first[key]} and {second[key]}" for key in SAME if first[key] != second[key]]:
            raise InvalidParameter(f"not evaluated on the same images with the same ε: {', '.join(differing)}")
        a, b = first["cells"], second["cells"]
        return {key: _compared(a[key], b[key]) for key in COLUMNS if key in a and key in b}
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"an evaluation.json was not written by this project ({error!r})") from error


def _compared(first: Mapping[str, Any], second: Mapping[str, Any]) -> Compared:
    n = min(first["n"], second["n"])
    a, b = unpack(first["robust"], n), unpack(second["robust"], n)
    paired = mcnemar(a, b)
    interval = difference_interval(paired.only_first, paired.only_second, n)
    return Compared(n, int(a.sum()) / n, int(b.sum()) / n, *paired, *interval)
