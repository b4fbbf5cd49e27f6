"""What evaluation.json holds side by side: the table, columns on more images than its, accuracy curves, AutoAttack.

They are measured apart, for minutes or hours: each joins what is kept when it ends, so that none loses another, and
nothing replaces what is of more images.
"""

from typing import Any

from cifs.errors import CheckpointError
from cifs.evaluation.evaluate import unpack
from cifs.evaluation.table import COLUMNS

Measured = dict[str, Any]  # evaluation.json
SUBJECT = ("model", "dataset", "split", "weights", "eps")


def is_of_fewer(kept: Measured | None, found: Measured) -> bool:
    """Whether a table of the same is kept, of fewer images, and nothing of more images than `found` is of."""
    if kept is None or any(kept[key] != found[key] for key in SUBJECT):
        return False
    return bool(kept["n"] < found["n"] and kept.get("more", kept)["n"] <= found["n"])


def with_table(kept: Measured | None, table: Measured) -> Measured:
    """A table measured anew, with all else that was kept of the same, as long as it still fits.

    Columns on no more images than the table's go, and so does AutoAttack if it left an image that has now fallen to
    another attack. Raises CheckpointError if a table of more images is kept by now.
    """
    if kept is None or any(kept[key] != table[key] for key in SUBJECT):
        return table
    if kept["n"] > table["n"]:
        raise CheckpointError(
            f"evaluation.json has a table of {kept['n']} images by now, and keeps none of {table['n']}"
        )
    beside = {"curves"} | ({"more"} if kept.get("more", table)["n"] > table["n"] else set())
    cells = dict(table["cells"])
    if (cell := kept["cells"].get("autoattack")) and _stood_before(cell, table):
        cells["autoattack"] = cell
    return {**{key: kept[key] for key in beside & kept.keys()}, **table, "cells": cells}


def with_more(kept: Measured, before: Measured, found: Measured) -> Measured:
    """Columns on more images; those kept on as many stay. Raises CheckpointError if the table changed meanwhile."""
    _unchanged(kept, before)
    more = {key: found[key] for key in ("n", "precision", "cells", "sweep")}
    had = kept.get("more", more)
    if had["n"] > more["n"]:
        raise CheckpointError(f"evaluation.json has columns of {had['n']} images by now, and keeps none of {more['n']}")
    if all(had.get(key) == more[key] for key in ("n", "precision")):
        cells = {**had["cells"], **more["cells"]}
        more["cells"] = {key: cells[key] for key in COLUMNS if key in cells}
        more["sweep"] = [tried for tried in had["sweep"] if tried["column"] not in found["cells"]] + found["sweep"]
    return {**kept, "more": more}


def with_curves(kept: Measured, before: Measured, curves: dict[str, Any]) -> Measured:
    """Raises CheckpointError if the table is another than the one they started from."""
    return {**_unchanged(kept, before), "curves": curves}


def with_autoattack(kept: Measured, before: Measured, cell: dict[str, Any]) -> Measured:
    """Raises CheckpointError if the table is another than the one it started from."""
    if not _stood_before(cell, _unchanged(kept, before)):
        raise CheckpointError("evaluation.json changed meanwhile (the worst case): measure this again")
    return {**kept, "cells": {**kept["cells"], "autoattack": cell}}


def of_more(kept: Measured, suite: str, n: int, stages: list[str]) -> str | None:
    """What is kept and is not to be replaced by curves, or AutoAttack's stages, on n images; None: nothing is."""
    if suite == "curves":
        had = kept.get("curves")
        return f"curves of {had['n']} images" if had and had["n"] > n else None
    had = kept["cells"].get("autoattack")
    if had and (had["n"] > n or not {*had["settings"]["stages"]} <= {*stages}):
        return f"AutoAttack ({', '.join(had['settings']['stages'])}) of {had['n']} images"
    return None


def _stood_before(cell: dict[str, Any], table: Measured) -> bool:
    """Whether all that AutoAttack left standing withstands the table's attacks too."""
    worst = table["cells"]["worst"]
    standing = unpack(worst["robust"], worst["n"])[: cell["n"]]
    return len(standing) == cell["n"] and not bool((unpack(cell["robust"], cell["n"]) & ~standing).any())


def _unchanged(kept: Measured, before: Measured) -> Measured:
    if changed := [key for key in (*SUBJECT, "n") if kept[key] != before[key]]:
        raise CheckpointError(f"evaluation.json changed meanwhile ({', '.join(changed)}): measure this again")
    return kept
