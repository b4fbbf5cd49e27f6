"""A study's record says what its cells say: accuracies, paired differences, corrected tests, curves."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cifs.errors import CheckpointError
from cifs.evaluation import pack, wilson
from cifs.files import write_json
from cifs.plot.study import study_figure, study_info
from cifs.studies import markdown, result_of, summary
from cifs.studies.measure import LEVELS
from cifs.studies.plan import Arm, Study, parse_study
from cifs.studies.statistics import effect, holm

N, SHARES = 200, {"vanilla": 0.3, "cifs": 0.5}
COMPARISON = {"regime": "short", "arm": "cifs", "against": "vanilla", "checkpoint": "last"}


@pytest.fixture
def study() -> Study:
    cifs = {"method": "cifs", "model": {"method": "cifs", "imgf": {"name": "ones"}}}
    return parse_study(
        "x",
        {
            "title": "Tiny",
            "question": "?",
            "recipe": "cpu/cifar10-500-resnet10-w16",
            "test_images": N,
            "regimes": {"short": {"title": "short"}},
            "arms": {"vanilla": {"title": "Vanilla"}, "cifs": {"title": "CIFS", "recipe": cifs}},
            "blocks": [{"regime": "short", "arms": ["vanilla", "cifs"], "seeds": [1, 2, 3]}],
            "comparisons": [
                {"name": "gain", "level": "adaptive", **COMPARISON},
                {"name": "shrinks", "level": "unadaptive", "minus": "strongest", **COMPARISON},
            ],
        },
    )


def standing(arm: str, seed: int, checkpoint: str, level: str) -> torch.Tensor:
    random = torch.Generator().manual_seed(hash((seed, checkpoint, LEVELS.index(level))) % 2**31)
    return torch.rand(N, generator=random) < SHARES[arm]


def write_cells(study: Study, folder: Path, cells: list[str] | None = None) -> None:
    for cell in study.cells():
        checkpoints: dict[str, Any] = {}
        for checkpoint, epoch in (("best", cell.seed), ("last", 9)):
            levels = {level: {"standing": pack(standing(cell.arm, cell.seed, checkpoint, level))} for level in LEVELS}
            checkpoints[checkpoint] = {"epoch": epoch, "n": N, "levels": levels}
        point = {"training": 0.1 * cell.seed, "validation_natural": 0.5, "validation_robust": 0.3}
        result = {
            "recipe": study.recipe_of(cell).as_dict(),
            "test_images": N,
            "checkpoints": checkpoints,
            "curve": [{"epoch": 2, **point, "validation_adaptive": 0.2}, {"epoch": 4, **point}],
        }
        if cells is None or cell.id in cells:
            write_json(folder / f"{cell.id}.json", result)


def test_tests_are_of_paired_differences_and_corrected_together(study: Study, tmp_path: Path) -> None:
    write_cells(study, tmp_path)
    record = summary("tiny", study, tmp_path)

    def differences(level: str) -> np.ndarray:
        arms = [[standing(arm, seed, "last", level).numpy() * 1.0 for seed in (1, 2, 3)] for arm in ("cifs", "vanilla")]
        return np.array(arms[0]) - np.array(arms[1])

    expected = [
        effect(differences("adaptive"), confidence=0.99),
        effect(differences("unadaptive") - differences("strongest"), confidence=0.99),
    ]
    for test, own in zip(record.tests, expected, strict=True):
        assert (test.mean, test.low, test.high, test.p) == pytest.approx((own.mean, own.low, own.high, own.p))
        assert list(test.by_seed.values()) == pytest.approx(own.by_seed)
    assert [test.p_corrected for test in record.tests] == pytest.approx(holm([own.p for own in expected], of=2))
    assert record.tests[0].mean > 0.1


def test_a_comparison_that_cannot_be_made_yet_counts_in_the_correction(study: Study, tmp_path: Path) -> None:
    """Else a study would find something half way that it does not find at its end."""
    write_cells(study, tmp_path)
    waiting = replace(study.comparisons[1], name="waits", arm="later")
    longer = replace(study, arms={**study.arms, "later": Arm(title="Later")}, comparisons=(*study.comparisons, waiting))
    p = [test.p for test in summary("tiny", study, tmp_path).tests]
    assert [test.p_corrected for test in summary("tiny", longer, tmp_path).tests] == pytest.approx(holm(p, of=3))


def test_accuracies_are_means_over_seeds_and_name_the_epochs(study: Study, tmp_path: Path) -> None:
    write_cells(study, tmp_path)
    record = summary("tiny", study, tmp_path)
    assert len(record.accuracies) == 2 * 2 * 4
    for accuracy in record.accuracies:
        bits = [standing(accuracy.arm, seed, accuracy.checkpoint, accuracy.level) for seed in (1, 2, 3)]
        assert accuracy.mean == pytest.approx(torch.stack(bits).float().mean().item())
        assert accuracy.low < accuracy.mean < accuracy.high
        assert accuracy.epochs == ([1, 2, 3] if accuracy.checkpoint == "best" else [9, 9, 9])


def test_what_is_not_measured_yet_is_left_out_and_counted(study: Study, tmp_path: Path) -> None:
    write_cells(study, tmp_path, ["short-vanilla-1", "short-vanilla-2", "short-cifs-1"])
    record = summary("tiny", study, tmp_path)
    assert (record.measured, record.planned) == (3, 6)
    assert record.tests == record.gains == []  # one seed in common is no sample of seeds
    alone = next(a for a in record.accuracies if a.arm == "cifs")
    right = round(alone.mean * N)
    assert (alone.low, alone.high) == pytest.approx(wilson(right, N, 0.99))
    assert "3 of 6 trainings" in markdown(record)


def test_nothing_measured_is_an_empty_record(study: Study, tmp_path: Path) -> None:
    record = summary("tiny", study, tmp_path)
    assert (record.measured, record.accuracies, record.curves) == (0, [], [])
    assert "0 of 6" in markdown(record)


def test_the_report_shows_points_intervals_and_corrected_p(study: Study, tmp_path: Path) -> None:
    write_cells(study, tmp_path)
    record = summary("tiny", study, tmp_path)
    text, test = markdown(record), record.tests[0]
    seeds = ", ".join(f"{100 * value:+.2f}" for value in test.by_seed.values())
    assert f"| gain | {100 * test.mean:+.2f} | {100 * test.low:+.2f} to {100 * test.high:+.2f} | {seeds} |" in text
    assert "| Vanilla | 3 | best (1, 2, 3) |" in text


def test_the_figure_draws_every_arm_by_epoch_and_its_gain_with_an_interval(study: Study, tmp_path: Path) -> None:
    write_cells(study, tmp_path)
    record = summary("tiny", study, tmp_path)
    info = study_info(record, "short")
    adaptive = [curve for curve in info.curves if curve.attack == "adaptive"]
    assert [(curve.arm, curve.epochs) for curve in adaptive] == [("Vanilla", [2, 4]), ("CIFS", [2, 4])]
    assert adaptive[0].mean == pytest.approx([20, 30])  # without further attacks the unadaptive one's figure
    training = next(curve for curve in info.curves if curve.attack == "training")
    assert (training.least[0], training.mean[0], training.most[0]) == pytest.approx((10, 20, 30))
    gain = next(gain for gain in info.gains if gain.place == "last, adaptive")
    assert gain.gain == pytest.approx(100 * record.tests[0].mean)
    assert gain.gain + gain.above == pytest.approx(100 * record.tests[0].high)
    drawn = {trace.name for trace in study_figure(info).data if trace.name}
    assert drawn == {"Vanilla", "CIFS"}
    assert {gain.arm for gain in study_info(record, "short", arms=["vanilla"]).gains} == set()


def test_a_gain_of_two_seeds_is_told_but_not_drawn(study: Study, tmp_path: Path) -> None:
    write_cells(study, tmp_path, [f"short-{arm}-{seed}" for arm in ("vanilla", "cifs") for seed in (1, 2)])
    record = summary("tiny", study, tmp_path)
    assert record.gains
    assert study_info(record, "short").gains == []


def _without_checkpoints(result: dict[str, Any]) -> None:
    del result["checkpoints"]


def _without_curve(result: dict[str, Any]) -> None:
    del result["curve"]


def _of_a_list(result: dict[str, Any]) -> None:
    result["checkpoints"]["best"]["levels"] = []


def _cut_off(result: dict[str, Any]) -> None:
    level = result["checkpoints"]["last"]["levels"]["natural"]
    level["standing"] = level["standing"][:-3]


def _without_count(result: dict[str, Any]) -> None:
    del result["checkpoints"]["last"]["n"]


@pytest.mark.parametrize("change", [_without_checkpoints, _without_curve, _of_a_list, _cut_off, _without_count])
def test_a_result_that_lacks_a_part_is_named(
    change: Callable[[dict[str, Any]], None], study: Study, tmp_path: Path
) -> None:
    write_cells(study, tmp_path, ["short-vanilla-1"])
    path = tmp_path / "short-vanilla-1.json"
    result = json.loads(path.read_text("utf-8"))
    assert result_of(study, next(study.cells()), tmp_path) == result
    change(result)
    path.write_text(json.dumps(result), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"short-vanilla-1\.json is damaged"):
        summary("tiny", study, tmp_path)
