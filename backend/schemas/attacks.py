"""`POST /attack`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from backend.schemas.catalogue import AttackChoice
from backend.schemas.images import LONGEST_LIST, EncodedImage, ImageRef, Prediction


class AttackRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "model": "fmnist-resnet10-w16-natural",
                    "images": [{"dataset": "fashion_mnist_mini", "index": 0}],
                    "attack": {"name": "pgd", "eps": 0.1, "steps": 20},
                },
                {
                    "model": "fmnist-resnet10-w16-cifs-softmax",
                    "images": [{"dataset": "fashion_mnist_mini", "index": i} for i in range(2)],
                    "attack": {"name": "cw", "eps": "8/255", "random_start": True, "seed": 1},
                    "trajectory": True,
                },
            ]
        },
    )

    model: str
    images: list[ImageRef] = Field(min_length=1, max_length=LONGEST_LIST, fail_fast=True)
    attack: AttackChoice
    trajectory: bool = Field(False, description="also return loss and prediction at every step")


class Perturbation(BaseModel):
    png: str = Field(description="base64 PNG of 0.5 + magnification · (x' − x)")
    npy: str = Field(description="base64 .npy, float32, (C, H, W): x' − x exactly")
    magnification: float


class TrajectoryStep(BaseModel):
    step: int = Field(description="0 is the starting point")
    loss: float
    prediction: int
    probabilities: list[float]


class AttackResult(BaseModel):
    label: int = Field(description="the true class, or the natural prediction for an upload without a label")
    natural: Prediction
    adversarial: Prediction
    success: bool = Field(
        description="untargeted: the adversarial prediction is not the label; targeted: it is the target"
    )
    linf: float = Field(description="max |x' − x|, whatever the attack's norm")
    size: float = Field(description="‖x' − x‖ under `norm`, at most eps")
    norm: str = Field(description="the attack's norm: linf or l2")
    natural_image: EncodedImage
    image: EncodedImage = Field(description="the adversarial image x'")
    png_success: bool = Field(description="whether the 8-bit PNG of x' still succeeds")
    perturbation: Perturbation
    trajectory: list[TrajectoryStep] | None = None


class AttackResponse(BaseModel):
    model: str
    attack: dict[str, Any] = Field(description="the resolved parameters: every default filled in")
    results: list[AttackResult]
    seconds: float = Field(description="compute time, without waiting in the queue")
