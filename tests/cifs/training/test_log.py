"""metrics.jsonl, and TensorBoard's events on demand: the same figures, each once, however often a run was resumed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifs.errors import InvalidParameter
from cifs.progress import Cancelled, Progress
from cifs.training import Recipe, Run
from cifs.training.log import Log

from .conftest import STEPS

Load = Callable[..., Recipe]


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of every event, by tag, as TensorBoard reads them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reader = accumulator.EventAccumulator(str(folder))
    reader.Reload()
    return {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def stop_at(step: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.doing == "training" and progress.done == step:
            raise Cancelled

    return report


@pytest.mark.parametrize("asked_from_the_start", [True, False])
def test_events_say_what_the_log_says_once_however_often_the_run_was_resumed(
    asked_from_the_start: bool, recipe: Load, tmp_path: Path
) -> None:
    for step in (3, 7):
        with pytest.raises(Cancelled):
            Run(recipe(), tmp_path, tensorboard=asked_from_the_start).train(stop_at(step))
    Run(recipe(), tmp_path, tensorboard=True).train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    written = events(tmp_path / "tensorboard")
    assert set(written) == {
        f"training/{key}" for key in ("lr", "loss", "accuracy", "probe layer3.0", "probe layer4.0")
    } | {
        "validation/natural",
        "validation/robust",
    }
    assert [step for step, _ in written["training/loss"]] == list(range(1, STEPS + 1))
    assert [value for _, value in written["training/loss"]] == pytest.approx([line["loss"] for line in lines])
    assert written["validation/natural"] == [
        (line["step"], pytest.approx(line["validation_natural"])) for line in lines if "validation_natural" in line
    ]


def test_without_being_asked_for_no_event_is_written(recipe: Load, tmp_path: Path) -> None:
    Run(recipe("epochs=1"), tmp_path).train()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", *FILES, "tiny.toml"]


FILES = ["metrics.jsonl", "recipe.json", "state.pt"]


def test_without_the_package_events_are_refused_before_training(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InvalidParameter, match="pip install tensorboard"):
        Log(tmp_path, tensorboard=True)
