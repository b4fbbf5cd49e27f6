"""The laboratory: who carried a flip, circuits, networks edited by hand, films, saliency, transfer."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from fastapi import APIRouter
from torch import Tensor

from backend import resolve
from backend.adversarial import adversarial as images_against
from backend.adversarial import logits
from backend.dependencies import LabDep, RunDep
from backend.errors import unfit
from backend.images import perturbation, png
from backend.lab import Lab
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.respond import numbers, predictions
from backend.schemas import ModelInfo, Prediction
from backend.schemas.laboratory import (
    AttackedAgain,
    AttackedImages,
    BeforeAfter,
    CircuitChannel,
    CircuitRequest,
    CircuitResponse,
    CircuitResult,
    FilmRequest,
    FilmResponse,
    FilmResult,
    Frame,
    MarginRequest,
    MarginResponse,
    MarginResult,
    MovedChannel,
    PatchCurves,
    SaliencyMaps,
    SaliencyRequest,
    SaliencyResponse,
    SaliencyResult,
    TransferEntry,
    TransferRequest,
    TransferResponse,
    WhatIfControl,
    WhatIfRequest,
    WhatIfResponse,
    WhatIfResult,
)
from cifs.attacks import Attack, GradientAttack, goal_of
from cifs.channels import (
    RELEVANCES,
    Circuit,
    Edits,
    Film,
    LayerFilm,
    Patching,
    Reselected,
    Scaled,
    TransferMatrix,
    attack_again,
    circuits,
    film,
    first_of,
    grad_cam,
    integrated_gradients,
    margin_curve,
    margin_curves,
    margin_split,
    masks_of,
    most_moved,
    predict,
    share_of_random_sets,
    shown_to_all,
    shuffled,
)
from cifs.models import CNN
from cifs.progress import Progress, Report
from cifs.selection import IMGFS

router = APIRouter(route_class=StrictRoute, tags=["laboratory"])
ERRORS = responses(400, 404, 413, 422, 500, 503, 504)

MAX_PATCHES = 16_384  # images × channels of one request for circuits
MAX_POINTS = 16_384  # images × points of the integral
MAX_FRAMES = 512  # of all films of one request
true_relevance = RELEVANCES["true"]()


class Case(NamedTuple):
    """Images and what the attack made of them, on the model."""

    cnn: CNN
    x: Tensor  # (N, C, H, W)
    x_adv: Tensor
    y: Tensor  # (N,)
    natural: list[Prediction]
    adversarial: list[Prediction]


def case_of(body: AttackedImages, model: ModelInfo, attack: Attack, lab: Lab, report: Report) -> Case:
    x, y = resolve.inputs(body.images, model, lab, report)
    cnn = lab.model(model.id)
    x_adv = images_against(cnn, x, y, attack, report)
    natural, adversarial = (predictions(logits(cnn, images), model.classes) for images in (x, x_adv))
    return Case(cnn, x, x_adv, y, natural, adversarial)


async def asked(body: AttackedImages, lab: Lab, attacks: int = 1) -> tuple[ModelInfo, Attack]:
    """The model and the attack, within the operator's limits when every image is attacked `attacks` times."""
    model = await resolve.model(body.model, lab)
    count = resolve.image_count(body.images, lab.settings)
    return model, resolve.attack(body.attack, count * attacks, model, lab.settings)


# ---- who carried the flip -------------------------------------------------------------------------------------------


@router.post("/channels/margin", responses=ERRORS)
async def margin(body: MarginRequest, lab: LabDep, run: RunDep) -> MarginResponse:
    """How far each channel of a layer moved the margin f_rival − f_label from the natural to the attacked image.

    Exact before a linear head (the parts sum to the change within 1e-4), with CIFS or CAS split into what the features
    and what the importance did; at inner layers an integral along the straight way, its completeness error beside it.
    """
    model, attack = await asked(body, lab)
    layer = resolve.layer(model, body.layer)
    if body.rival is not None:
        resolve.class_index(body.rival, model, "rival")
    if (points := len(body.images) * body.steps) > MAX_POINTS:
        raise unfit("steps", f"{len(body.images)} images × {body.steps} steps = {points}; allowed: up to {MAX_POINTS}")

    def work(report: Report) -> list[MarginResult]:
        case = case_of(body, model, attack, lab, report)
        return _split(case, layer.name, body, report)

    results = await run(work, gflops=resolve.gflops_of(attack, len(body.images), model))
    return MarginResponse(model=model.id, layer=layer.name, attack=attack.resolved(), results=results)


