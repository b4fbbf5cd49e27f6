"""`POST /channels`, `/channels/maps`, `/channels/intervene`: natural and adversarial images, by the same code."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from fastapi import APIRouter
from torch import Tensor

from backend import resolve
from backend.adversarial import adversarial, logits
from backend.dependencies import LabDep, RunDep
from backend.errors import unfit
from backend.lab import Lab
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.respond import numbers, predictions, resolved
from backend.schemas import (
    ChannelMaps,
    ChannelsRequest,
    ChannelsResponse,
    ChannelsResult,
    ChannelView,
    Choice,
    InterveneRequest,
    InterveneResponse,
    InterveneResult,
    Intervention,
    LayerInfo,
    MapsRequest,
    MapsResponse,
    MapsResult,
    ModelInfo,
)
from backend.schemas.channels import Target
from cifs.attacks import Attack
from cifs.channels import RELEVANCES, View, capture, intervene, view, views
from cifs.channels.relevance import True_
from cifs.models import CNN
from cifs.progress import Report
from cifs.selection import IMGFS

router = APIRouter(route_class=StrictRoute, tags=["channels"])
ERRORS = responses(400, 404, 413, 422, 500, 503, 504)

Look = Callable[[CNN, Tensor, Tensor], Sequence[Any]]  # model, x (N, C, H, W), labels (N,) → one thing an image
LayerRequest = ChannelsRequest | MapsRequest | InterveneRequest


class Scene(NamedTuple):
    """What every request under /channels is about."""

    model: ModelInfo
    layer: LayerInfo
    attack: Attack | None
    gflops: float  # of the attack

    @property
    def resolved_attack(self) -> dict[str, Any] | None:
        return None if self.attack is None else self.attack.resolved()


async def scene_of(body: LayerRequest, lab: Lab) -> Scene:
    model = await resolve.model(body.model, lab)
    layer = resolve.layer(model, body.layer)
    count = resolve.image_count(body.images, lab.settings)
    attack = None if body.attack is None else resolve.attack(body.attack, count, model, lab.settings)
    return Scene(model, layer, attack, resolve.gflops_of(attack, count, model))


class Sight(NamedTuple):
    """What was seen of one image."""

    label: int
    natural: Any
    adversarial: Any | None


def look_at(body: LayerRequest, scene: Scene, lab: Lab, look: Look, report: Report) -> list[Sight]:
    """What `look` sees of every image and, under attack, of the adversarial one."""
    x, y = resolve.inputs(body.images, scene.model, lab, report)
    cnn = lab.model(scene.model.id)
    if scene.attack is None:
        return [Sight(label, seen, None) for label, seen in zip(y.tolist(), look(cnn, x, y), strict=True)]
    x_adv = adversarial(cnn, x, y, scene.attack, report)
    seen = look(cnn, torch.cat([x, x_adv]), torch.cat([y, y]))  # by one pass
    return [Sight(*of_image) for of_image in zip(y.tolist(), seen[: len(x)], seen[len(x) :], strict=True)]


@router.post("/channels", responses=ERRORS)
async def channels(body: ChannelsRequest, lab: LabDep, run: RunDep) -> ChannelsResponse:
    """Activation, relevance, importance and selected features of every channel of a layer, natural and adversarial."""
    scene = await scene_of(body, lab)
    chosen = Choice(name=body.relevance) if isinstance(body.relevance, str) else body.relevance
    relevance = resolve.choice(RELEVANCES, chosen, "relevance")
    imgf = None if body.imgf is None else resolve.choice(IMGFS, body.imgf, "imgf")
    _check_target(body.target, scene.model)

    def look(cnn: CNN, x: Tensor, y: Tensor) -> list[ChannelView]:
        classes, layer = _classes(body.target, y), scene.layer.name
        if isinstance(relevance, True_):  # which one pass tells
            return _views(views(cnn, [layer], x, classes=classes, imgf=imgf)[layer], scene.model)
        return _views(view(cnn, layer, x, relevance=relevance, classes=classes, imgf=imgf), scene.model)

    sights = await run(partial(look_at, body, scene, lab, look), gflops=scene.gflops)
    return ChannelsResponse(
        model=scene.model.id,
        layer=scene.layer.name,
        relevance=resolved(RELEVANCES, relevance),
        **_importance(imgf, scene),
        attack=scene.resolved_attack,
        results=[ChannelsResult(label=s.label, natural=s.natural, adversarial=s.adversarial) for s in sights],
    )


def _check_target(target: Target, model: ModelInfo) -> None:
    if isinstance(target, int):
        resolve.class_index(target, model, "target")


def _classes(target: Target, y: Tensor) -> Tensor | None:
    """The class each image's relevance speaks of, (N,); None: its own prediction."""
    if target == "label":
        return y
    return None if target == "prediction" else torch.full_like(y, target)


