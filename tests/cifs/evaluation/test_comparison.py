"""Two evaluations are compared where they are of the same images, and on those alone."""

from typing import Any

import pytest
import torch
from scipy.stats import binomtest

from cifs.errors import CheckpointError, InvalidParameter
from cifs.evaluation import compare_evaluations, compare_verdict, pack
from cifs.records import ComparedOutcomes, Evaluation, Measurement, MoreMeasurements, SweepMeasurement


def figures(digits: str) -> dict[str, Any]:
    """A string such as "1101", one digit an image."""
    mask = torch.tensor([digit == "1" for digit in digits])
    return {"accuracy": 0.5, "low": 0, "high": 1, "n": len(mask), "robust": pack(mask)}


def evaluation(**robust: str) -> Evaluation:
    cells = {key: Measurement(**figures(digits)) for key, digits in robust.items()}
    about = {"model": "m", "dataset": "tiny", "split": "test", "weights": "1", "n": 12, "eps": 0.1, "criterion": "any"}
    return Evaluation.model_validate(about | {"precision": "float32", "cells": cells})


def outcomes(found: ComparedOutcomes) -> tuple[int, float, float, int, int]:
    return found.n, found.first, found.second, found.only_first, found.only_second


def test_columns_both_have_are_compared_in_the_table_s_order() -> None:
    first = evaluation(pgd20="111111110000", natural="111111111111", cw="1" * 12)
    second = evaluation(natural="111111111110", pgd20="110000001000")
    natural, pgd20 = compare_evaluations(first, second).columns
    assert (natural.column, pgd20.column) == ("natural", "pgd20")
    assert outcomes(pgd20) == (12, 8 / 12, 3 / 12, 6, 1)
    assert pgd20.p_value == pytest.approx(binomtest(6, 7).pvalue)


def test_a_column_of_the_first_images_is_compared_on_those_both_have() -> None:
    comparison = compare_evaluations(evaluation(autoattack="1101"), evaluation(autoattack="100111111111"))
    assert outcomes(comparison.columns[0]) == (4, 0.75, 0.5, 1, 0)


def test_a_column_is_compared_on_more_images_than_the_tables_where_both_have_them() -> None:
    more = MoreMeasurements(n=16, cells={"pgd20": Measurement(**figures("1" * 12 + "1010"))})
    none = MoreMeasurements(n=16, cells={"pgd20": Measurement(**figures("0" * 16))})
    first, second = evaluation(natural="1" * 12, pgd20="1" * 12), evaluation(natural="1" * 12, pgd20="0" * 12)
    with_more = first.with_(more=more), second.with_(more=none)
    assert [column.n for column in compare_evaluations(*with_more).columns] == [12, 16]
    assert outcomes(compare_evaluations(*with_more).columns[1]) == (16, 14 / 16, 0, 14, 0)
    for one_of_them in ((with_more[0], second), (first, with_more[1])):
        assert [column.n for column in compare_evaluations(*one_of_them).columns] == [12, 12]


def test_a_verdict_is_held_beside_autoattack_on_the_images_of_both() -> None:
    cells = {
        "autoattack": Measurement(**figures("110100"), settings={"stages": ["apgd-ce"]}),
        "verdict": Measurement(**figures("101111111111"), trusted=False),
    }
    found = compare_verdict(evaluation().with_(cells=cells))
    assert found is not None
    assert outcomes(found) == (6, 5 / 6, 3 / 6, 3, 1)
    assert (found.model, found.trusted, found.stages) == ("m", False, ["apgd-ce"])
    assert compare_verdict(evaluation(verdict="1")) is compare_verdict(evaluation(autoattack="1")) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": "other"}, "tiny and other"),
        ({"eps": 0.2, "split": "train"}, "train, eps = 0.1 and 0.2"),
        ({"norm": "l2"}, "norm = linf and l2"),
    ],
)
def test_other_images_or_another_budget_are_refused_with_what_differs(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        compare_evaluations(evaluation(natural="1"), evaluation(natural="1").with_(**changes))


def swept(column: str, **robust: str) -> list[SweepMeasurement]:
    """By the name of a setting, as `evaluation`; the first is the one counted."""
    return [
        SweepMeasurement(column=column, settings={"beta": name}, counted=i == 0, **figures(digits))
        for i, (name, digits) in enumerate(robust.items())
    ]


def test_each_setting_of_a_sweep_is_compared_on_the_images_all_of_them_saw() -> None:
    second = evaluation(pgd20="111000000000", natural="1" * 12)
    sweep = swept("pgd20", counted="111100001111", weak="1111") + swept("pgd100", alone="1" * 12)
    settings = compare_evaluations(evaluation().with_(sweep=sweep), second).settings
    assert [(setting.column, setting.settings, setting.counted) for setting in settings] == [
        ("pgd20", {"beta": "counted"}, True),
        ("pgd20", {"beta": "weak"}, False),
    ]
    assert [outcomes(setting) for setting in settings] == [(4, 1.0, 0.75, 1, 0)] * 2


def test_a_sweep_that_does_not_say_which_images_withstood_is_left_out() -> None:
    sweep = [entry.with_(robust=None) for entry in swept("pgd20", one="1" * 12, other="1" * 12)]
    assert compare_evaluations(evaluation().with_(sweep=sweep), evaluation(pgd20="1" * 12)).settings == []
    assert compare_evaluations(evaluation(), evaluation()).settings == []


@pytest.mark.parametrize("robust", [None, "no hexadecimal"])
def test_a_cell_that_does_not_tell_its_images_is_refused(robust: str | None) -> None:
    foreign = evaluation(natural="1").with_(cells={"natural": Measurement(**figures("1") | {"robust": robust})})
    with pytest.raises(CheckpointError, match="not written by this project"):
        compare_evaluations(evaluation(natural="1"), foreign)
