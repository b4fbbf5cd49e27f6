"""Curves by epoch and gains stand where the record, or the training, has them."""

from pathlib import Path

import pytest

from cifs.plot.epochs import common_range, epochs_figure, run_curves, study_curves
from cifs.plot.study import gains_figure, study_info
from cifs.records import StudyRecord

RECORD = Path(__file__).parents[3] / "docs" / "studies" / "overfitting" / "record.json"


@pytest.fixture(scope="module")
def record() -> StudyRecord:
    return StudyRecord.model_validate_json(RECORD.read_bytes())


def test_a_study_has_a_curve_an_arm_with_the_mean_and_the_range_of_its_seeds(record: StudyRecord) -> None:
    curves = {curve.name: curve for curve in study_curves(record, "overfitting", "adaptive")}
    regime = [point for point in record.curves if point.regime == "overfitting"]
    assert sorted(curves) == sorted({record.arms[point.arm] for point in regime})
    points = [point for point in regime if point.arm == "vanilla"]
    vanilla = curves[record.arms["vanilla"]]
    assert vanilla.epochs == [point.epoch for point in points]
    assert vanilla.least == pytest.approx([100 * min(point.adaptive) for point in points])
    assert vanilla.most == pytest.approx([100 * max(point.adaptive) for point in points])
    assert vanilla.mean[vanilla.epochs.index(vanilla.best)] == max(vanilla.mean)


def test_the_best_epoch_has_a_star_and_the_last_a_dot(record: StudyRecord) -> None:
    curves = study_curves(record, "overfitting", "unadaptive")
    marks = [trace for trace in epochs_figure(curves).data if trace.mode == "markers"]
    assert [tuple(mark.x) for mark in marks] == [(curve.best, 32) for curve in curves]
    assert not [trace for trace in epochs_figure(curves, marked=False).data if trace.mode == "markers"]


def test_of_a_training_the_steps_of_an_epoch_are_averaged_and_validations_are_as_told() -> None:
    reported = [
        {"epoch": 1, "accuracy": 0.2, "loss": 2.0},
        {"epoch": 1, "accuracy": 0.4, "validation_natural": 0.5, "validation_robust": 0.3},
        {"epoch": 2, "accuracy": 0.6},
        {},
    ]
    ((name, _, epochs, mean, *_),) = run_curves({"mine": reported}, "training")
    assert (name, epochs, mean) == ("mine", [1, 2], pytest.approx([30, 60]))
    assert run_curves({"mine": reported}, "unadaptive")[0].mean == pytest.approx([30])
    assert run_curves({"mine": reported}, "adaptive") == []


def test_panels_of_one_comparison_reach_a_little_above_the_highest(record: StudyRecord) -> None:
    panels = [study_curves(record, "overfitting", attack) for attack in ("unadaptive", "adaptive")]
    assert common_range(panels) == (0, pytest.approx(1.05 * max(max(c.most) for curves in panels for c in curves)))


def test_every_gain_has_its_place_and_its_interval(record: StudyRecord) -> None:
    figure = gains_figure(study_info(record, "overfitting"))
    drawn = {
        (trace.name.replace("<br>", " "), place): x
        for trace in figure.data
        for place, x in zip(trace.customdata, trace.x, strict=True)
    }
    for gain in record.gains:
        if gain.regime == "overfitting" and gain.level != "natural":
            assert drawn[record.arms[gain.arm], f"{gain.checkpoint}, {gain.level}"] == pytest.approx(100 * gain.mean)
    low, gain = figure.data[0].x[0] - figure.data[0].error_x.arrayminus[0], record.gains[1]
    assert low == pytest.approx(100 * gain.low)
