"""Two evaluations are compared where they are of the same images, and on those alone."""

from typing import Any

import pytest
import torch
from scipy.stats import binomtest

from cifs.errors import CheckpointError, InvalidParameter
from cifs.evaluation import compare_columns, compare_settings, pack


def evaluation(**robust: str) -> dict[str, Any]:
    """robust: by column a string such as "1101", one digit an image."""
    masks = {key: torch.tensor([digit == "1" for digit in digits]) for key, digits in robust.items()}
    cells = {key: {"n": len(mask), "robust": pack(mask)} for key, mask in masks.items()}
    return {"dataset": "tiny", "split": "test", "n": 12, "eps": 0.1, "cells": cells}


def test_columns_both_have_are_compared_in_the_table_s_order() -> None:
    first = evaluation(pgd20="111111110000", natural="111111111111", cw="1" * 12)
    second = evaluation(natural="111111111110", pgd20="110000001000")
    found = compare_columns(first, second)
    assert list(found) == ["natural", "pgd20"]
    assert found["pgd20"][:5] == (12, 8 / 12, 3 / 12, 6, 1)
    assert found["pgd20"].p_value == pytest.approx(binomtest(6, 7).pvalue)


def test_a_column_of_the_first_images_is_compared_on_those_both_have() -> None:
    found = compare_columns(evaluation(autoattack="1101"), evaluation(autoattack="100111111111"))
    assert found["autoattack"][:5] == (4, 0.75, 0.5, 1, 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"dataset": "other"}, "tiny and other"), ({"eps": 0.2, "split": "train"}, "train, eps = 0.1 and 0.2")],
)
def test_other_images_or_another_budget_are_refused_with_what_differs(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        compare_columns(evaluation(natural="1"), evaluation(natural="1") | changes)


def swept(column: str, **robust: str) -> list[dict[str, Any]]:
    """By the name of a setting, as `evaluation`; the first is the one counted."""
    cells = evaluation(**robust)["cells"]
    return [
        {"column": column, "settings": {"beta": name}, "counted": i == 0, **cell}
        for i, (name, cell) in enumerate(cells.items())
    ]


def test_each_setting_of_a_sweep_is_compared_on_the_images_all_of_them_saw() -> None:
    second = evaluation(pgd20="111000000000", natural="1" * 12)
    sweep = swept("pgd20", counted="111100001111", weak="1111") + swept("pgd100", alone="1" * 12)
    found = compare_settings(evaluation() | {"sweep": sweep}, second)
    assert [(tried.column, tried.settings, tried.counted) for tried in found] == [
        ("pgd20", {"beta": "counted"}, True),
        ("pgd20", {"beta": "weak"}, False),
    ]
    assert [tried.compared[:5] for tried in found] == [(4, 1.0, 0.75, 1, 0)] * 2


def test_a_sweep_that_does_not_say_which_images_withstood_is_left_out() -> None:
    sweep = [{"column": "pgd20", "settings": {}, "counted": True, "n": 12, "accuracy": 0.5}] * 2
    assert compare_settings(evaluation() | {"sweep": sweep}, evaluation(pgd20="1" * 12)) == []
    assert compare_settings(evaluation() | {"sweep": []}, evaluation()) == []


def test_settings_of_other_images_are_refused_as_columns_are() -> None:
    with pytest.raises(InvalidParameter, match="eps = 0.1 and 0.2"):
        compare_settings(evaluation() | {"sweep": []}, evaluation() | {"eps": 0.2})
    with pytest.raises(CheckpointError, match="not written by this project"):
        compare_settings(evaluation(), evaluation())  # no sweep at all


@pytest.mark.parametrize("cells", [None, {"natural": {"n": 12}}, {"natural": {"n": 12, "robust": "no hexadecimal"}}])
def test_a_foreign_evaluation_is_told(cells: Any) -> None:
    with pytest.raises(CheckpointError, match="not written by this project"):
        compare_columns(evaluation(natural="1" * 12), evaluation() | {"cells": cells})