def _split(case: Case, layer: str, body: MarginRequest, report: Report) -> list[MarginResult]:
    rivals = None if body.rival is None else torch.full_like(case.y, body.rival)
    split = margin_split(case.cnn, layer, case.x, case.x_adv, case.y, rivals=rivals, steps=body.steps, report=report)
    relevance = true_relevance(case.cnn, layer, case.x, case.y)
    by_features = numbers(split.by_features, "the margin's parts")
    by_importance = None if split.by_importance is None else numbers(split.by_importance, "the margin's parts")
    return [
        MarginResult(
            label=int(case.y[i]),
            rival=int(split.rivals[i]),
            natural=case.natural[i],
            adversarial=case.adversarial[i],
            natural_margin=float(split.natural[i]),
            adversarial_margin=float(split.adversarial[i]),
            passed=float(split.passed[i]),
            bypassed=float(split.bypassed[i]),
            exact=split.exact,
            completeness_error=float(split.completeness_error[i]),
            by_features=by_features[i],
            by_importance=None if by_importance is None else by_importance[i],
            by_maps_above={name: float(part[i]) for name, part in split.by_maps_above.items()},
            relevance=relevance[i].tolist(),
        )
        for i in range(len(case.y))
    ]


# ---- the circuit of a failure ---------------------------------------------------------------------------------------


@router.post("/channels/circuit", responses=ERRORS)
async def circuit(body: CircuitRequest, lab: LabDep, run: RunDep) -> CircuitResponse:
    """The set a greedy search leaves of channels whose natural activations bring the label back, or in reverse.

    No channel of the set can be spared. Beside it stand random sets of the same size, and the curve of the margin
    against channels patched in the circuit's, the relevance's and in random orders.
    """
    model, attack = await asked(body, lab)
    layers = [resolve.layer(model, name) for name in body.layers]
    cost = len(body.images) * sum(layer.channels for layer in layers)
    if cost > MAX_PATCHES:
        raise unfit("layers", f"images × channels of these layers = {cost}; allowed: up to {MAX_PATCHES}")
    order = [layer.name for layer in model.layers]
    names = sorted(body.layers, key=order.index)

    def work(report: Report) -> CircuitResponse:
        start = time.perf_counter()
        case = case_of(body, model, attack, lab, report)
        results = _circuits(case, names, body, model, report)
        seconds = time.perf_counter() - start
        return CircuitResponse(
            model=model.id, layers=names, direction=body.direction, attack=attack.resolved(), results=results,
            seconds=seconds,
        )  # fmt: skip

    return await run(work, gflops=resolve.gflops_of(attack, len(body.images), model))


def _circuits(
    case: Case, layers: list[str], body: CircuitRequest, model: ModelInfo, report: Report
) -> list[CircuitResult]:
    restoring = body.direction == "restore"
    x, donors = (case.x_adv, case.x) if restoring else (case.x, case.x_adv)
    patching = Patching(case.cnn, layers, x, donors, case.y, restoring=restoring)
    relevance = torch.cat([true_relevance(case.cnn, layer, case.x, case.y) for layer in layers], dim=1)
    results = []
    for i, found in enumerate(circuits(patching, most=body.most, report=report)):
        report(Progress("circuits", i, len(case.y)))
        results.append(
            CircuitResult(
                label=int(case.y[i]),
                natural=case.natural[i],
                adversarial=case.adversarial[i],
                reached=found.reached,
                channels=_channels(patching, i, found, relevance[i]),
                patched=_patched(patching, i, found, model),
                channels_in_all=len(patching),
                random_share=share_of_random_sets(patching, i, len(found.channels), draws=body.draws),
                curves=_curves(patching, i, found, relevance[i]),
            )
        )
    return results


def _patched(patching: Patching, image: int, found: Circuit, model: ModelInfo) -> Prediction:
    mask = first_of(found.channels, [len(found.channels)], len(patching))
    return predictions(patching.logits(torch.tensor([image], device=mask.device), mask), model.classes)[0]


