"""`attack` and `channels`: what an attack does to some images, and to the channels of a layer."""

from functools import partial
from typing import Any

import torch
from pydantic import BaseModel, Field

from cifs.attacks import ATTACKS, NORMS, Attack, perturb
from cifs.channels import RELEVANCES, View, view
from cifs.data import dataset, load_images
from cifs.errors import InvalidParameter, UnknownName
from cifs.models import CNN
from cifs.progress import Report
from cifs.registry import configure, settings
from cifs.tasks.base import TASKS, Prepared, Workspace

DATA = "fashion_mnist_mini"


class AttackedImage(BaseModel):
    """What the model says of one image before and after."""

    index: int
    label: str
    natural: str
    natural_probability: float
    attacked: str
    attacked_probability: float
    size: float = Field(description="of the perturbation, in the attack's norm")


class AttackedImages(BaseModel):
    model: str
    data: str
    attack: dict[str, Any]
    images: list[AttackedImage]


@TASKS.register("attack")
@settings
class AttackImages:
    """Attack some test images and show what the model says before and after."""

    model: str = Field(description="id in the zoo")
    attack: str = Field(default="pgd", description="a registered attack")
    set: dict[str, Any] = Field(default_factory=dict, description="its parameters, e.g. eps=8/255 or steps=20")
    index: tuple[int, ...] = Field(default=(0,), min_length=1, description="indices of test images")
    data: str = Field(default=DATA, description="data set")

    def prepare(self, workspace: Workspace) -> Prepared:
        attack = configure(ATTACKS, self.attack, self.set)
        model = workspace.load(workspace.zoo.entry(self.model), self.data)
        _check_indices(self.data, self.index)
        return Prepared(partial(self._run, workspace, model, attack))

    def _run(self, workspace: Workspace, model: CNN, attack: Attack, report: Report) -> AttackedImages:
        x, y = (t.to(workspace.device) for t in load_images(self.data, "test").batch(torch.tensor(self.index)))
        x_adv = perturb(model, x, y, attack, report=report)
        with torch.no_grad():
            before, after = (model(images).softmax(dim=1) for images in (x, x_adv))
        sizes, classes = NORMS[attack.norm].size(x_adv - x), dataset(self.data).classes
        images = [
            AttackedImage(
                index=index,
                label=classes[int(y[i])],
                natural=classes[int(before[i].argmax())],
                natural_probability=float(before[i].max()),
                attacked=classes[int(after[i].argmax())],
                attacked_probability=float(after[i].max()),
                size=float(sizes[i]),
            )
            for i, index in enumerate(self.index)
        ]
        return AttackedImages(model=self.model, data=self.data, attack=attack.resolved(), images=images)


class ChannelReading(BaseModel):
    """One channel of one image, natural and attacked."""

    channel: int
    relevance: float = Field(description="true relevance for the label, of the natural image")
    natural: float = Field(description="activation")
    attacked: float
    importance: float | None = Field(description="of the natural image; null where the layer is plain")


class ChannelReadings(BaseModel):
    model: str
    layer: str
    data: str
    index: int
    attack: dict[str, Any]
    channels: list[ChannelReading] = Field(description="the most relevant first")


@TASKS.register("channels")
@settings
class ReadChannels:
    """The most and least relevant channels of a layer, natural against attacked."""

    model: str = Field(description="id in the zoo")
    layer: str | None = Field(default=None, description="layer; default: the last")
    index: int = Field(default=0, description="index of a test image")
    data: str = Field(default=DATA, description="data set")
    attack: str = Field(default="pgd", description="a registered attack")
    set: dict[str, Any] = Field(default_factory=dict, description="the attack's parameters")
    most: int = Field(default=8, ge=1, description="how many channels of either end")

    def prepare(self, workspace: Workspace) -> Prepared:
        attack = configure(ATTACKS, self.attack, self.set)
        model = workspace.load(workspace.zoo.entry(self.model), self.data)
        _check_indices(self.data, (self.index,))
        layer = self.layer or model.layers[-1]
        if layer not in model.layers:
            raise UnknownName("layer", layer, model.layers)
        return Prepared(partial(self._run, workspace, model, attack, layer))

    def _run(self, workspace: Workspace, model: CNN, attack: Attack, layer: str, report: Report) -> ChannelReadings:
        x, y = (t.to(workspace.device) for t in load_images(self.data, "test").batch(torch.tensor([self.index])))
        x_adv = perturb(model, x, y, attack, report=report)
        natural, attacked = (
            view(model, layer, images, relevance=RELEVANCES["true"](), classes=y) for images in (x, x_adv)
        )
        order = natural.relevance[0].argsort(descending=True).tolist()
        chosen = dict.fromkeys([*order[: self.most], *order[-self.most :]])
        return ChannelReadings(
            model=self.model,
            layer=layer,
            data=self.data,
            index=self.index,
            attack=attack.resolved(),
            channels=[_reading(channel, natural, attacked) for channel in chosen],
        )


def _reading(channel: int, natural: View, attacked: View) -> ChannelReading:
    return ChannelReading(
        channel=channel,
        relevance=float(natural.relevance[0, channel]),
        natural=float(natural.activation[0, channel]),
        attacked=float(attacked.activation[0, channel]),
        importance=None if natural.importance is None else float(natural.importance[0, channel]),
    )


def _check_indices(data: str, indices: tuple[int, ...]) -> None:
    n = len(load_images(data, "test"))
    if wrong := [i for i in indices if not 0 <= i < n]:
        raise InvalidParameter(f"index {wrong[0]}: {data} has test images 0 to {n - 1}")
