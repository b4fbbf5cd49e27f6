"""What came out of a study: accuracies, gains over the first arm, the comparisons it stated, curves by epoch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cifs.evaluation import unpack, wilson
from cifs.records import StudyAccuracy, StudyGain, StudyPoint, StudyRecord, StudyTest
from cifs.studies.conduct import result_of
from cifs.studies.measure import VERDICT
from cifs.studies.plan import CHECKPOINTS, Comparison, Study
from cifs.studies.statistics import Array, effect, holm, seeds_to_find

Results = dict[tuple[str, str], dict[int, dict[str, Any]]]  # (regime, arm) → seed → what conduct wrote
FEWEST = 2  # seeds of an effect
RESAMPLES = {"stated": 10_000, "descriptive": 1_000}


def summary(name: str, study: Study, folder: Path) -> StudyRecord:
    """Of the cells that `folder` holds. Raises CheckpointError where one is of another recipe."""
    results: Results = {}
    for cell in study.cells():
        if (result := result_of(study, cell, folder)) is not None:
            results.setdefault((cell.regime, cell.arm), {})[cell.seed] = result
    return StudyRecord(
        name=name,
        title=study.title,
        question=study.question,
        test_images=study.test_images,
        test_from=study.test_from,
        held_out=study.held_out,
        alpha=study.alpha,
        arms={key: arm.title for key, arm in study.arms.items()},
        regimes={key: regime.title for key, regime in study.regimes.items()},
        levels=list(study.measured_levels),
        measured=sum(len(by_seed) for by_seed in results.values()),
        planned=len(list(study.cells())),
        accuracies=list(_accuracies(study, results)),
        gains=[
            g for plan in _every_gain(study, results) if (g := _gain(study, results, plan, "descriptive")) is not None
        ],
        tests=_tests(study, results),
        curves=list(_curves(results)),
    )


def _outcomes(result: dict[str, Any], checkpoint: str, level: str) -> Array:
    """(n,) 0 or 1"""
    measured = result["checkpoints"][checkpoint]
    return unpack(measured["levels"][level]["standing"], measured["n"]).double().numpy()


def _accuracies(study: Study, results: Results) -> Iterator[StudyAccuracy]:
    for (regime, arm), by_seed in results.items():
        for checkpoint in CHECKPOINTS:
            for level in study.measured_levels:
                standing = np.stack([_outcomes(result, checkpoint, level) for result in by_seed.values()])
                mean = float(standing.mean())
                if len(standing) < FEWEST:
                    low, high = wilson(int(standing.sum()), standing.size, 1 - study.alpha)
                else:
                    found = effect(standing, confidence=1 - study.alpha, resamples=1)
                    low, high = max(0.0, found.low), min(1.0, found.high)
                yield StudyAccuracy(
                    regime=regime, arm=arm, checkpoint=checkpoint, level=level, mean=mean, low=low, high=high,
                    by_seed={seed: float(row.mean()) for seed, row in zip(by_seed, standing, strict=True)},
                    epochs=[result["checkpoints"][checkpoint]["epoch"] for result in by_seed.values()],
                    untrusted=_untrusted(by_seed, checkpoint) if level == VERDICT else 0,
                )  # fmt: skip


def _untrusted(by_seed: dict[int, dict[str, Any]], checkpoint: str) -> int:
    return sum(not result["checkpoints"][checkpoint]["trusted"] for result in by_seed.values())


def _every_gain(study: Study, results: Results) -> Iterator[Comparison]:
    """Of every arm over the study's first, at every checkpoint and level."""
    first = next(iter(study.arms))
    for regime, arm in results:
        for checkpoint in CHECKPOINTS if arm != first else ():
            for level in study.measured_levels:
                yield Comparison(
                    name="", regime=regime, arm=arm, against=first, checkpoint=checkpoint, level=level
                )  # fmt: skip


def _differences(results: Results, plan: Comparison) -> tuple[list[int], Array] | None:
    """The seeds both arms have, and what they differ by, (S, n); None: too few seeds."""
    arm, against = (results.get((plan.regime, name), {}) for name in (plan.arm, plan.against))
    seeds = [seed for seed in arm if seed in against]
    if len(seeds) < FEWEST:
        return None

    def at(level: str) -> Array:
        return np.stack(
            [_outcomes(arm[s], plan.checkpoint, level) - _outcomes(against[s], plan.checkpoint, level) for s in seeds]
        )

    return seeds, at(plan.level) if plan.minus is None else at(plan.level) - at(plan.minus)


def _gain(study: Study, results: Results, plan: Comparison, kind: str) -> StudyGain | None:
    if (found := _differences(results, plan)) is None:
        return None
    seeds, d = found
    gain = effect(d, confidence=1 - study.alpha, resamples=RESAMPLES[kind])
    return StudyGain(
        regime=plan.regime, arm=plan.arm, against=plan.against, checkpoint=plan.checkpoint, level=plan.level,
        minus=plan.minus, mean=gain.mean, low=gain.low, high=gain.high, p=gain.p, p_bootstrap=gain.p_bootstrap,
        by_seed=dict(zip(seeds, gain.by_seed, strict=True)),
    )  # fmt: skip


def _tests(study: Study, results: Results) -> list[StudyTest]:
    """Of those comparisons that can be made yet, corrected for all that were stated."""
    made = [(plan, gain) for plan in study.comparisons if (gain := _gain(study, results, plan, "stated")) is not None]
    corrected = holm([gain.p for _, gain in made], of=len(study.comparisons))
    tests = []
    for (plan, gain), p in zip(made, corrected, strict=True):
        found = _differences(results, plan)
        assert found is not None
        needed = seeds_to_find(0.01, found[1], alpha=study.alpha)
        tests.append(StudyTest(**gain.model_dump(), name=plan.name, p_corrected=p, seeds_needed=needed))
    return tests


def _curves(results: Results) -> Iterator[StudyPoint]:
    for (regime, arm), by_seed in results.items():
        curves = [result["curve"] for result in by_seed.values()]
        for points in zip(*curves, strict=True):
            if "validation_robust" not in points[0]:  # no attack in validation: nothing robust to draw
                break
            yield StudyPoint(
                regime=regime,
                arm=arm,
                epoch=int(points[0]["epoch"]),
                training=[point["training"] for point in points],
                natural=[point["validation_natural"] for point in points],
                unadaptive=[point["validation_robust"] for point in points],
                adaptive=[point.get("validation_adaptive", point["validation_robust"]) for point in points],
            )
