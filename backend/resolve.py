"""What a request names → what cifs computes with, checked against what is there and what the operator allows."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from backend.adversarial import logits
from backend.errors import Refusal, invalid, located, shown, unfit
from backend.images import decode_exact, decode_upload, pixels_of
from backend.lab import Lab
from backend.schemas import Choice, DatasetImage, ExactImage, ImageRef, LayerInfo, ModelInfo, UploadedImage
from backend.settings import Settings
from cifs.attacks import ATTACKS, Attack
from cifs.data import Dataset
from cifs.errors import InvalidParameter
from cifs.models import CNN
from cifs.progress import Progress, Report
from cifs.registry import Registry, configure


class Inputs(NamedTuple):
    """The images of a request, in the request's order."""

    x: Tensor  # (N, C, H, W) in [0, 1]
    y: Tensor  # (N,) labels: the true class, or the natural prediction for an upload without a label


async def model(model_id: str, lab: Lab) -> ModelInfo:
    """Off the event loop: the first time a model is asked for, it is read from disk."""
    return await asyncio.to_thread(lab.describe, model_id)


def choice(registry: Registry[type[Any]], chosen: Choice, location: str) -> Any:
    """The settings chosen by name, with parameters."""
    with located(location, invalid):
        return configure(registry, chosen.name, chosen.parameters, strict=True)


def attack(chosen: Choice, count: int, model: ModelInfo, settings: Settings) -> Attack:
    """The attack on `count` images, within the operator's limits."""
    _limit(chosen.parameters, settings)  # first, for this server's limits are narrower than cifs's
    attack: Attack = choice(ATTACKS, chosen, "attack")
    _limit(attack.resolved(), settings)
    cost = count * attack.cost
    if cost > settings.max_image_steps:
        factors = " × ".join(f"{number} {name}" for name, number in attack.factors.items())
        product = f"{count} images × {factors} = {cost}"
        raise unfit("attack", f"{product}; allowed: up to {settings.max_image_steps}")
    if (gflops := gflops_of(attack, count, model)) > settings.max_request_gflops:
        product = f"{count} images × {attack.cost} gradient steps of {gflops / cost:.3g} GFLOP = {gflops:.0f} GFLOP"
        allowed = f"allowed: up to {settings.max_request_gflops}; what lasts longer belongs in a job (POST /jobs)"
        raise unfit("attack", f"on {model.id}, {product}; {allowed}")
    if attack.target is not None:
        class_index(attack.target, model, "attack.target")
    return attack


def gflops_of(attack: Attack | None, count: int, model: ModelInfo) -> float:
    """What an attack on `count` images costs: a step is a forward pass and a backward pass of twice its cost."""
    return 0.0 if attack is None else count * attack.cost * 3 * 2 * model.multiply_adds / 1e9


def image_count(images: Sequence[ImageRef], settings: Settings) -> int:
    if len(images) > settings.max_images:
        raise unfit("images", f"{len(images)} images in one request; allowed: up to {settings.max_images}")
    return len(images)


def _limit(parameters: Mapping[str, Any], settings: Settings) -> None:
    for name, limit in settings.attack_limits.items():
        value = parameters.get(name)
        if isinstance(value, int | float) and value > limit:
            raise invalid(f"attack.{name}", f"attack.{name} = {shown(value)}; allowed: up to {limit}")


def class_index(value: int, model: ModelInfo, location: str) -> int:
    if not 0 <= value < len(model.classes):
        raise unfit(location, f"{location} = {value}: no such class; allowed: 0 to {len(model.classes) - 1}")
    return value


def layer(model: ModelInfo, name: str) -> LayerInfo:
    for known in model.layers:
        if known.name == name:
            return known
    names = ", ".join(known.name for known in model.layers)
    raise unfit("layer", f"model {model.id!r} has no layer {name!r}; choose from: {names}")


def channels(chosen: Sequence[int], layer: LayerInfo) -> list[int]:
    for channel in chosen:
        if channel >= layer.channels:
            raise unfit("channels", f"channel {channel}: layer {layer.name!r} has channels 0 to {layer.channels - 1}")
    return list(chosen)


def inputs(refs: Sequence[ImageRef], model: ModelInfo, lab: Lab, report: Report) -> Inputs:
    """Images and labels, on the model's device. For the inference thread: labels may need a prediction."""
    _check_uploads(refs, model, lab.settings)
    pairs = []
    for i, ref in enumerate(refs):
        report(Progress("images", i))  # a large picture takes a second to decode
        pairs.append(_image(ref, model, lab, f"images.{i}"))
    x = torch.stack([image for image, _ in pairs]).to(lab.device)
    return Inputs(x, _labels(lab.model(model.id), x, [label for _, label in pairs]))


def _check_uploads(refs: Sequence[ImageRef], model: ModelInfo, settings: Settings) -> None:
    """All that can be told of them before any is decoded: their labels, and by their headers how large they are."""
    pixels = 0
    for i, ref in enumerate(refs):
        if not isinstance(ref, DatasetImage) and ref.label is not None:
            class_index(ref.label, model, f"images.{i}.label")
        if isinstance(ref, UploadedImage):
            pixels += pixels_of(ref.png, settings, location=f"images.{i}.png")
    if pixels > (limit := settings.max_request_pixels):
        message = f"uploaded images of {pixels} pixels in one request; allowed: up to {limit}"
        raise Refusal(413, message, location="images")


def _labels(cnn: CNN, x: Tensor, known: Sequence[int | None]) -> Tensor:
    predicted = logits(cnn, x).argmax(dim=1).tolist() if None in known else known
    labels = [p if label is None else label for p, label in zip(predicted, known, strict=True)]
    return torch.tensor(labels, device=x.device)


def _image(ref: ImageRef, model: ModelInfo, lab: Lab, location: str) -> tuple[Tensor, int | None]:
    """(C, H, W) in [0, 1], and the label where one is known."""
    if isinstance(ref, DatasetImage):
        return _dataset_image(ref, model, lab, location)
    if isinstance(ref, ExactImage):
        return decode_exact(ref.npy, model.image_shape, lab.settings, location=f"{location}.npy"), ref.label
    return decode_upload(ref.png, model.image_shape, lab.settings, location=f"{location}.png"), ref.label


def _dataset_image(ref: DatasetImage, model: ModelInfo, lab: Lab, location: str) -> tuple[Tensor, int]:
    with located(f"{location}.dataset"):
        _fits(lab.dataset(ref.dataset), model)
        images = lab.images(ref.dataset, ref.split)
    if ref.index >= len(images):
        message = f"index {ref.index}: the {ref.split} split of {ref.dataset!r} has images 0 to {len(images) - 1}"
        raise unfit(f"{location}.index", message)
    x, y = images.batch(slice(ref.index, ref.index + 1))
    return x[0], class_index(int(y), model, f"{location}.index")


def _fits(data: Dataset, model: ModelInfo) -> None:
    """Labels mean something only where data and model have the same classes."""
    if list(data.classes) != model.classes or data.image_shape != model.image_shape:
        raise InvalidParameter(
            f"images of {data.name!r} {data.image_shape} do not fit model {model.id!r}, which knows the classes of "
            f"{model.dataset!r} in images of {model.image_shape}"
        )
