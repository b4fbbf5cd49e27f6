"""A page for every channel, its response to growing ε, and which notion of relevance is faithful."""

import time
from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

import torch
from fastapi import APIRouter
from torch import Tensor

from backend import resolve
from backend.adversarial import adversarial
from backend.dependencies import LabDep, ModelDep, RunDep
from backend.errors import Refusal, unfit
from backend.images import png
from backend.lab import Lab
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.respond import numbers
from backend.routes.laboratory import ERRORS, MAX_PATCHES, asked
from backend.schemas import LayerInfo, ModelInfo
from backend.schemas.laboratory import (
    ChannelExemplar,
    ChannelProfile,
    ChannelResponse,
    FaithfulnessRequest,
    FaithfulnessResponse,
    Interval,
    NearChannel,
    NotionFigures,
    ResponseRequest,
    ResponseResponse,
    ResponseResult,
    SeenField,
    VisualiseRequest,
    VisualiseResponse,
)
from cifs.attacks import ATTACKS, Attack, perturb
from cifs.channels import RELEVANCES, Estimate, view
from cifs.channels.exemplars import RANKINGS, Exemplars, ranked_by
from cifs.channels.faithfulness import NOTIONS, Faithfulness, faithfulness
from cifs.channels.receptive_field import receptive_field
from cifs.channels.response import response
from cifs.channels.visualisation import COPIES, channel_direction, optimise, random_direction
from cifs.models import CNN
from cifs.progress import Report
from cifs.registry import configure, described
from cifs.tasks import exemplars_of

router = APIRouter(route_class=StrictRoute, tags=["laboratory"])
ATTACKED = 6  # images of a ranking that are attacked anew for a page


@router.get("/models/{id}/layers/{layer}/channels/{channel}", responses=responses(404, 422, 500, 503, 504))
async def channel_page(model: ModelDep, layer: str, channel: int, lab: LabDep, run: RunDep) -> ChannelProfile:
    """What a channel looks for: the images that activate it most and for which it is most relevant, natural and
    attacked; its class profile, its weight in each class, and the channels whose activation goes with its own."""
    info = resolve.layer(model, layer)
    resolve.channels([channel], info)
    found = exemplars_of(lab.zoo.entry(model.id))
    if found is None:
        raise Refusal(404, f"model {model.id!r} has no exemplars; `cifs exemplars {model.id}` finds them")
    if layer not in found.layers:
        raise Refusal(404, f"layer {layer!r} of model {model.id!r} has no exemplars")
    attack = attack_of(found)
    cost = resolve.gflops_of(attack, len(RANKINGS) * ATTACKED, model)
    profile: ChannelProfile = await run(
        lambda report: _profile(Place(model, info, channel), found, attack, lab, report), gflops=cost
    )
    return profile


def attack_of(found: Exemplars) -> Attack | None:
    """The one its attacked images were made by."""
    if found.attack is None:
        return None
    attack: Attack = configure(ATTACKS, found.attack["name"], {k: v for k, v in found.attack.items() if k != "name"})
    return attack


class Place(NamedTuple):
    model: ModelInfo
    layer: LayerInfo
    channel: int


