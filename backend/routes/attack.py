"""`POST /attack`."""

import time
from collections.abc import Sequence
from functools import partial

import torch
from fastapi import APIRouter
from torch import Tensor

from backend import resolve
from backend.adversarial import adversarial, logits
from backend.dependencies import LabDep, RunDep
from backend.images import eight_bits, encoded, perturbation
from backend.lab import Lab
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.respond import numbers, predictions
from backend.schemas import AttackRequest, AttackResponse, AttackResult, ModelInfo, TrajectoryStep
from cifs.attacks import NORMS, Attack, Step, goal_of, has_won
from cifs.models import CNN
from cifs.progress import Report

router = APIRouter(route_class=StrictRoute)


@router.post("/attack", tags=["attack"], responses=responses(400, 404, 413, 422, 500, 503, 504))
async def attack(body: AttackRequest, lab: LabDep, run: RunDep) -> AttackResponse:
    """Adversarial images x' of the images x, within the ε-ball and [0, 1].

    The same request with the same seed gives the same bytes: requests share no batch, and attacks compute in float32.
    """
    model = await resolve.model(body.model, lab)
    settings = resolve.attack(body.attack, resolve.image_count(body.images, lab.settings), model, lab.settings)
    response: AttackResponse = await run(
        partial(attacked, body, model, settings, lab), gflops=resolve.gflops_of(settings, len(body.images), model)
    )
    return response


def attacked(body: AttackRequest, model: ModelInfo, attack: Attack, lab: Lab, report: Report) -> AttackResponse:
    start = time.perf_counter()
    x, y = resolve.inputs(body.images, model, lab, report)
    cnn = lab.model(model.id)
    steps: list[Step] = []
    x_adv = adversarial(cnn, x, y, attack, report, steps=steps if body.trajectory else None)
    results = _results(cnn, x, x_adv, y, attack, model.classes)
    if body.trajectory:
        for result, trajectory in zip(results, _trajectories(steps, len(x)), strict=True):
            result.trajectory = trajectory
    seconds = time.perf_counter() - start
    return AttackResponse(model=model.id, attack=attack.resolved(), results=results, seconds=seconds)


@torch.no_grad()
def _results(
    cnn: CNN, x: Tensor, x_adv: Tensor, y: Tensor, attack: Attack, classes: Sequence[str]
) -> list[AttackResult]:
    natural, adversarial, rounded = (logits(cnn, images) for images in (x, x_adv, eight_bits(x_adv)))
    of_natural, of_adversarial = predictions(natural, classes), predictions(adversarial, classes)
    goal = goal_of(cnn, y, attack)
    success, png_success = (has_won(of_images, goal, attack).tolist() for of_images in (adversarial, rounded))
    linf, size = (NORMS[norm].size(x_adv - x).tolist() for norm in ("linf", attack.norm))
    return [
        AttackResult(
            label=int(y[i]),
            natural=of_natural[i],
            adversarial=of_adversarial[i],
            success=success[i],
            linf=linf[i],
            size=size[i],
            norm=attack.norm,
            natural_image=encoded(x[i]),
            image=encoded(x_adv[i]),
            png_success=png_success[i],
            perturbation=perturbation(x_adv[i] - x[i], attack.eps if attack.norm == "linf" else linf[i]),
        )
        for i in range(len(x))
    ]


def _trajectories(steps: Sequence[Step], n: int) -> list[list[TrajectoryStep]]:
    """By image, then by step: of the run its adversarial image is of, which is the last it was part of."""
    found: list[list[TrajectoryStep]] = [[] for _ in range(n)]
    for step in steps:
        figures = zip(
            step.images.tolist(),
            numbers(step.loss, "the attack's loss"),
            step.logits.argmax(dim=1).tolist(),
            numbers(step.logits.softmax(dim=1), "the prediction"),
            strict=True,
        )
        for i, loss, prediction, probabilities in figures:
            if step.step == 0:
                found[i].clear()
            found[i].append(
                TrajectoryStep(step=step.step, loss=loss, prediction=prediction, probabilities=probabilities)
            )
    return found
