"""Runs a study cell by cell: train, then measure the best and the last weights. Resumes where it stopped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cifs.data import Images, dataset, load_images
from cifs.errors import CheckpointError
from cifs.files import write_json
from cifs.progress import Cancelled, Progress, Report
from cifs.studies.measure import measure, sweep
from cifs.studies.plan import CHECKPOINTS, Cell, Study
from cifs.training import Run
from cifs.training.recipe import parse_recipe

Say = Callable[[str], None]


def conduct(
    study: Study, folder: Path, *, device: str = "cpu", say: Say = print, stop: Callable[[], bool] = lambda: False
) -> bool:
    """Every cell of the study that `folder` does not hold yet, in the study's order. Returns whether all are there.

    `stop` is asked after every step of training and before every measurement; the same call goes on from there.
    """
    for cell in study.cells():
        if result_of(study, cell, folder) is not None:
            continue
        say(f"{cell.id}")
        if stop() or not _conduct(study, cell, folder, torch.device(device), say, stop):
            return False
    return True


def result_of(study: Study, cell: Cell, folder: Path) -> dict[str, Any] | None:
    """What is measured of a cell; None: nothing yet. Raises CheckpointError where it is of another recipe."""
    path = folder / f"{cell.id}.json"
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    written = parse_recipe(path.name, result["recipe"])  # a key that is newer than the file has its default
    if written.as_dict() != study.recipe_of(cell).as_dict() or result["test_images"] != study.test_images:
        raise CheckpointError(f"{path} is of another recipe or of other images; give another folder, or remove it")
    return result


def _cancelling(stop: Callable[[], bool]) -> Report:
    def report(progress: Progress) -> None:
        if stop():
            raise Cancelled("the study was stopped")

    return report


def _conduct(study: Study, cell: Cell, folder: Path, device: torch.device, say: Say, stop: Callable[[], bool]) -> bool:
    run = Run(recipe := study.recipe_of(cell), folder / "runs" / cell.id, device)
    try:
        run.train(_cancelling(stop))
    except Cancelled:
        return False
    if stop():
        return False
    test = load_images(recipe.dataset, "test")[: study.test_images]
    attack = recipe.training_attack
    eps = attack.eps if attack is not None else dataset(recipe.dataset).eps
    epochs = {"last": recipe.epochs, "best": run.best["epoch"] if run.best else recipe.epochs}
    weights = {"last": {k: v.clone() for k, v in run.candidate.state_dict().items()}}
    weights["best"] = run.best["model"] if run.best else weights["last"]
    measured: dict[str, Any] = {}
    for checkpoint in CHECKPOINTS:
        if checkpoint == "last" and epochs["last"] == epochs["best"]:
            measured["last"] = measured["best"]
            continue
        if stop():
            return False
        run.candidate.load_state_dict(weights[checkpoint])
        measured[checkpoint] = {"epoch": epochs[checkpoint], **_measure(run, test, eps)}
        levels = {key: round(100 * level["accuracy"], 2) for key, level in measured[checkpoint]["levels"].items()}
        say(f"{cell.id} {checkpoint} (epoch {epochs[checkpoint]}): {levels}")
    write_json(
        folder / f"{cell.id}.json",
        {
            "cell": {"regime": cell.regime, "arm": cell.arm, "seed": cell.seed},
            "recipe": recipe.as_dict(),
            "test_images": study.test_images,
            "seconds": round(run.seconds),
            "checkpoints": measured,
            "curve": curve(run.folder / "metrics.jsonl"),
        },
    )
    return True


def _measure(run: Run, test: Images, eps: float) -> dict[str, Any]:
    run.candidate.eval()
    tries = sweep(run.candidate, run.validation, eps, precision=run.recipe.precision)
    chosen = [{"settings": attack.resolved(), "validation_accuracy": share} for attack, share in tries]
    return {**measure(run.candidate, test, tries[0][0], precision=run.recipe.precision), "sweep": chosen}


def curve(metrics: Path) -> list[dict[str, float]]:
    """By validated epoch: accuracies on the validation images, and on the training's under its own attack."""
    points: list[dict[str, float]] = []
    accuracies: list[float] = []
    epoch = 0
    for line in metrics.read_text(encoding="utf-8").splitlines():
        step = json.loads(line)
        if step["epoch"] != epoch:
            epoch, accuracies = step["epoch"], []
        accuracies.append(step["accuracy"])
        scores = {key: value for key, value in step.items() if key.startswith("validation_")}
        if scores:
            points.append({"epoch": epoch, "training": sum(accuracies) / len(accuracies), **scores})
    return points
