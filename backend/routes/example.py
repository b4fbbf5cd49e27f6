"""`GET /models/{id}/example`: an image that tells the story, chosen by a computation."""

from functools import partial
from typing import Annotated

import torch
from fastapi import APIRouter, Query

from backend import resolve
from backend.dependencies import LabDep, ModelDep, RunDep
from backend.errors import unfit
from backend.lab import Lab
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import ModelInfo
from backend.schemas.example import Example
from cifs.attacks import ATTACKS, Attack, perturb
from cifs.channels import most_telling, retell, telling
from cifs.progress import Report
from cifs.registry import configure

router = APIRouter(route_class=StrictRoute, tags=["channels"])

IMAGES, AT_LEAST = 40, 8
GFLOPS = 1000.0  # of the attack on them: of a costly network fewer images are looked at
STEPS = 20
DEEPEST = 2  # layers that have to tell the same; where no image does at both, it may at one


@router.get("/models/{id}/example", responses=responses(404, 422, 500, 503, 504))
async def example(
    model: ModelDep,
    lab: LabDep,
    run: RunDep,
    dataset: Annotated[str, Query(description="a data set of the model's image shape")],
) -> Example:
    """A test image that PGD fools the model on, with over-activated NR channels whose zeroing brings the label back.

    Zeroing as many random channels must not do the same. Computed anew for every request.
    """
    spec = lab.dataset(dataset)
    if spec.image_shape != model.image_shape or len(spec.classes) != len(model.classes):
        shape = "×".join(map(str, model.image_shape))
        raise unfit("dataset", f"{dataset!r} does not fit the model; it takes {shape} and knows {len(model.classes)}")
    gflops = resolve.gflops_of(attack_on(model), how_many(model), model)
    chosen: Example = await run(partial(choose, model, dataset, lab), gflops=gflops)
    return chosen


def how_many(model: ModelInfo) -> int:
    """Images to look at."""
    affordable = GFLOPS / resolve.gflops_of(attack_on(model), 1, model)
    return int(min(IMAGES, max(AT_LEAST, affordable)))


def attack_on(model: ModelInfo) -> Attack:
    attack: Attack = configure(ATTACKS, "pgd", {"eps": model.default_eps, "steps": STEPS})
    return attack


def choose(model: ModelInfo, dataset: str, lab: Lab, report: Report) -> Example:
    images, cnn = lab.images(dataset, "test"), lab.model(model.id)
    n = min(how_many(model), len(images), lab.settings.max_images)
    x, y = (part.to(lab.device) for part in images.batch(slice(n)))
    attack = attack_on(model)
    x_adv = perturb(cnn, x, y, attack, report=report)
    deepest = [layer.name for layer in model.layers[-DEEPEST:]]
    for layers in (deepest, *([layer] for layer in reversed(deepest)), deepest):
        retelling = retell(cnn, layers, x, x_adv, y)
        index, tells = most_telling(retelling)
        if tells:
            break
    with torch.no_grad():
        right = int((cnn(x).argmax(dim=1) == y).sum())
    fooled = int(retelling.fooled.sum())
    of = f"{n} drawings, {right} of which it gets right," if lab.dataset(dataset).drawn else f"{n} test images"
    return Example(
        model=model.id, dataset=dataset, split="test", index=index, of=n, right=right, fooled=fooled,
        telling=int(telling(retelling).sum()), layers=layers, tells=tells, attack=attack.resolved(),
        rule=rule(of, layers, tells, fooled > 0),
    )  # fmt: skip


def rule(of: str, layers: list[str], tells: bool, fooled: bool) -> str:
    if tells:
        return (
            f"Of {of} the one that shows most clearly how PGD-{STEPS} fools the model. It raises most NR "
            f"and lowers most PR channels of {' and '.join(layers)}, and zeroing those NR channels brings the label "
            "back, while zeroing as many random ones does not."
        )
    if fooled:
        return f"Of {of} one that PGD-{STEPS} fools the model on; none of them shows the whole pattern."
    return f"The first of {of}: PGD-{STEPS} fools the model on none."