def _channels(patching: Patching, image: int, found: Circuit, relevance: Tensor) -> list[CircuitChannel]:
    margins = margin_curve(patching, image, found.channels, range(1, len(found.channels) + 1)).tolist()
    named = [patching.name(channel) for channel in found.channels.tolist()]
    return [
        CircuitChannel(layer=layer, channel=channel, margin=margin, relevance=g)
        for (layer, channel), margin, g in zip(named, margins, relevance[found.channels].tolist(), strict=True)
    ]


def _curves(patching: Patching, image: int, found: Circuit, relevance: Tensor) -> PatchCurves:
    curves = margin_curves(patching, image, found, relevance)
    return PatchCurves(
        counts=curves.counts,
        circuit=curves.circuit.tolist(),
        relevance=curves.relevance.tolist(),
        random=curves.random.mean(dim=0).tolist(),
        random_low=curves.random.amin(dim=0).tolist(),
        random_high=curves.random.amax(dim=0).tolist(),
    )


# ---- what if --------------------------------------------------------------------------------------------------------


@router.post("/channels/what-if", responses=ERRORS)
async def what_if(body: WhatIfRequest, lab: LabDep, run: RunDep) -> WhatIfResponse:
    """The network with channels suppressed, promoted or scaled, or with another importance map: is it robust then?

    `adversarial` is the image made on the network as it was, which may only miss the edited one; `again` is what an
    attack on the edited network itself achieves, with its importance maps detached and attached.
    """
    attacks = 3 if body.again else 1
    model, attack = await asked(body, lab, attacks)
    scaled = [_scaled(model, body, i) for i in range(len(body.scalings))]
    reselected = [
        Reselected(resolve.layer(model, r.layer).name, resolve.choice(IMGFS, r.imgf, f"reselections.{i}.imgf"), r.k)
        for i, r in enumerate(body.reselections)
    ]

    def work(report: Report) -> WhatIfResponse:
        start = time.perf_counter()
        case = case_of(body, model, attack, lab, report)
        results = _what_if(case, scaled, reselected, body, Asked(model, attack, report))
        seconds = time.perf_counter() - start
        return WhatIfResponse(model=model.id, attack=attack.resolved(), results=results, seconds=seconds)

    return await run(work, gflops=resolve.gflops_of(attack, len(body.images) * attacks, model))


class Asked(NamedTuple):
    model: ModelInfo
    attack: Attack
    report: Report


def _scaled(model: ModelInfo, body: WhatIfRequest, i: int) -> Scaled:
    scaling = body.scalings[i]
    layer = resolve.layer(model, scaling.layer)
    if not isinstance(scaling.channels, str):
        resolve.channels(scaling.channels, layer)
    return Scaled(layer.name, scaling.channels, scaling.factor)


def _what_if(
    case: Case, scaled: Sequence[Scaled], reselected: Sequence[Reselected], body: WhatIfRequest, asked: Asked
) -> list[WhatIfResult]:
    edits = Edits(masks_of(case.cnn, case.x, case.y, scaled), reselected)
    classes = asked.model.classes
    natural, adversarial = (predictions(predict(case.cnn, x, edits), classes) for x in (case.x, case.x_adv))
    again = [_again(case, edits, asked, attack) for attack in _both_ways(asked.attack)] if body.again else []
    controls = _controls(case, edits, body.controls, asked.report)
    return [
        WhatIfResult(
            label=int(case.y[i]),
            natural=BeforeAfter(before=case.natural[i], after=natural[i]),
            adversarial=BeforeAfter(before=case.adversarial[i], after=adversarial[i]),
            again=[of_images[i] for of_images in again],
            control=controls[i] if controls else None,
            edited_channels={layer: int((mask[i] != 1).sum()) for layer, mask in edits.masks.items()},
        )
        for i in range(len(case.y))
    ]


def _both_ways(attack: Attack) -> list[Attack]:
    """With and without gradients through the importance maps, where it follows gradients."""
    if not isinstance(attack, GradientAttack):
        return [attack]
    return [replace(attack, through_mask=through) for through in (False, True)]