def _profile(place: Place, found: Exemplars, attack: Attack | None, lab: Lab, report: Report) -> ChannelProfile:
    page = found.page(place.layer.name, place.channel)
    images, cnn = lab.images(found.dataset, "test"), lab.model(place.model.id)

    def natural(ranking: str) -> list[ChannelExemplar]:
        which = page.images[ranking]
        x, y = images.batch(torch.tensor(which))
        return _exemplars(place, which, page.values[ranking], x.to(lab.device), y, cnn)

    def attacked(ranking: str, attack: Attack) -> list[ChannelExemplar]:
        """Found by gradients in bf16, made anew in float32 and told by the value of what is shown."""
        which = page.attacked_images[ranking][:ATTACKED]
        x, y = (part.to(lab.device) for part in images.batch(torch.tensor(which)))
        x = adversarial(cnn, x, y, attack, report)
        seen = view(cnn, place.layer.name, x, relevance=RELEVANCES["true"](), classes=y)
        values = ranked_by(seen)[ranking][:, place.channel].tolist()
        return sorted(_exemplars(place, which, values, x, y, cnn), key=lambda shown: -shown.value)

    shown = {name: natural(name) for name in RANKINGS}
    shown_attacked = {} if attack is None else {name: attacked(name, attack) for name in page.attacked_images}
    return ChannelProfile(
        model=place.model.id,
        layer=place.layer.name,
        channel=place.channel,
        channels=place.layer.channels,
        dataset=found.dataset,
        split=found.split,
        n=int(found.counts.sum()),
        by_activation=shown["activation"],
        by_relevance=shown["relevance"],
        attack=found.attack,
        attacked_by_activation=shown_attacked.get("activation", []),
        attacked_by_relevance=shown_attacked.get("relevance", []),
        classes=place.model.classes,
        activation=_finite(page.activation),
        relevance=_finite(page.relevance),
        nearest=[
            NearChannel(channel=near, correlation=r) for near, r in zip(page.nearest, page.correlation, strict=True)
        ],
    )


def _exemplars(
    place: Place,
    indices: list[int],
    values: list[float],
    x: Tensor,
    y: Tensor,
    cnn: CNN,
) -> list[ChannelExemplar]:
    """x: the images (N, C, H, W), natural or attacked; y: their labels (N,)."""
    shown = []
    for index, value, image, label in zip(indices, values, x, y.tolist(), strict=True):
        seen = receptive_field(cnn, place.layer.name, image[None], place.channel)
        shown.append(
            ChannelExemplar(
                index=index,
                label=label,
                class_name=place.model.classes[label],
                value=value,
                png=png(image),
                seen=SeenField(top=seen.top, left=seen.left, bottom=seen.bottom, right=seen.right),
            )
        )
    return shown


def _finite(values: Sequence[float] | Any) -> list[float | None]:
    return [float(value) if isfinite(value) else None for value in values]


@router.post("/channels/visualise", responses=ERRORS)
async def visualise(body: VisualiseRequest, lab: LabDep, run: RunDep) -> VisualiseResponse:
    """An image optimised for a channel, beside what the best test image reaches, and a control.

    The control is optimised alike for a random direction of the layer: a channel as active on it is not what the image
    is of. An optimised image shows what drives the channel, not what it met in the data.
    """
    model = await resolve.model(body.model, lab)
    layer = resolve.layer(model, body.layer)
    resolve.channels([body.channel], layer)
    gflops = 2 * body.steps * (3 * COPIES + 1) * 2 * model.multiply_adds / 1e9
    if gflops > (limit := lab.settings.max_request_gflops):
        raise unfit("steps", f"steps = {body.steps} on {model.id} cost {gflops:.0f} GFLOP; allowed: up to {limit}")
    found = exemplars_of(lab.zoo.entry(model.id))
    known = found is not None and layer.name in found.layers
    best = found.page(layer.name, body.channel).values["activation"][0] if found is not None and known else None
    place = Place(model, layer, body.channel)
    response: VisualiseResponse = await run(lambda report: _visualised(place, body, best, lab, report), gflops=gflops)
    return response


def _visualised(
    place: Place, body: VisualiseRequest, best: float | None, lab: Lab, report: Report
) -> VisualiseResponse:
    start, cnn = time.perf_counter(), lab.model(place.model.id)
    count, channel = place.layer.channels, place.channel
    own, control = (
        optimise(
            cnn, place.layer.name, direction.to(lab.device), cnn.image_shape, steps=body.steps, seed=body.seed,
            robust=body.robust, report=report,
        )
        for direction in (channel_direction(count, channel), random_direction(count, channel, seed=body.seed))
    )  # fmt: skip
    return VisualiseResponse(
        **body.model_dump(),
        png=png(own.image[0]),
        start=own.start,
        reached=own.reached,
        climb=own.climb,
        control_png=png(control.image[0]),
        control=float(control.activation[channel]),
        exemplar=best,
        seconds=time.perf_counter() - start,
    )


