"""`POST /channels`, `/channels/maps`, `/channels/intervene` and the channel statistics of a model.

C is the number of channels of the layer asked for.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backend.schemas.catalogue import AttackChoice, IMGFChoice, RelevanceChoice, RelevanceName
from backend.schemas.images import LONGEST_LIST, ImageRef, Prediction

Class = Annotated[int, Field(ge=0)]
Target = Literal["label", "prediction"] | Class
Channel = Annotated[int, Field(ge=0)]


_PGD = {"name": "pgd", "eps": 0.1, "steps": 20}
_ABOUT = {
    "model": "fmnist-resnet10-w16-cifs-softmax",
    "layer": "layer4.0",
    "images": [{"dataset": "fashion_mnist_mini", "index": 0}],
}


def _examples(*bodies: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [_ABOUT | body for body in bodies]})


class _LayerRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(examples=["fmnist-resnet10-w16-natural"])
    layer: str = Field(examples=["layer4.0"])
    images: list[ImageRef] = Field(
        min_length=1,
        max_length=LONGEST_LIST,
        fail_fast=True,
        examples=[[{"dataset": "fashion_mnist_mini", "index": 0}]],
    )
    attack: AttackChoice | None = Field(None, examples=[{"name": "pgd", "eps": 0.1, "steps": 20}])


class ChannelsRequest(_LayerRequest):
    model_config = _examples(
        {"attack": _PGD, "target": "label"},
        {"relevance": "assessed", "imgf": {"name": "softplus", "alpha": 5}},
    )

    target: Target = Field(
        "label",
        description="the class relevance speaks of: the label, each input's own prediction, or a class index",
    )
    relevance: RelevanceName | RelevanceChoice = Field(
        "true", description="a name under GET /relevances, alone or with parameters", examples=["true"]
    )
    imgf: IMGFChoice | None = Field(
        None,
        description="a what-if IMGF of the relevance; absent: the model's own importance where the layer has one",
        examples=[{"name": "softplus", "alpha": 5}],
    )


class ChannelView(Prediction):
    """One input (natural or adversarial) seen at one layer."""

    target: int = Field(description="the class the relevance speaks of")
    activation: list[float] = Field(description="[C] mean over positions of z_i")
    relevance: list[float] = Field(description="[C] g")
    assessed: list[float] | None = Field(
        None, description="[C] the relevance a modified layer assesses itself, which the model's own m is made of"
    )
    importance: list[float] | None = Field(
        None, description="[C] m; null where the layer is plain and no imgf was given"
    )
    selected: list[float] | None = Field(None, description="[C] mean over positions of m_i · z_i")


class ChannelsResult(BaseModel):
    label: int
    natural: ChannelView
    adversarial: ChannelView | None = None


class ChannelsResponse(BaseModel):
    model: str
    layer: str
    relevance: dict[str, Any] = Field(description="resolved")
    imgf: dict[str, Any] | None = Field(description="resolved; null where importance is null")
    importance_source: Literal["model", "request"] | None = Field(
        description="whose importance it is: the model's own, or the what-if IMGF's"
    )
    attack: dict[str, Any] | None
    results: list[ChannelsResult]


class MapsRequest(_LayerRequest):
    model_config = _examples({"attack": _PGD, "channels": [0, 1]})

    channels: list[Channel] = Field(
        min_length=1, max_length=LONGEST_LIST, fail_fast=True, description="which channels", examples=[[0, 1]]
    )


class ChannelMaps(BaseModel):
    channel: int
    natural: list[list[float]] = Field(description="(H, W) feature map z_i")
    adversarial: list[list[float]] | None = None


class MapsResult(BaseModel):
    label: int
    channels: list[ChannelMaps]


class MapsResponse(BaseModel):
    model: str
    layer: str
    attack: dict[str, Any] | None
    results: list[MapsResult]


class InterveneRequest(_LayerRequest):
    model_config = _examples({"mask": [0.0] + [1.0] * 127})

    mask: list[Annotated[float, Field(ge=-1e6, le=1e6)]] = Field(
        max_length=LONGEST_LIST,
        fail_fast=True,
        description="[C] multipliers put on the layer's channels",
        examples=[[1.0] * 128],
    )


class Intervention(BaseModel):
    before: Prediction
    after: Prediction = Field(description="under the mask")


class InterveneResult(BaseModel):
    label: int
    natural: Intervention
    adversarial: Intervention | None = None


class InterveneResponse(BaseModel):
    model: str
    layer: str
    attack: dict[str, Any] | None
    results: list[InterveneResult]


class ChannelSummary(BaseModel):
    """Means over a class's images at one layer, each [C]."""

    activation: list[float]
    frequency: list[float] = Field(
        description="share of images on which a_i exceeds 1 % of that image's largest activation"
    )
    relevance: list[float] = Field(description="true relevance for the class")
    importance: list[float] | None = None
    selected: list[float] | None = None


class Estimate(BaseModel):
    """A mean over images, in units of activation."""

    mean: float
    low: float = Field(description="lower end of the 95 % bootstrap interval")
    high: float
    n: int = Field(description="images that have such channels")


class ChannelShift(BaseModel):
    """What the attack did to NR and PR channels, told apart by each natural image's own relevance; null without any."""

    nr_over_activation: Estimate | None = Field(description="adversarial − natural activation of NR channels")
    pr_under_activation: Estimate | None = Field(description="natural − adversarial activation of PR channels")
    mean_activation: float = Field(
        description="|natural activation|, mean over the layer's channels and all images: the unit to compare models in"
    )


class ChannelStatistics(BaseModel):
    model: str
    dataset: str
    split: str
    layer: str
    layers: list[str] = Field(description="layers that have statistics")
    class_index: int
    class_name: str
    n: int = Field(description="images of the class that were counted")
    attack: dict[str, Any]
    natural: ChannelSummary
    adversarial: ChannelSummary
    shift: ChannelShift | None = Field(None, description="of the class; null where it was not kept")
    shift_all: ChannelShift | None = Field(None, description="of all classes together, if it was asked for")
    partings: list[float | None] = Field(
        [],
        description="how far the attack parted NR from PR channels at this layer, by class: (mean rise of NR − mean "
        "rise of PR) / mean natural |activation|; null for a class that was not counted",
    )
