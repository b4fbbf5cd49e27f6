"""What becomes of a run that is at its end: an entry of the zoo."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from cifs import __version__
from cifs.precision import instructions
from cifs.training.adversarial import Run
from cifs.zoo import Entry, Info, Zoo


def finish(run: Run, zoo: Zoo, model_id: str, recipe: str, overrides: Sequence[str] = ()) -> Entry:
    """The entry of a finished run: the weights its recipe keeps and, if they are of an earlier epoch, the last as well.

    recipe, overrides: the words it was called with, which the entry's command repeats. The card is not written here.
    """
    plan = run.recipe
    last = {name: tensor.clone() for name, tensor in run.candidate.state_dict().items()}
    model, epoch = run.finished_model()
    info = Info(
        title=plan.title,
        dataset=plan.dataset,
        method=plan.method,
        eps=plan.training_attack.eps if plan.training_attack else None,
        recipe=recipe,
        command=_command(model_id, recipe, overrides),
        training=_record(run, epoch),
    )
    return zoo.save(model_id, model, info, storage=plan.storage, last=None if epoch == plan.epochs else last)


def _command(model_id: str, recipe: str, overrides: Sequence[str]) -> str:
    named = [] if model_id == Path(recipe).stem else ["--id", model_id]
    return shlex.join(["cifs", "train", recipe, *named, *(word for o in overrides for word in ("--set", o))])


def _record(run: Run, epoch: int) -> dict[str, Any]:
    plan = run.recipe
    return {
        "recipe": plan.as_dict(),
        "total_epochs": plan.epochs + (run.start.epochs if run.start else 0),
        "imported_start": run.start.source if run.start else None,
        "kept_epoch": epoch,
        "kept": "best checkpoint, chosen on the validation images" if run.best else "last checkpoint",
        "held_out": run.held_out,
        "validation_score": run.best["score"] if run.best else None,
        "seconds": round(run.seconds),
        "cpu_seconds": round(run.cpu_seconds, 1),
        "processes": run.ranks.size,
        "threads": torch.get_num_threads(),
        "device": run.device.type,
        "instructions": instructions() if run.device.type == "cpu" else None,
        "versions": {"cifs": __version__, "torch": str(torch.__version__)},
    }
