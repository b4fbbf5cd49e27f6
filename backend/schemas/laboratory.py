"""The laboratory: who carried a flip, the circuit of a failure, networks edited by hand.

C is the number of channels of the layer asked for. Each answer holds all that a view of it shows.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backend.schemas.catalogue import AttackChoice, IMGFChoice
from backend.schemas.channels import Channel
from backend.schemas.images import LONGEST_LIST, ImageRef, Prediction

MODEL = "fmnist-resnet10-w16-natural"
PGD = {"name": "pgd", "eps": 0.1, "steps": 20}
IMAGE = {"dataset": "fashion_mnist_mini", "index": 34}
ABOUT = {"model": MODEL, "images": [IMAGE], "attack": PGD}


def examples(*bodies: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [ABOUT | body for body in bodies]})


class AttackedImages(BaseModel):
    """What every question of the laboratory is about: images, and an attack on a model."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(examples=[MODEL])
    images: list[ImageRef] = Field(min_length=1, max_length=LONGEST_LIST, fail_fast=True, examples=[[IMAGE]])
    attack: AttackChoice = Field(examples=[PGD])


# ---- who carried the flip -------------------------------------------------------------------------------------------


class MarginRequest(AttackedImages):
    model_config = examples({"layer": "layer4.0"}, {"layer": "layer3.0", "steps": 128})

    layer: str = Field(examples=["layer4.0"])
    rival: int | None = Field(
        None, ge=0, description="the class whose score is compared with the label's; default: the strongest wrong one"
    )
    steps: int = Field(64, ge=1, le=512, description="points of the integral, where no linear head follows the layer")


class MarginResult(BaseModel):
    """M = f_rival − f_label, and how far each channel moved it."""

    label: int
    rival: int
    natural: Prediction
    adversarial: Prediction
    natural_margin: float
    adversarial_margin: float
    passed: float = Field(description="the part of the change that passes through the layer")
    bypassed: float = Field(description="the part that goes around it, by a residual path")
    exact: bool = Field(description="whether a linear head follows the layer; else the parts are an integral")
    completeness_error: float = Field(description="|sum of all parts − passed|")
    by_features: list[float] = Field(description="[C] what the change of the features did")
    by_importance: list[float] | None = Field(None, description="[C] what the change of m did; null at a plain layer")
    by_maps_above: dict[str, float] = Field(description="what the importance map of each modified layer above did")
    relevance: list[float] = Field(description="[C] true relevance of the natural image for its label")


class MarginResponse(BaseModel):
    model: str
    layer: str
    attack: dict[str, Any]
    results: list[MarginResult]


# ---- everything about one image, as a page --------------------------------------------------------------------------


class ReportRequest(AttackedImages):
    model_config = examples({"layer": "layer4.0"})

    images: list[ImageRef] = Field(min_length=1, max_length=1, examples=[[IMAGE]])
    layer: str = Field(examples=["layer4.0"])


# ---- the circuit of a failure ---------------------------------------------------------------------------------------

Direction = Literal["restore", "break"]


class CircuitRequest(AttackedImages):
    model_config = examples({"layers": ["layer4.0"]}, {"layers": ["layer3.0", "layer4.0"], "direction": "break"})

    layers: list[str] = Field(
        min_length=1, max_length=256, fail_fast=True, description="one or several", examples=[["layer4.0"]]
    )
    direction: Direction = Field(
        "restore",
        description="restore: natural activations into the attacked pass; break: attacked ones into the natural pass",
    )
    most: int | None = Field(None, ge=1, description="how many channels may be patched; default: all")
    draws: int = Field(20, ge=1, le=200, description="random sets of the same size, the control")


class CircuitChannel(BaseModel):
    layer: str
    channel: int
    margin: float = Field(description="max over wrong classes of f_i − f_label, once this one is patched too")
    relevance: float = Field(description="true relevance of the natural image for its label")


class PatchCurves(BaseModel):
    """The margin max_{i≠y} f_i − f_y against the number of channels patched, in several orders."""

    counts: list[int] = Field(description="[P] how many channels are patched")
    circuit: list[float] = Field(description="[P] the circuit first, then the others by a first-order estimate")
    relevance: list[float] = Field(description="[P] by |relevance| of the natural image, the largest first")
    random: list[float] = Field(description="[P] mean of random orders")
    random_low: list[float] = Field(description="[P] the lowest of them")
    random_high: list[float] = Field(description="[P] the highest of them")


