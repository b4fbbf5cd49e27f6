"""What joins evaluation.json, and what it may not join."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cifs.errors import CheckpointError
from cifs.evaluation import is_of_fewer, of_more, pack, with_autoattack, with_curves, with_more, with_table

Measured = dict[str, Any]


def cell(n: int, standing: int) -> Measured:
    """Of n images the first so many stand."""
    return {"n": n, "robust": pack(torch.arange(n) < standing), "settings": {"stages": ["apgd-ce", "square"]}}


def columns(n: int, *keys: str, **changed: Any) -> Measured:
    of = {"model": "a", "dataset": "tiny", "split": "test", "weights": "1", "eps": 0.1, "precision": "bf16", "n": n}
    tried = [{"column": key, "n": n} for key in keys]
    return {**of, "cells": {key: f"{key} {n}" for key in keys}, "sweep": tried, **changed}


def table(n: int = 10, standing: int = 5, **changed: Any) -> Measured:
    return columns(n, cells={"natural": "10", "worst": cell(n, standing)}, **changed)


TABLE = table()
MORE = {key: columns(20, "pgd20")[key] for key in ("n", "precision", "cells", "sweep")}
FULL = {**TABLE, "curves": {"n": 8}, "more": MORE, "cells": {**TABLE["cells"], "autoattack": cell(6, 4)}}


@pytest.mark.parametrize(("n", "expected"), [(5, False), (10, False), (15, False), (20, True), (30, True)])
def test_only_columns_of_more_images_stand_beside_a_table(n: int, expected: bool) -> None:
    assert is_of_fewer(FULL, columns(n, "natural")) == expected
    assert is_of_fewer(TABLE, columns(n, "natural")) == (n > 10)
    assert not is_of_fewer(None, columns(n, "natural"))
    assert not is_of_fewer(FULL, columns(n, "natural", weights="2"))


def test_a_new_table_keeps_what_else_is_known_of_the_same() -> None:
    assert with_table(FULL, TABLE) == FULL
    assert with_table(FULL, table(seconds=3)) == {**FULL, "seconds": 3}
    assert "more" not in with_table(FULL, table(20))
    assert with_table(FULL, table(weights="2")) == table(weights="2")
    assert with_table(None, TABLE) == TABLE


@pytest.mark.parametrize(("standing", "stays"), [(6, True), (4, True), (3, False)])
def test_autoattack_never_leaves_more_than_the_attacks_it_came_after(standing: int, stays: bool) -> None:
    new = table(standing=standing)
    assert ("autoattack" in with_table(FULL, new)["cells"]) == stays
    if not stays:
        with pytest.raises(CheckpointError, match=r"changed meanwhile \(the worst case\)"):
            with_autoattack(new, TABLE, cell(6, 4))


def test_a_table_of_fewer_images_does_not_replace_one_that_was_kept_meanwhile() -> None:
    with pytest.raises(CheckpointError, match="a table of 10 images by now, and keeps none of 4"):
        with_table(FULL, table(4))


def test_columns_of_as_many_images_gather_in_the_table_s_order() -> None:
    kept = with_more(FULL, FULL, columns(20, "natural"))
    assert list(kept["more"]["cells"].items()) == [("natural", "natural 20"), ("pgd20", "pgd20 20")]
    again = with_more(kept, FULL, columns(20, "natural", "fgsm"))
    assert [tried["column"] for tried in again["more"]["sweep"]] == ["pgd20", "natural", "fgsm"]
    for other in (columns(30, "cw"), columns(20, "cw", precision="float32")):
        assert list(with_more(kept, FULL, other)["more"]["cells"]) == ["cw"]
    with pytest.raises(CheckpointError, match="columns of 20 images by now, and keeps none of 15"):
        with_more(FULL, TABLE, columns(15, "natural"))


@pytest.mark.parametrize(
    "join",
    [
        lambda kept, before: with_curves(kept, before, {"n": 5}),
        lambda kept, before: with_autoattack(kept, before, cell(6, 4)),
        lambda kept, before: with_more(kept, before, columns(30, "natural")),
    ],
)
def test_what_was_kept_meanwhile_stays_and_another_table_is_refused(
    join: Callable[[Measured, Measured], Measured],
) -> None:
    assert join({**TABLE, "marked": 1}, TABLE)["marked"] == 1
    for changed in ({"weights": "2"}, {"n": 30}, {"eps": 0.2}):
        with pytest.raises(CheckpointError, match=f"changed meanwhile \\({next(iter(changed))}\\)"):
            join({**TABLE, **changed}, TABLE)


@pytest.mark.parametrize(
    ("suite", "n", "stages", "kept"),
    [
        ("curves", 7, [], "curves of 8 images"),
        ("curves", 8, [], None),
        ("autoattack", 5, ["apgd-ce", "square"], "AutoAttack (apgd-ce, square) of 6 images"),
        ("autoattack", 6, ["apgd-ce"], "AutoAttack (apgd-ce, square) of 6 images"),
        ("autoattack", 6, ["apgd-ce", "fab-t", "square"], None),
    ],
)
def test_less_does_not_replace_more(suite: str, n: int, stages: list[str], kept: str | None) -> None:
    assert of_more(FULL, suite, n, stages) == kept
    assert of_more(TABLE, suite, n, stages) is None
