"""What evaluation.json holds side by side: the table, columns on more images than its, accuracy curves, AutoAttack.

They are measured apart, for minutes or hours: each joins what is kept when it ends, so that none loses another.
"""

from typing import Any

from cifs.errors import CheckpointError
from cifs.evaluation.table import COLUMNS

Measured = dict[str, Any]  # evaluation.json
SUBJECT = ("model", "dataset", "split", "weights", "eps")


def is_of_fewer(kept: Measured | None, found: Measured) -> bool:
    """Whether a table of the same is kept, of fewer images, and nothing of more images than `found` is of."""
    if kept is None or any(kept[key] != found[key] for key in SUBJECT):
        return False
    return bool(kept["n"] < found["n"] and kept.get("more", kept)["n"] <= found["n"])


def with_table(kept: Measured | None, table: Measured) -> Measured:
    """A table measured anew, with all else that was kept of the same; columns on no more images than its go."""
    if kept is None or any(kept[key] != table[key] for key in SUBJECT):
        return table
    beside = {"curves"} | ({"more"} if kept.get("more", table)["n"] > table["n"] else set())
    cells = {**table["cells"], **{key: cell for key, cell in kept["cells"].items() if key == "autoattack"}}
    return {**{key: kept[key] for key in beside & kept.keys()}, **table, "cells": cells}


def with_more(kept: Measured, before: Measured, found: Measured) -> Measured:
    """Columns on more images; those kept on as many stay. Raises CheckpointError if more than that changed."""
    _unchanged(kept, before)
    more = {key: found[key] for key in ("n", "cells", "sweep")}
    had = kept.get("more", more)
    if had["n"] > more["n"]:
        raise CheckpointError(f"evaluation.json has columns of {had['n']} images by now, and keeps none of {more['n']}")
    if had["n"] == more["n"]:
        cells = {**had["cells"], **more["cells"]}
        more["cells"] = {key: cells[key] for key in COLUMNS if key in cells}
        more["sweep"] = [tried for tried in had["sweep"] if tried["column"] not in found["cells"]] + found["sweep"]
    return {**kept, "more": more}


def with_curves(kept: Measured, before: Measured, curves: dict[str, Any]) -> Measured:
    """Raises CheckpointError if the table is another than the one they started from."""
    return {**_unchanged(kept, before), "curves": curves}


def with_autoattack(kept: Measured, before: Measured, cell: dict[str, Any]) -> Measured:
    """Raises CheckpointError if the table is another than the one it started from."""
    return {**_unchanged(kept, before), "cells": {**kept["cells"], "autoattack": cell}}


def _unchanged(kept: Measured, before: Measured) -> Measured:
    if changed := [key for key in (*SUBJECT, "n") if kept[key] != before[key]]:
        raise CheckpointError(f"evaluation.json changed meanwhile ({', '.join(changed)}): measure this again")
    return kept
