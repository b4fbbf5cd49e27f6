"""What joins evaluation.json, and what it may not join."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cifs.errors import CheckpointError
from cifs.evaluation import pack
from cifs.evaluation.merge import merge_cell, merge_columns, merge_curves, merge_table, obstacle, stands_beside
from cifs.records import Curves, Evaluation, Measurement, MoreMeasurements, StageLeft, SweepMeasurement

ABOUT = {"model": "a", "dataset": "tiny", "split": "test", "weights": "1", "eps": 0.1, "criterion": "any"}


def cell(n: int, standing: int, **more: Any) -> Measurement:
    """Of n images the first so many stand."""
    return Measurement(accuracy=standing / n, low=0, high=1, n=n, robust=pack(torch.arange(n) < standing), **more)


def autoattack(n: int, standing: int) -> Measurement:
    after = [StageLeft(stage="square", through_mask=False, correct=standing, remarks=[])]
    return cell(n, standing, settings={"stages": ["apgd-ce", "square"]}, after=after)


def columns(n: int, *keys: str, **changed: Any) -> Evaluation:
    sweep = [SweepMeasurement(column=key, counted=True, accuracy=1, low=0, high=1, n=n) for key in keys]
    given = {"n": n, "precision": "bf16", "cells": {key: cell(n, n) for key in keys}, "sweep": sweep}
    return Evaluation.model_validate({**ABOUT, **given, **changed})


def table(n: int = 10, standing: int = 5, **changed: Any) -> Evaluation:
    return columns(n, cells={"natural": cell(n, n), "worst": cell(n, standing)}, **changed)


CURVES = Curves(n=8, settings={}, eps=[], steps=[])
TABLE = table()
MORE = MoreMeasurements(**{key: getattr(columns(20, "pgd20"), key) for key in ("n", "precision", "cells", "sweep")})
FULL = TABLE.with_(curves=CURVES, more=MORE, cells={**TABLE.cells, "autoattack": autoattack(6, 4)})


@pytest.mark.parametrize(("n", "expected"), [(5, False), (10, False), (15, False), (20, True), (30, True)])
def test_only_columns_of_more_images_stand_beside_a_table(n: int, expected: bool) -> None:
    assert stands_beside(FULL, n) == expected
    assert stands_beside(TABLE, n) == (n > 10)
    assert not stands_beside(None, n)


def test_a_new_table_keeps_what_else_is_known_of_the_same() -> None:
    assert merge_table(FULL, TABLE) == FULL
    assert merge_table(FULL, table(seconds=3)) == FULL.with_(seconds=3)
    assert merge_table(FULL, table(20)).more is None
    assert merge_table(FULL, table(weights="2")) == table(weights="2")
    assert merge_table(FULL.with_(configuration="1"), table(configuration="2")) == table(configuration="2")
    assert merge_table(None, TABLE) == TABLE


@pytest.mark.parametrize(("standing", "stays"), [(6, True), (4, True), (3, False)])
def test_autoattack_never_leaves_more_than_the_attacks_it_came_after(standing: int, stays: bool) -> None:
    new = table(standing=standing)
    assert ("autoattack" in merge_table(FULL, new).cells) == stays
    if not stays:
        with pytest.raises(CheckpointError, match=r"changed meanwhile \(the worst case\)"):
            merge_cell(new, TABLE, "autoattack", autoattack(6, 4))


def test_a_table_of_fewer_images_does_not_replace_one_that_came_meanwhile() -> None:
    with pytest.raises(CheckpointError, match="a table of 10 images by now, which one of 4 does not replace"):
        merge_table(FULL, table(4))


def test_columns_of_as_many_images_gather_in_the_table_s_order() -> None:
    joined = merge_columns(FULL, FULL, columns(20, "natural"))
    assert joined.more is not None
    assert list(joined.more.cells) == ["natural", "pgd20"]
    again = merge_columns(joined, FULL, columns(20, "natural", "fgsm"))
    assert again.more is not None
    assert [entry.column for entry in again.more.sweep] == ["pgd20", "natural", "fgsm"]
    for other in (columns(30, "cw"), columns(20, "cw", precision="float32")):
        replaced = merge_columns(joined, FULL, other).more
        assert replaced is not None
        assert list(replaced.cells) == ["cw"]
    with pytest.raises(CheckpointError, match="columns of 20 images by now, which ones of 15 do not replace"):
        merge_columns(FULL, TABLE, columns(15, "natural"))


@pytest.mark.parametrize(
    "join",
    [
        lambda there, before: merge_curves(there, before, CURVES),
        lambda there, before: merge_cell(there, before, "autoattack", autoattack(6, 4)),
        lambda there, before: merge_columns(there, before, columns(30, "natural")),
    ],
)
def test_what_came_meanwhile_stays_and_another_table_is_refused(
    join: Callable[[Evaluation, Evaluation], Evaluation],
) -> None:
    assert join(TABLE.with_(device="marked"), TABLE).device == "marked"
    for changed in ({"weights": "2"}, {"n": 30}, {"eps": 0.2}):
        with pytest.raises(CheckpointError, match=f"changed meanwhile \\({next(iter(changed))}\\)"):
            join(TABLE.with_(**changed), TABLE)


@pytest.mark.parametrize(
    ("key", "n", "stages", "there"),
    [
        ("curves", 7, [], "curves of 8 images"),
        ("curves", 8, [], None),
        ("autoattack", 5, ["apgd-ce", "square"], "AutoAttack (apgd-ce, square) of 6 images"),
        ("autoattack", 6, ["apgd-ce"], "AutoAttack (apgd-ce, square) of 6 images"),
        ("autoattack", 6, ["apgd-ce", "fab-t", "square"], None),
    ],
)
def test_less_does_not_replace_more(key: str, n: int, stages: list[str], there: str | None) -> None:
    assert obstacle(FULL, key, n, stages) == there
    assert obstacle(TABLE, key, n, stages) is None
