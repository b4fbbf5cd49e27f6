"""About how long a training would take as a job: told by a process like a job's, which makes a small step of it.

python -m backend.jobs.estimate     reads {"recipe", "set", "workspace"}, writes {"seconds"} or {"error"}
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.errors import Refusal
from backend.settings import Settings
from cifs.errors import CIFSError, InvalidParameter
from cifs.memory import importing

PATIENCE = 90  # seconds
FEW = 8  # images of the step that is timed


def estimated(recipe: str, overrides: Sequence[str], settings: Settings) -> float:
    """Seconds. Raises InvalidParameter for what the training would refuse at its start, Refusal for what is too large.

    Not in this process: a network may be larger than the memory, and a job computes on other threads than the server.
    """
    order = json.dumps({"recipe": recipe, "set": list(overrides), "workspace": settings.workspace})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "backend.jobs.estimate"],
            input=order, capture_output=True, text=True, timeout=PATIENCE, env=os.environ | settings.job_environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Refusal(422, f"one small step of it takes longer than {PATIENCE} s here", location="set") from None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        raise Refusal(
            422, f"a step of it ends with exit code {done.returncode}: is there memory enough?", location="set"
        )
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise InvalidParameter(answer["error"])
    return float(answer["seconds"])


def about_seconds(recipe: Any, zoo: Any, device: str) -> float:
    """From a small step with a short attack, by counting gradients: even a large network answers in seconds.

    Raises what the training would raise at its start.
    """
    from cifs.data import load_images  # here, for they bring torch, and the server imports this module for `estimated`
    from cifs.training import estimate_seconds

    attack = recipe.attack
    if attack is not None and "steps" in attack:
        attack = {**attack, "steps": 1}
    small = replace(recipe, batch_size=FEW, images=FEW * FEW, attack=attack, validation=0, epochs=1)
    gradients = FEW * FEW * (2 + _steps(small.attack))  # those of the weights cost about two
    seconds = estimate_seconds(small, zoo, steps=1, device=device) / gradients
    images = recipe.images or len(load_images(recipe.dataset, "train")) - recipe.validation
    training = recipe.epochs * images * (2 + _steps(recipe.attack))
    validating = recipe.epochs / recipe.validate_every * recipe.validation * (1 + _steps(recipe.validation_attack))
    return seconds * (training + validating)


def _steps(attack: Mapping[str, Any] | None) -> int:
    return 0 if attack is None else int(attack.get("steps", 1))


def main() -> int:
    with importing():
        from cifs.training import load_recipe
        from cifs.zoo import Zoo

    order = json.load(sys.stdin)
    workspace = order["workspace"]
    try:
        recipe = load_recipe(order["recipe"], order["set"])
        answer: dict[str, Any] = {
            "seconds": about_seconds(recipe, Zoo(Path(workspace["checkpoints"])), workspace["device"])
        }
    except CIFSError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