class CircuitResult(BaseModel):
    label: int
    natural: Prediction
    adversarial: Prediction
    reached: bool = Field(description="restore: the label is back; break: it has fallen")
    channels: list[CircuitChannel] = Field(description="in the order they are patched; none of them can be spared")
    patched: Prediction = Field(description="with the circuit patched")
    channels_in_all: int
    random_share: float = Field(description="share of random sets of the same size that do the same")
    curves: PatchCurves


class CircuitResponse(BaseModel):
    model: str
    layers: list[str]
    direction: Direction
    attack: dict[str, Any]
    results: list[CircuitResult]
    seconds: float = Field(description="compute time, without waiting in the queue")


# ---- what if --------------------------------------------------------------------------------------------------------


class Scaling(BaseModel):
    """Channels of a layer times a factor: 0 suppresses, 1 changes nothing, more than 1 promotes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    layer: str
    channels: Literal["NR", "PR"] | list[Channel] = Field(
        description="channel numbers; NR or PR by the natural image's true relevance for its label"
    )
    factor: float = Field(ge=-1e3, le=1e3)


class Reselection(BaseModel):
    """Another importance map at a layer: at a modified one, or at a plain one that a linear head follows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    layer: str
    imgf: IMGFChoice
    k: int = Field(2, ge=1, description="how many classes the relevance is assessed for")


class WhatIfRequest(AttackedImages):
    model_config = examples(
        {"scalings": [{"layer": "layer3.0", "channels": "NR", "factor": 0.0}], "again": True, "controls": 10},
        {
            "model": "fmnist-resnet10-w16-cifs-softmax",
            "reselections": [{"layer": "layer4.0", "imgf": {"name": "sigmoid", "alpha": 10.0}}],
        },
    )

    scalings: list[Scaling] = Field([], max_length=64)
    reselections: list[Reselection] = Field([], max_length=16)
    again: bool = Field(
        False, description="also attack the edited network, with its importance maps detached, attached"
    )
    controls: int = Field(0, ge=0, le=50, description="edits of as many random channels, for comparison")


class BeforeAfter(BaseModel):
    before: Prediction
    after: Prediction = Field(description="by the edited network")


class AttackedAgain(BaseModel):
    through_mask: bool
    prediction: Prediction
    success: bool


class WhatIfControl(BaseModel):
    """Of edited networks whose multipliers stand on randomly chosen channels of the same layers."""

    draws: int
    natural_right: int = Field(description="draws after which the natural image is predicted as its label")
    adversarial_right: int


class WhatIfResult(BaseModel):
    label: int
    natural: BeforeAfter
    adversarial: BeforeAfter = Field(description="of the image that the attack made on the network as it was")
    again: list[AttackedAgain] = Field(description="of the image that the attack makes on the edited network")
    control: WhatIfControl | None = None
    edited_channels: dict[str, int] = Field(description="how many channels have another multiplier than 1, by layer")


class WhatIfResponse(BaseModel):
    model: str
    attack: dict[str, Any]
    results: list[WhatIfResult]
    seconds: float


# ---- the attack as a film -------------------------------------------------------------------------------------------


class FilmRequest(AttackedImages):
    model_config = examples({"layer": "layer4.0"}, {"layer": "layer3.0", "channels": 3})

    layer: str = Field(examples=["layer4.0"])
    channels: int = Field(6, ge=1, le=64, description="how many of the layer's channels, those that move most")


class Frame(BaseModel):
    """One iterate of the attack."""

    step: int = Field(description="0 is the starting point")
    loss: float
    margin: float = Field(description="max over wrong classes of f_i − f_label: above 0 the label has fallen")
    prediction: Prediction
    png: str = Field(description="base64 PNG of the iterate")
    perturbation: str = Field(description="base64 PNG of 0.5 + magnification · (x_t − x)")


class MovedChannel(BaseModel):
    channel: int
    relevance: float = Field(description="true relevance of the natural image for its label")
    activation: list[float] = Field(description="[T] by iterate")
    importance: list[float] | None = Field(None, description="[T]; null at a plain layer")


