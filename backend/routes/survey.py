"""`POST /survey`: many images at once, attacked now where they are few, and otherwise as a job left them."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter

from backend import resolve
from backend.adversarial import adversarial
from backend.dependencies import LabDep, RunDep
from backend.errors import Refusal
from backend.lab import Lab
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import DatasetImage, ModelInfo
from backend.schemas.images import ImageRef
from backend.schemas.survey import ChangeByClass, FirstImages, OfInputs, SurveyRequest, SurveyResponse
from cifs.attacks import Attack
from cifs.channels import Survey, Surveyor
from cifs.channels.survey import INPUTS
from cifs.progress import Report
from cifs.tasks import survey_of

router = APIRouter(route_class=StrictRoute, tags=["laboratory"])


@router.post("/survey", responses=responses(400, 404, 413, 422, 500, 503, 504))
async def survey(body: SurveyRequest, lab: LabDep, run: RunDep) -> SurveyResponse:
    """Which images an attack flips and by which margin, the confusion it causes, and every channel class by class.

    As many images as a request may have are attacked at once. More are answered where a job of kind `survey` was done
    for the same model, images and attack, and refused with 404 where none was.
    """
    model = await resolve.model(body.model, lab)
    layer = resolve.layer(model, body.layer).name
    first = body.first and await asyncio.to_thread(_there, body.first, lab)
    many = first is not None and first.n > lab.settings.max_images
    images = [] if many else body.images or _images(first)
    count = resolve.image_count(images, lab.settings)
    attack = resolve.attack(body.attack, count, model, lab.settings)

    def work(report: Report) -> SurveyResponse:
        start = time.perf_counter()
        found = _kept(model, first, attack, lab) if first and many else _look(images, model, attack, lab, report)
        index = [image.index if isinstance(image, DatasetImage) else i for i, image in enumerate(images)]
        return SurveyResponse(
            model=model.id,
            layer=layer,
            attack=attack.resolved(),
            n=len(found.labels),
            kept=many,
            index=index or list(range(len(found.labels))),
            label=found.labels.tolist(),
            prediction=_of_inputs(found.predictions),
            margin=_of_inputs(found.margins),
            confusion=_of_inputs({inputs: found.confusion(inputs) for inputs in INPUTS}),
            channels=_channels(found, layer),
            seconds=time.perf_counter() - start,
        )

    return await run(work, gflops=resolve.gflops_of(attack, count, model))


def _there(first: FirstImages, lab: Lab) -> FirstImages:
    """Of fewer images than were asked for all."""
    return first.model_copy(update={"n": min(first.n, len(lab.images(first.dataset, first.split)))})


def _images(first: FirstImages | None) -> list[ImageRef]:
    assert first is not None  # the request has one of both
    return [DatasetImage(dataset=first.dataset, split=first.split, index=i) for i in range(first.n)]


def _look(images: Sequence[ImageRef], model: ModelInfo, attack: Attack, lab: Lab, report: Report) -> Survey:
    x, y = resolve.inputs(images, model, lab, report)
    cnn = lab.model(model.id)
    surveyor = Surveyor(cnn, attack.seed)
    surveyor.add(x, adversarial(cnn, x, y, attack, report), y)
    return surveyor.survey()


def _kept(model: ModelInfo, first: FirstImages, attack: Attack, lab: Lab) -> Survey:
    found = survey_of(lab.zoo.entry(model.id), first.dataset, first.split, first.n, attack)
    if found is None:
        raise Refusal(
            404,
            f"the first {first.n} {first.split} images of {first.dataset!r} were not surveyed with model {model.id!r} "
            f"under this attack; a job of kind 'survey' does it, and up to {lab.settings.max_images} are looked at now",
        )
    return found


def _of_inputs(by_input: dict[str, Any]) -> OfInputs:
    return OfInputs(**{inputs: by_input[inputs].tolist() for inputs in INPUTS})


def _channels(found: Survey, layer: str) -> ChangeByClass:
    counts = np.bincount(found.labels, minlength=len(found.confusion("natural")))
    means = {
        quantity: [row if n else None for row, n in zip(rows.tolist(), counts, strict=True)]
        for quantity, rows in found.of(layer).items()
    }
    return ChangeByClass(counts=counts.tolist(), **means)
