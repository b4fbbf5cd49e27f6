"""What a study says of its hypotheses: confirmed, refuted or undecided, by the rule of docs/protocol.md.

A comparison that expects a gain is confirmed by a gain that the test finds; refuted by a loss that it finds, or by an
interval that ends below one point. One that expects none is confirmed by such an interval, and refuted by a gain.
A hypothesis is confirmed if all its comparisons are, refuted if one is.
"""

from collections.abc import Sequence
from typing import Literal

from cifs.records import StudyOutcome, StudyRecord, StudyTest, StudyVerdict
from cifs.studies.plan import Comparison, Premise, Study
from cifs.studies.report import interval, p_value

ONE_POINT = 0.01  # what the project asks of a defence
FEWEST = 3  # seeds; fewer say nothing of how seeds vary


def verdicts(study: Study, record: StudyRecord) -> list[StudyVerdict]:
    """One for every hypothesis of the study, from the record alone."""
    tests = {test.name: test for test in record.tests}
    return [_verdict(study, record, key, statement, tests) for key, statement in study.hypotheses.items()]


def _verdict(study: Study, record: StudyRecord, key: str, statement: str, tests: dict[str, StudyTest]) -> StudyVerdict:
    plans = [plan for plan in study.comparisons if plan.hypothesis == key]
    found = [(plan, tests[plan.name]) for plan in plans if plan.name in tests]
    outcome = _all_of([outcome_of(plan.expects, test, record.alpha) for plan, test in found], len(plans))
    said = [_said(record, plan, test) for plan, test in found]
    if study.premise is not None and study.premise.hypothesis == key and found:
        lost = _lost(record, study.premise)
        outcome = outcome if lost is not None and lost >= study.premise.loses else "undecided"
        how_much = "is not measured yet" if lost is None else f"loses {100 * lost:.1f} points from best to last"
        said.append(f"{_short(record, study.premise.arm)} {how_much}")
    return StudyVerdict(name=key, statement=statement, outcome=outcome, sentence=f"{'; '.join(said)}." if said else "")


def outcome_of(expects: Literal["gain", "no gain"], test: StudyTest, alpha: float) -> StudyOutcome:
    """Of one comparison."""
    if len(test.by_seed) < FEWEST:
        return "undecided"
    found, small = test.p_corrected < alpha, test.high < ONE_POINT
    gain, loss = found and test.mean > 0, found and test.mean < 0
    confirms, refutes = (gain, loss or small) if expects == "gain" else (small, gain)
    return "confirmed" if confirms else "refuted" if refutes else "undecided"


def _all_of(outcomes: Sequence[StudyOutcome], planned: int) -> StudyOutcome:
    if "refuted" in outcomes:
        return "refuted"
    if not outcomes:
        return "not measured"
    return "confirmed" if outcomes.count("confirmed") == planned else "undecided"


def _said(record: StudyRecord, plan: Comparison, test: StudyTest) -> str:
    """One comparison: what was measured, what was expected, and what would decide where it did not."""
    attack = plan.level if plan.minus is None else f"{plan.level} less {plan.minus}"
    seeds = f"{len(test.by_seed)} seeds; p = {p_value(test.p_corrected)}".replace("= <", "<")
    said = (
        f"{_short(record, plan.arm)} against {_short(record, plan.against)}, {plan.checkpoint} epoch, {attack}: "
        f"{100 * test.mean:+.2f} points ({interval(test)}; {seeds}; {plan.expects} expected)"
    )
    needed, made = test.seeds_needed or 0, len(test.by_seed)
    open_still = outcome_of(plan.expects, test, record.alpha) == "undecided" and needed > made
    return f"{said}, and {needed} seeds would find one point" if open_still else said


def _short(record: StudyRecord, arm: str) -> str:
    return record.arms[arm].partition(" (")[0]


def _lost(record: StudyRecord, premise: Premise) -> float | None:
    """Accuracy from the best checkpoint to the last; None: the arm is not measured yet."""
    wanted = (premise.regime, premise.arm, premise.level)
    means = {a.checkpoint: a.mean for a in record.accuracies if (a.regime, a.arm, a.level) == wanted}
    return means["best"] - means["last"] if means else None