def _again(case: Case, edits: Edits, asked: Asked, attack: Attack) -> list[AttackedAgain]:
    x_adv = attack_again(case.cnn, case.x, case.y, attack, edits, report=asked.report)
    goal = goal_of(case.cnn, case.y, attack).tolist()
    found = predictions(predict(case.cnn, x_adv, edits), asked.model.classes)
    return [
        AttackedAgain(
            through_mask=isinstance(attack, GradientAttack) and attack.through_mask,
            prediction=prediction,
            success=(prediction.prediction == wanted) == (attack.target is not None),
        )
        for prediction, wanted in zip(found, goal, strict=True)
    ]


def _controls(case: Case, edits: Edits, draws: int, report: Report) -> list[WhatIfControl]:
    if not draws or not edits.masks:
        return []
    right = torch.zeros(2, len(case.y), dtype=torch.int64)  # natural, adversarial
    for seed in range(draws):
        report(Progress("random channels", seed, draws))
        random = Edits(shuffled(edits.masks, seed), edits.reselected)
        for row, x in zip(right, (case.x, case.x_adv), strict=True):
            row += (predict(case.cnn, x, random).argmax(dim=1) == case.y).cpu()
    return [
        WhatIfControl(draws=draws, natural_right=natural, adversarial_right=adversarial)
        for natural, adversarial in right.T.tolist()
    ]


# ---- the attack as a film -------------------------------------------------------------------------------------------