class FilmResult(BaseModel):
    label: int
    natural: Prediction
    falls_at: int | None = Field(description="the first step whose prediction is not the label; null: it never falls")
    magnification: float
    frames: list[Frame]
    moved: list[MovedChannel] = Field(description="the layer's channels that the attack moves most, those first")
    divergence: dict[str, list[float]] = Field(
        description="‖z_t − z‖ / ‖z‖ from the natural image's features, by layer in forward order, [T] by iterate"
    )


class FilmResponse(BaseModel):
    model: str
    layer: str
    attack: dict[str, Any]
    results: list[FilmResult]
    seconds: float


# ---- saliency -------------------------------------------------------------------------------------------------------


class SaliencyRequest(AttackedImages):
    model_config = examples({"layer": "layer3.0"}, {"layer": "layer4.0", "steps": 100})

    layer: str = Field(description="of Grad-CAM", examples=["layer3.0"])
    steps: int = Field(50, ge=1, le=256, description="points of Integrated Gradients' way from a black image")


class SaliencyMaps(BaseModel):
    """Each for the class the input is predicted as."""

    prediction: Prediction
    png: str = Field(description="base64 PNG of the input")
    grad_cam: list[list[float]] = Field(description="(H, W) of the layer's size, not negative")
    integrated_gradients: list[list[float]] = Field(
        description="(H, W) of the input's size, summed over its channels; in all f_class(x) − f_class(black)"
    )


class SaliencyResult(BaseModel):
    label: int
    natural: SaliencyMaps
    adversarial: SaliencyMaps


class SaliencyResponse(BaseModel):
    model: str
    layer: str
    attack: dict[str, Any]
    results: list[SaliencyResult]


# ---- transfer -------------------------------------------------------------------------------------------------------

TWO_MODELS: dict[str, Any] = {"models": [MODEL, "fmnist-resnet10-w16-vanilla"], "images": [IMAGE], "attack": PGD}


class TransferRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [TWO_MODELS]})

    models: list[str] = Field(min_length=2, max_length=4, examples=[[MODEL, "fmnist-resnet10-w16-vanilla"]])
    images: list[ImageRef] = Field(min_length=1, max_length=LONGEST_LIST, fail_fast=True, examples=[[IMAGE]])
    attack: AttackChoice = Field(examples=[PGD])


class TransferEntry(BaseModel):
    """The images made on one model, shown to another."""

    source: str = Field(description="the model that was attacked")
    shown: str = Field(description="the model that predicts")
    right_before: int = Field(description="natural images that `shown` gets right")
    fooled: int = Field(description="of these, how many it gets wrong once `source` was attacked")
    predictions: list[Prediction] = Field(description="of each image")


class TransferResponse(BaseModel):
    models: list[str]
    attack: dict[str, Any]
    labels: list[int]
    natural: dict[str, list[Prediction]] = Field(description="of each natural image, by model")
    entries: list[TransferEntry] = Field(description="source by source")


# ---- a page for every channel ---------------------------------------------------------------------------------------


class SeenField(BaseModel):
    """What of an image the channel's strongest position depends on: a box of pixels, bottom and right excluded."""

    top: int
    left: int
    bottom: int
    right: int


class ChannelExemplar(BaseModel):
    index: int
    label: int
    class_name: str
    value: float = Field(description="what it is ranked by")
    png: str = Field(description="base64 PNG")
    seen: SeenField


class NearChannel(BaseModel):
    channel: int
    correlation: float = Field(description="Pearson's, of the two activations over all images")


class ChannelProfile(BaseModel):
    model: str
    layer: str
    channel: int
    channels: int = Field(description="of the layer")
    dataset: str
    split: str
    n: int = Field(description="images that were looked through")
    by_activation: list[ChannelExemplar] = Field(description="the images that activate it most")
    by_relevance: list[ChannelExemplar] = Field(description="those with the largest g · a for their label")
    attack: dict[str, Any] | None = Field(None, description="of the attacked images, resolved; null where none were")
    attacked_by_activation: list[ChannelExemplar] = Field(
        [],
        description="the attacked images that activate it most: their natural images' numbers; made anew here, and "
        "the values are of what is shown",
    )
    attacked_by_relevance: list[ChannelExemplar] = Field(
        [], description="those with the largest g · a for their label, of the attacked images"
    )
    classes: list[str]
    activation: list[float | None] = Field(description="[K] mean over the images of each class; null without any")
    relevance: list[float | None] = Field(description="[K] mean true relevance for the class: its weight in the class")
    nearest: list[NearChannel]