def _importance(imgf: Any, scene: Scene) -> dict[str, Any]:
    """Whose importance the response tells: the request's IMGF, the model's own, or none."""
    if imgf is not None:
        return {"imgf": resolved(IMGFS, imgf), "importance_source": "request"}
    if scene.layer.modified:
        own = scene.model.imgf or Choice(name="weight_row")
        return {"imgf": own.model_dump(), "importance_source": "model"}
    return {"imgf": None, "importance_source": None}


def _views(seen: View, model: ModelInfo) -> list[ChannelView]:
    by_channel = {
        name: getattr(seen, name) for name in ("activation", "relevance", "assessed", "importance", "selected")
    }
    rows = {name: numbers(values, name) for name, values in by_channel.items() if values is not None}
    return [
        ChannelView(**prediction.model_dump(), target=target, **{name: of_image[i] for name, of_image in rows.items()})
        for i, (prediction, target) in enumerate(
            zip(predictions(seen.logits, model.classes), seen.classes.tolist(), strict=True)
        )
    ]


@router.post("/channels/maps", responses=ERRORS)
async def maps(body: MapsRequest, lab: LabDep, run: RunDep) -> MapsResponse:
    """Feature maps z_i of chosen channels, natural and adversarial."""
    scene = await scene_of(body, lab)
    chosen = resolve.channels(body.channels, scene.layer)
    _limit_map_values(body, scene, lab)

    @torch.no_grad()
    def look(cnn: CNN, x: Tensor, y: Tensor) -> list[Any]:
        with capture(cnn, scene.layer.name) as captured:
            cnn(x)
        return numbers(captured.features[:, chosen], "the feature map")

    sights = await run(partial(look_at, body, scene, lab, look), gflops=scene.gflops)
    return MapsResponse(
        model=scene.model.id,
        layer=scene.layer.name,
        attack=scene.resolved_attack,
        results=[MapsResult(label=s.label, channels=_maps(chosen, s.natural, s.adversarial)) for s in sights],
    )


def _limit_map_values(body: MapsRequest, scene: Scene, lab: Lab) -> None:
    positions = scene.layer.height * scene.layer.width * (1 if scene.attack is None else 2)
    values, limit = len(body.images) * len(body.channels) * positions, lab.settings.max_map_values
    if values > limit:
        raise unfit("channels", f"feature maps of {values} numbers in one response; allowed: up to {limit}")


def _maps(chosen: list[int], natural: Any, adversarial: Any) -> list[ChannelMaps]:
    return [
        ChannelMaps(channel=c, natural=natural[i], adversarial=None if adversarial is None else adversarial[i])
        for i, c in enumerate(chosen)
    ]


@router.post("/channels/intervene", responses=ERRORS)
async def intervention(body: InterveneRequest, lab: LabDep, run: RunDep) -> InterveneResponse:
    """Predictions when the channels of a layer are multiplied by a mask of the caller's."""
    scene = await scene_of(body, lab)
    mask = torch.tensor(_mask(body.mask, scene.layer), device=lab.device)

    @torch.no_grad()
    def look(cnn: CNN, x: Tensor, y: Tensor) -> list[Intervention]:
        before = predictions(logits(cnn, x), scene.model.classes)
        with intervene(cnn, scene.layer.name, mask):
            after = predictions(cnn(x), scene.model.classes)
        return [Intervention(before=b, after=a) for b, a in zip(before, after, strict=True)]

    sights = await run(partial(look_at, body, scene, lab, look), gflops=scene.gflops)
    return InterveneResponse(
        model=scene.model.id,
        layer=scene.layer.name,
        attack=scene.resolved_attack,
        results=[InterveneResult(label=s.label, natural=s.natural, adversarial=s.adversarial) for s in sights],
    )


def _mask(mask: list[float], layer: LayerInfo) -> list[float]:
    if len(mask) != layer.channels:
        raise unfit("mask", f"a mask of length {len(mask)}; allowed: {layer.channels}, one number a channel")
    return mask
