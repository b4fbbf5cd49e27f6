"""`POST /survey`: many images at once. N is the number of images, K of classes, C of the layer's channels."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backend.schemas.catalogue import AttackChoice
from backend.schemas.images import LONGEST_LIST, ImageRef, Split

ABOUT: dict[str, Any] = {
    "model": "fmnist-resnet10-w16-natural",
    "layer": "layer4.0",
    "attack": {"name": "pgd", "eps": 0.1, "steps": 20},
}


class FirstImages(BaseModel):
    """The first n images of a data set's split."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dataset: str = Field(examples=["fashion_mnist_mini"])
    split: Split = "test"
    n: int = Field(ge=1, le=2**31, examples=[32])


class SurveyRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "oneOf": [
                {"required": ["first"], "properties": {"first": {"type": "object"}, "images": {"type": "null"}}},
                {"required": ["images"], "properties": {"first": {"type": "null"}, "images": {"type": "array"}}},
            ],
            "examples": [
                ABOUT | {"first": {"dataset": "fashion_mnist_mini", "n": 8}},
                ABOUT | {"images": [{"dataset": "fashion_mnist_mini", "index": i} for i in (0, 34)]},
            ],
        },
    )

    model: str = Field(examples=["fmnist-resnet10-w16-natural"])
    layer: str = Field(examples=["layer4.0"])
    attack: AttackChoice = Field(examples=[{"name": "pgd", "eps": 0.1, "steps": 20}])
    first: FirstImages | None = Field(None, description="either these")
    images: list[ImageRef] | None = Field(
        None, min_length=1, max_length=LONGEST_LIST, fail_fast=True, description="or these, uploads among them"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.first is None) == (self.images is None):
            raise ValueError("give either `first` or `images`")
        return self


class OfInputs(BaseModel):
    """Of the natural images, of the attacked ones, and of the control: as large a change, its signs by chance."""

    natural: list[Any]
    adversarial: list[Any]
    noise: list[Any]


class ChangeByClass(BaseModel):
    """Mean activation of every channel by class, and what orders them: [K][C], null for a class without images."""

    counts: list[int] = Field(description="[K] images of each class")
    relevance: list[list[float] | None] = Field(description="true relevance of the natural images for their label")
    natural: list[list[float] | None]
    adversarial: list[list[float] | None]
    noise: list[list[float] | None]


class SurveyResponse(BaseModel):
    model: str
    layer: str
    attack: dict[str, Any]
    n: int
    kept: bool = Field(description="whether a job made it before; else it was computed now")
    index: list[int] = Field(description="[N] in the split; of other images their place in the request")
    label: list[int] = Field(description="[N] the natural prediction stands in for uploads without one")
    prediction: OfInputs = Field(description="[N] classes")
    margin: OfInputs = Field(description="[N] max over wrong classes of f_i − f_label: above 0 the label is lost")
    confusion: OfInputs = Field(description="[K][K] images by label (row) and prediction (column)")
    channels: ChangeByClass
    seconds: float