@router.post("/channels/response", responses=ERRORS)
async def channel_response(body: ResponseRequest, lab: LabDep, run: RunDep) -> ResponseResponse:
    """Activation and relevance of channels from ε = 0 to twice the attack's ε, each ε attacked anew."""
    model, attack = await asked(body, lab, attacks=body.points)
    layer = resolve.layer(model, body.layer)
    channels = resolve.channels(body.channels, layer)
    eps = [min(1.0, 2 * attack.eps * i / (body.points - 1)) for i in range(body.points)]

    def work(report: Report) -> list[ResponseResult]:
        x, y = resolve.inputs(body.images, model, lab, report)
        cnn = lab.model(model.id)
        found = response(cnn, layer.name, x, y, attack, eps, report=report)
        activation = numbers(found.activation[:, :, channels].permute(1, 2, 0), "the activation")  # (N, channels, E)
        relevance = numbers(found.relevance[:, :, channels].permute(1, 2, 0), "the relevance")
        return [
            ResponseResult(
                label=int(y[i]),
                predictions=found.predictions[:, i].tolist(),
                channels=[
                    ChannelResponse(channel=channel, activation=activation[i][k], relevance=relevance[i][k])
                    for k, channel in enumerate(channels)
                ],
            )
            for i in range(len(y))
        ]

    results = await run(work, gflops=resolve.gflops_of(attack, len(body.images) * body.points, model))
    return ResponseResponse(model=model.id, layer=layer.name, attack=attack.resolved(), eps=eps, results=results)


@router.post("/channels/faithfulness", responses=ERRORS)
async def notions(body: FaithfulnessRequest, lab: LabDep, run: RunDep) -> FaithfulnessResponse:
    """Which notion of relevance says what happens when a channel is taken away, with intervals over the images.

    Each is compared with ablation, and by the class's probability while channels are taken away, or put in, in its
    order; a random order is the control. The class is each image's label.
    """
    model = await resolve.model(body.model, lab)
    layer = resolve.layer(model, body.layer)
    count = resolve.image_count(body.images, lab.settings)
    if (cost := count * layer.channels) > MAX_PATCHES:
        raise unfit("images", f"images × channels = {cost}; allowed: up to {MAX_PATCHES}")
    attack = None if body.attack is None else resolve.attack(body.attack, count, model, lab.settings)
    for name in body.notions or ():
        NOTIONS[name]

    def work(report: Report) -> FaithfulnessResponse:
        start = time.perf_counter()
        x, y = resolve.inputs(body.images, model, lab, report)
        cnn = lab.model(model.id)
        if attack is not None:
            x = perturb(cnn, x, y, attack, report=report)
        found = faithfulness(cnn, layer.name, x, y, notions=body.notions, report=report)
        return _faithfulness(found, body, attack, len(y), time.perf_counter() - start)

    return await run(work, gflops=resolve.gflops_of(attack, count, model))


def _faithfulness(
    found: Faithfulness, body: FaithfulnessRequest, attack: Attack | None, n: int, seconds: float
) -> FaithfulnessResponse:
    return FaithfulnessResponse(
        model=body.model,
        layer=body.layer,
        attack=None if attack is None else attack.resolved(),
        n=n,
        shares=found.shares.tolist(),
        notions=[
            NotionFigures(
                notion=name,
                title=described(NOTIONS[name])[0].partition(":")[0] if name in NOTIONS else "Random order",
                correlation=_interval(report.correlation),
                deletion=_interval(report.deletion),
                insertion=_interval(report.insertion),
                deletion_curve=numbers(report.deletion_curve, "the curve"),
                insertion_curve=numbers(report.insertion_curve, "the curve"),
            )
            for name, report in found.notions.items()
        ],
        correlations=[_finite(row) for row in _rows(found.correlations)],
        seconds=seconds,
    )


def _rows(matrix: Tensor) -> list[list[float]]:
    rows: list[list[float]] = torch.as_tensor(matrix).tolist()
    return rows


def _interval(estimate: Estimate) -> Interval:
    mean, low, high = _finite((estimate.mean, estimate.low, estimate.high))
    return Interval(mean=mean, low=low, high=high, n=estimate.n)