@router.post("/channels/film", responses=ERRORS)
async def film_(body: FilmRequest, lab: LabDep, run: RunDep) -> FilmResponse:
    """The attack step by step: image, loss, margin, the channels that move most, how far each layer has diverged."""
    model, attack = await asked(body, lab)
    layer = resolve.layer(model, body.layer)
    frames = len(body.images) * (attack.length + 1)
    if frames > MAX_FRAMES:
        raise unfit("attack", f"{len(body.images)} films of {attack.length + 1} frames; allowed: {MAX_FRAMES} in all")

    def work(report: Report) -> FilmResponse:
        start = time.perf_counter()
        x, y = resolve.inputs(body.images, model, lab, report)
        of = Screening(lab.model(model.id), layer.name, body.channels, Asked(model, attack, report))
        results = [_film(of, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
        seconds = time.perf_counter() - start
        return FilmResponse(
            model=model.id, layer=layer.name, attack=attack.resolved(), results=results, seconds=seconds
        )

    return await run(work, gflops=resolve.gflops_of(attack, len(body.images), model))


class Screening(NamedTuple):
    """What every film of a request has in common."""

    cnn: CNN
    layer: str
    channels: int
    asked: Asked


def _film(of: Screening, x: Tensor, y: Tensor) -> FilmResult:
    _, attack, report = of.asked
    shown = film(of.cnn, x, y, attack, report=report)
    seen = shown.layers[of.layer]
    with torch.no_grad():
        natural = predictions(of.cnn(x), of.asked.model.classes)[0]
    relevance = true_relevance(of.cnn, of.layer, x, y)[0]
    return FilmResult(
        label=int(y),
        natural=natural,
        falls_at=shown.falls_at,
        magnification=perturbation(x[0] - x[0], attack.eps).magnification,
        frames=_frames(shown, x, of.asked),
        moved=[_moved(seen, channel, float(relevance[channel])) for channel in most_moved(seen, of.channels).tolist()],
        divergence={name: numbers(layer.divergence, "the divergence") for name, layer in shown.layers.items()},
    )


def _frames(shown: Film, x: Tensor, asked: Asked) -> list[Frame]:
    losses, margins = numbers(shown.loss, "the attack's loss"), numbers(shown.margin, "the margin")
    predicted = predictions(shown.logits, asked.model.classes)
    return [
        Frame(
            step=step,
            loss=losses[step],
            margin=margins[step],
            prediction=predicted[step],
            png=png(iterate),
            perturbation=perturbation(iterate - x[0], asked.attack.eps).png,
        )
        for step, iterate in enumerate(shown.x)
    ]


def _moved(seen: LayerFilm, channel: int, relevance: float) -> MovedChannel:
    return MovedChannel(
        channel=channel,
        relevance=relevance,
        activation=numbers(seen.activation[:, channel], "the activation"),
        importance=None if seen.importance is None else numbers(seen.importance[:, channel], "the importance"),
    )


# ---- saliency -------------------------------------------------------------------------------------------------------


@router.post("/channels/saliency", responses=ERRORS)
async def saliency(body: SaliencyRequest, lab: LabDep, run: RunDep) -> SaliencyResponse:
    """Grad-CAM at a layer and Integrated Gradients at the image, of the natural and the attacked input."""
    model, attack = await asked(body, lab)
    layer = resolve.layer(model, body.layer)
    if (points := len(body.images) * body.steps) > MAX_POINTS:
        raise unfit("steps", f"{len(body.images)} images × {body.steps} steps = {points}; allowed: up to {MAX_POINTS}")

    def work(report: Report) -> list[SaliencyResult]:
        case = case_of(body, model, attack, lab, report)
        seen = [
            _maps(case.cnn, layer.name, x, predicted, Points(body.steps, report))
            for x, predicted in ((case.x, case.natural), (case.x_adv, case.adversarial))
        ]
        return [
            SaliencyResult(label=label, natural=natural, adversarial=adversarial)
            for label, natural, adversarial in zip(case.y.tolist(), *seen, strict=True)
        ]

    results = await run(work, gflops=resolve.gflops_of(attack, len(body.images), model))
    return SaliencyResponse(model=model.id, layer=layer.name, attack=attack.resolved(), results=results)


class Points(NamedTuple):
    steps: int
    report: Report


def _maps(cnn: CNN, layer: str, x: Tensor, predicted: Sequence[Prediction], points: Points) -> list[SaliencyMaps]:
    classes = torch.tensor([prediction.prediction for prediction in predicted], device=x.device)
    cams = numbers(grad_cam(cnn, layer, x, classes), "Grad-CAM")
    gradients = integrated_gradients(cnn, x, classes, steps=points.steps, report=points.report)
    rows = zip(x, predicted, cams, numbers(gradients.sum(dim=1), "the integrated gradients"), strict=True)
    return [
        SaliencyMaps(prediction=prediction, png=png(image), grad_cam=cam, integrated_gradients=integrated)
        for image, prediction, cam, integrated in rows
    ]


# ---- transfer -------------------------------------------------------------------------------------------------------


@router.post("/attack/transfer", responses=ERRORS)
async def transfer_(body: TransferRequest, lab: LabDep, run: RunDep) -> TransferResponse:
    """Each model's adversarial images shown to all of two to four models."""
    if len(set(body.models)) < len(body.models):
        raise unfit("models", f"models {body.models}: none may be named twice")
    models = [await resolve.model(model_id, lab) for model_id in body.models]
    count = resolve.image_count(body.images, lab.settings)
    costliest = max(models, key=lambda model: model.multiply_adds)
    attack = resolve.attack(body.attack, count * len(models), costliest, lab.settings)

    def work(report: Report) -> TransferResponse:
        for model in models[1:]:
            resolve.inputs(body.images, model, lab, report)  # the images have to fit every model
        x, y = resolve.inputs(body.images, models[0], lab, report)
        networks = {model.id: lab.model(model.id) for model in models}
        attacked = [images_against(network, x, y, attack, report) for network in networks.values()]
        return _matrix(shown_to_all(networks, x, attacked), y, models[0].classes, attack)

    return await run(work, gflops=resolve.gflops_of(attack, count * len(models), costliest))


def _matrix(found: TransferMatrix, y: Tensor, classes: Sequence[str], attack: Attack) -> TransferResponse:
    right = found.natural.argmax(dim=2) == y  # (S, N)
    wrong = found.adversarial.argmax(dim=3) != y  # (S, S, N)
    entries = [
        TransferEntry(
            source=source,
            shown=shown,
            right_before=int(right[t].sum()),
            fooled=int((wrong[s, t] & right[t]).sum()),
            predictions=predictions(found.adversarial[s, t], classes),
        )
        for s, source in enumerate(found.models)
        for t, shown in enumerate(found.models)
    ]
    natural = {name: predictions(logits, classes) for name, logits in zip(found.models, found.natural, strict=True)}
    return TransferResponse(
        models=list(found.models), attack=attack.resolved(), labels=y.tolist(), natural=natural, entries=entries
    )
