"""Hypotheses are judged by docs/protocol.md's table, comparison by comparison."""

from pathlib import Path

import pytest

from cifs.records import StudyRecord, StudyTest
from cifs.studies import load_study, verdicts
from cifs.studies.verdicts import outcome_of

RECORD = Path(__file__).parents[3] / "docs" / "studies" / "overfitting" / "record.json"


def made(mean: float, low: float, high: float, p: float, *, seeds: int = 3, name: str = "") -> StudyTest:
    """In points."""
    return StudyTest(
        regime="overfitting", arm="cifs-softmax", against="vanilla", checkpoint="last", level="adaptive",
        mean=mean / 100, low=low / 100, high=high / 100, by_seed=dict.fromkeys(range(seeds), mean / 100), p=p,
        p_bootstrap=p, name=name, p_corrected=p, seeds_needed=7,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mean", "low", "high", "p", "of_gain", "of_no_gain"),
    [
        (3, 1, 5, 0.001, "confirmed", "refuted"),  # a gain that the test finds
        (-3, -5, -1, 0.001, "refuted", "confirmed"),  # a loss that it finds, so the interval ends below one point
        (0.1, -0.7, 0.9, 0.6, "refuted", "confirmed"),  # nothing found, and less than a point
        (1, -3, 5, 0.2, "undecided", "undecided"),  # nothing found, and as much as five points possible
    ],
)
def test_a_comparison_is_judged_as_the_protocol_says(
    mean: float, low: float, high: float, p: float, of_gain: str, of_no_gain: str
) -> None:
    test = made(mean, low, high, p)
    assert (outcome_of("gain", test, 0.01), outcome_of("no gain", test, 0.01)) == (of_gain, of_no_gain)


def test_two_seeds_decide_nothing() -> None:
    assert outcome_of("gain", made(3, 1, 5, 0.001, seeds=2), 0.01) == "undecided"


def record(**changes: object) -> StudyRecord:
    return StudyRecord.model_validate_json(RECORD.read_bytes()).with_(**changes)


def judged(**tests: StudyTest) -> dict[str, str]:
    named = [
        test.model_copy(update={"name": name.replace("_", " ").replace("H1 ", "H1, ")}) for name, test in tests.items()
    ]
    return {verdict.name: verdict.outcome for verdict in verdicts(load_study("overfitting"), record(tests=named))}


GAIN, NONE, OPEN = made(3, 1, 5, 0.001), made(0, -0.5, 0.5, 0.9), made(1, -3, 5, 0.2)


def test_a_hypothesis_needs_all_its_comparisons_and_falls_with_one() -> None:
    assert judged(H1_last_epoch=GAIN, H1_best_epoch=NONE)["H1"] == "confirmed"
    assert judged(H1_last_epoch=GAIN, H1_best_epoch=OPEN)["H1"] == "undecided"
    assert judged(H1_last_epoch=GAIN)["H1"] == "undecided"
    assert judged(H1_last_epoch=OPEN, H1_best_epoch=GAIN)["H1"] == "refuted"
    assert judged(H1_last_epoch=GAIN)["H3"] == "not measured"


def test_where_nothing_overfits_nothing_is_said_of_overfitting() -> None:
    flat = [accuracy.model_copy(update={"mean": 0.2}) for accuracy in record().accuracies]
    tests = [
        made(3, 1, 5, 0.001, name="H1, last epoch"), made(0, -0.5, 0.5, 0.9, name="H1, best epoch"),
    ]  # fmt: skip
    (verdict, *_) = verdicts(load_study("overfitting"), record(accuracies=flat, tests=tests))
    assert verdict.outcome == "undecided"
    assert verdict.sentence.endswith("Vanilla AT loses 0.0 points from best to last.")


def test_a_premise_that_is_not_measured_yet_leaves_its_hypothesis_open() -> None:
    others = [accuracy for accuracy in record().accuracies if accuracy.arm != "vanilla"]
    tests = [made(0, -0.5, 0.5, 0.9, name="H1, last epoch")]
    (verdict, *_) = verdicts(load_study("overfitting"), record(accuracies=others, tests=tests))
    assert verdict.outcome == "undecided"
    assert verdict.sentence.endswith("Vanilla AT is not measured yet.")


def test_the_sentence_has_the_figures_and_what_would_decide() -> None:
    (verdict, *_) = verdicts(load_study("overfitting"), record(tests=[made(1, -3, 5, 0.2, name="H1, last epoch")]))
    assert "+1.00 points (-3.00 to +5.00; 3 seeds; p = 0.2; gain expected), and 7 seeds would find one point" in (
        verdict.sentence
    )
