"""Runs a study cell by cell: train, then measure the best and the last weights. Resumes where it stopped.

Several processes may share a study: each takes the next cell in the study's order that no other is at.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cifs.data import Images, dataset
from cifs.errors import CheckpointError, InUse
from cifs.evaluation import unpack
from cifs.files import locked, write_json
from cifs.precision import instructions
from cifs.progress import Report, unreported
from cifs.studies.measure import VERDICT, Range, measure, measure_bounds, measure_verdict, sweep
from cifs.studies.plan import CHECKPOINTS, Cell, Study
from cifs.training import Run
from cifs.training.recipe import parse_recipe

State = dict[str, torch.Tensor]


def conduct(
    study: Study,
    folder: Path,
    *,
    only: Collection[str] = (),
    device: str = "cpu",
    report: Report = unreported,
    measured: Callable[[], object] = lambda: None,
) -> bool:
    """Every cell that `folder` does not hold yet, or of those the ones named in `only`, in the study's order.

    `measured` is called after each. Returns whether all are there now: others may still be at some. When `report`
    raises Cancelled, the same call goes on from there. Raises UnknownName for a cell the study has not.
    """
    complete = True
    for cell in study.chosen(only):
        try:
            with locked(folder / "runs" / cell.id / "claim"):
                if result_of(study, cell, folder) is None:
                    result = _conduct(study, cell, folder, torch.device(device), report)
                    write_json(folder / f"{cell.id}.json", result)
                    measured()
        except InUse:
            complete = False
    return complete


def result_of(study: Study, cell: Cell, folder: Path) -> dict[str, Any] | None:
    """What is measured of a cell; None: nothing yet.

    Raises CheckpointError where it is of another study's, or damaged.
    """
    path = folder / f"{cell.id}.json"
    if not path.exists():
        return None
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        written = parse_recipe(path.name, result["recipe"])  # a key that is newer than the file has its default
        levels = _levels_in(result)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged, or no cell of a study; remove it to measure it again") from error
    images = result["test_images"], result.get("test_from", 0), result.get("held_out", study.held_out)
    wanted = study.test_images, study.test_from, study.held_out
    if written.as_dict() != study.recipe_of(cell).as_dict() or images != wanted:
        raise CheckpointError(f"{path} is of another recipe or of other images; give another folder, or remove it")
    for checkpoint in CHECKPOINTS:
        if lacks := set(study.measured_levels) - levels[checkpoint]:
            raise CheckpointError(
                f"{path} lacks {', '.join(sorted(lacks))}: it was measured otherwise than at levels = "
                f"{study.levels!r}; give another folder, or remove it"
            )
    return result


def _levels_in(result: dict[str, Any]) -> dict[str, set[str]]:
    """The levels measured at each checkpoint, once all is seen to be there that a study's record is made of."""
    for point in result["curve"]:
        _ = point["epoch"], point["training"]
    levels: dict[str, set[str]] = {}
    for checkpoint in CHECKPOINTS:
        measured = result["checkpoints"][checkpoint]
        levels[checkpoint] = set(measured["levels"])
        _ = measured["epoch"], VERDICT not in levels[checkpoint] or measured["trusted"]
        for found in measured["levels"].values():
            unpack(found["standing"], measured["n"])
    return levels


def _conduct(study: Study, cell: Cell, folder: Path, device: torch.device, report: Report) -> dict[str, Any]:
    images = study.images_of(recipe := study.recipe_of(cell))  # too few of them is an error before training
    run = Run(recipe, folder / "runs" / cell.id, device)
    run.train(lambda progress: report(replace(progress, doing=f"{cell.id}: {progress.doing}")))
    measured: dict[str, Any] = {}
    for checkpoint, (epoch, weights) in _checkpoints(run).items():
        if (same := next((m for m in measured.values() if m["epoch"] == epoch), None)) is not None:
            measured[checkpoint] = same
            continue
        run.candidate.load_state_dict(weights)
        measured[checkpoint] = {"epoch": epoch, **_measure(study, run, images, f"{cell.id}, {checkpoint}", report)}
    return {
        "cell": {"regime": cell.regime, "arm": cell.arm, "seed": cell.seed},
        "recipe": recipe.as_dict(),
        "test_images": study.test_images,
        "test_from": study.test_from,
        "held_out": study.held_out,
        "instructions": instructions(),
        "threads": torch.get_num_threads(),
        "seconds": round(run.seconds),
        "checkpoints": {checkpoint: measured[checkpoint] for checkpoint in CHECKPOINTS},
        "curve": curve(run.folder / "metrics.jsonl"),
    }


def _checkpoints(run: Run) -> dict[str, tuple[int, State]]:
    """Epoch and weights of the last and of the best, which without validation images is the last."""
    last = run.recipe.epochs, {name: tensor.clone() for name, tensor in run.candidate.state_dict().items()}
    return {"last": last, "best": (run.best["epoch"], run.best["model"]) if run.best else last}


def _measure(study: Study, run: Run, images: Images, doing: str, report: Report) -> dict[str, Any]:
    recipe = run.recipe
    eps = recipe.training_attack.eps if recipe.training_attack is not None else dataset(recipe.dataset).eps
    place = Range(run.candidate.eval(), images, recipe.precision, doing, report)
    if study.levels != "attacks":
        return (measure_verdict if study.levels == "verdict" else measure_bounds)(place, eps)
    tries = sweep(replace(place, images=run.validation), eps)
    chosen = [{"settings": attack.resolved(), "validation_accuracy": share} for attack, share in tries]
    return {**measure(place, tries[0][0]), "sweep": chosen}


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
