"""Images in a request, images and predictions in a response."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

LONGEST_LIST = 16_384  # entries of a list in a request; what a request may ask of a server is bounded below that
Split = Literal["train", "test"]


class DatasetImage(BaseModel):
    """One image of a data set the backend knows, by its index in the split."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dataset: str = Field(examples=["fashion_mnist_mini"])
    index: int = Field(ge=0, examples=[0])
    split: Split = "test"


class UploadedImage(BaseModel):
    """A PNG or JPEG of any size, base64; resized to what the model takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    png: str = Field(min_length=1, description="base64 of a PNG or JPEG file")
    label: int | None = Field(None, ge=0, description="class index; the natural prediction stands in when absent")


class ExactImage(BaseModel):
    """An image as answers tell it beside the PNG: nothing is rounded, so an adversarial one stays adversarial."""

    model_config = ConfigDict(extra="forbid", strict=True)

    npy: str = Field(min_length=1, description="base64 of a .npy file, float32, the model's (C, H, W), in [0, 1]")
    label: int | None = Field(None, ge=0, description="class index; the natural prediction stands in when absent")


def _kind(value: Any) -> str:
    """Which is meant, so that an error speaks of that one alone."""
    if not isinstance(value, dict):
        return type(value).__name__
    return "ExactImage" if "npy" in value else "UploadedImage" if "png" in value else "DatasetImage"


ImageRef = Annotated[
    Annotated[DatasetImage, Tag("DatasetImage")]
    | Annotated[UploadedImage, Tag("UploadedImage")]
    | Annotated[ExactImage, Tag("ExactImage")],
    Field(description="an image of a data set, an upload, or an exact one", discriminator=Discriminator(_kind)),
]


class EncodedImage(BaseModel):
    """The same image twice: to look at, and exact."""

    png: str = Field(description="base64 PNG, 8 bits a channel: rounding can undo an attack")
    npy: str = Field(description="base64 .npy, float32, shape (C, H, W), values in [0, 1]: the exact image")


class Prediction(BaseModel):
    prediction: int = Field(description="class index of the largest logit")
    class_name: str
    probabilities: list[float] = Field(description="softmax of the logits, one a class")
