"""How long a run will take, by making a few of its steps where nobody sees them."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from cifs.modes import eval_mode
from cifs.progress import Progress, Report, unreported
from cifs.training.adversarial import Run
from cifs.training.recipe import Recipe
from cifs.training.validation import validate
from cifs.zoo import Zoo

WARM_UP = 1  # steps in which libraries choose their kernels and memory is first asked for
FEW = 100  # validation images that are timed


def estimate_seconds(
    recipe: Recipe,
    zoo: Zoo,
    *,
    steps: int = 3,
    device: str = "cpu",
    report: Report = unreported,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds on this machine as busy as it is now: a few steps and a small validation, times what there is to do.

    Nothing is written but to a temporary folder, and no run is touched. Raises what the run would raise at its start.
    """
    with tempfile.TemporaryDirectory(prefix="cifs-estimate-") as folder:
        run = Run(recipe, Path(folder), torch.device(device), zoo=zoo)
        run.model.train()
        seconds_a_step = 0.0
        for made, (x, y) in enumerate(islice(run.batches(), WARM_UP + steps)):
            report(Progress("estimate", made, WARM_UP + steps))
            began = clock()
            run.train_on(x, y)
            seconds_a_step += (clock() - began) / steps if made >= WARM_UP else 0.0
        return run.steps * seconds_a_step + _validating(run, clock)


def _validating(run: Run, clock: Callable[[], float]) -> float:
    """Against what the network says instead of the labels: attacks rest on images that are wrong already, and before
    its training nearly all are.
    """
    recipe, images = run.recipe, len(run.validation)
    if images == 0:
        return 0.0
    few = run.validation[: min(FEW, images)]
    with torch.no_grad(), eval_mode(run.candidate):
        x, _ = few.batch(slice(None))
        few = replace(few, labels=run.candidate(x.to(run.device)).argmax(dim=1).cpu())
    began = clock()
    validate(run.candidate, few, recipe)
    validations = recipe.epochs // recipe.validate_every + (recipe.epochs % recipe.validate_every > 0)
    return validations * images / len(few) * (clock() - began)