class NoteText(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"text": "Fires on handles of bags."}]}
    )

    text: str = Field(min_length=1, max_length=4000, description="plain text")


class ChannelNote(BaseModel):
    """What somebody wrote about a channel."""

    layer: str
    channel: int
    text: str
    written: str = Field(description="when, ISO 8601 in UTC")


class VisualiseRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"model": MODEL, "layer": "layer3.0", "channel": 10, "steps": 16}]},
    )

    model: str = Field(examples=[MODEL])
    layer: str = Field(examples=["layer3.0"])
    channel: Channel = Field(examples=[10])
    steps: int = Field(96, ge=1, le=512, description="of Adam")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the noise it starts from, and of the control's direction")
    robust: bool = Field(True, description="whether each step sees the image shifted, scaled and turned a little")


class VisualiseResponse(BaseModel):
    """An image optimised for a channel. Activations are those of that channel, on the images as they stand."""

    model: str
    layer: str
    channel: int
    steps: int
    seed: int
    robust: bool
    png: str = Field(description="base64 PNG")
    start: float = Field(description="activation on the noise it began with")
    reached: float = Field(description="activation on the image")
    climb: list[float] = Field(description="activation after each step")
    control_png: str = Field(description="optimised as long for a random direction of the layer without this channel")
    control: float = Field(description="activation on the control's image")
    exemplar: float | None = Field(description="the largest activation on a test image; null where none was looked for")
    seconds: float


class ResponseRequest(AttackedImages):
    model_config = examples(
        {"layer": "layer4.0", "channels": [10, 3]}, {"layer": "layer3.0", "channels": [0], "points": 3}
    )

    layer: str = Field(examples=["layer4.0"])
    channels: list[Channel] = Field(min_length=1, max_length=64, examples=[[83]])
    points: int = Field(9, ge=2, le=33, description="budgets from 0 to 2ε of the attack")


class ChannelResponse(BaseModel):
    channel: int
    activation: list[float] = Field(description="[points]")
    relevance: list[float] = Field(description="[points] true g for the label")


class ResponseResult(BaseModel):
    label: int
    predictions: list[int] = Field(description="[points]")
    channels: list[ChannelResponse]


class ResponseResponse(BaseModel):
    model: str
    layer: str
    attack: dict[str, Any]
    eps: list[float] = Field(description="[points]")
    results: list[ResponseResult]


# ---- relevance held to account --------------------------------------------------------------------------------------


IMAGE_ALONE: dict[str, Any] = {"model": MODEL, "layer": "layer3.0", "images": [IMAGE]}


class FaithfulnessRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [IMAGE_ALONE]})

    model: str = Field(examples=[MODEL])
    layer: str = Field(examples=["layer3.0"])
    images: list[ImageRef] = Field(min_length=1, max_length=LONGEST_LIST, fail_fast=True, examples=[[IMAGE]])
    attack: AttackChoice | None = Field(
        None, description="given: the attacked images are looked at, not the natural ones"
    )
    notions: list[str] | None = Field(None, max_length=16, description="absent: every notion the layer has")


class Interval(BaseModel):
    """A mean over images with its 95 % bootstrap interval; null where no image has one."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


class NotionFigures(BaseModel):
    notion: str = Field(description="random: the control")
    title: str
    correlation: Interval = Field(description="Spearman's rank correlation with ablation")
    deletion: Interval = Field(description="area under the class's probability while channels go: small is faithful")
    insertion: Interval = Field(description="area while only they are in: large is faithful")
    deletion_curve: list[float]
    insertion_curve: list[float]


class FaithfulnessResponse(BaseModel):
    model: str
    layer: str
    attack: dict[str, Any] | None
    n: int
    shares: list[float] = Field(description="of the channels, where the curves are taken")
    notions: list[NotionFigures]
    correlations: list[list[float | None]] = Field(description="mean rank correlation of each with each, but random")
    seconds: float
