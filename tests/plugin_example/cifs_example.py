"""One of everything a plug-in can register. Importing this module is what registers it."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from cifs.attacks import ATTACKS, PGD
from cifs.channels import RELEVANCES
from cifs.channels.relevance import True_
from cifs.data import DATASETS, Dataset, Images, Split, from_arrays
from cifs.evaluation import CHECKS
from cifs.evaluation.checks import Finding
from cifs.losses import LOSSES
from cifs.methods import METHODS, CASMethod
from cifs.models import CNN, MODELS
from cifs.registry import settings
from cifs.selection import IMGFS, pool


@IMGFS.register("example-relu")
@settings
class Relu:
    """relu: m_i = max(α g_i, 0)."""

    alpha: float = Field(default=1.0, gt=0, le=100, description="α: how steep")

    def __call__(self, g: Tensor) -> Tensor:
        return (self.alpha * g).relu()


@ATTACKS.register("example-gentle")
@settings
class Gentle(PGD):
    """Gentle: PGD that takes three steps."""

    steps: int = Field(default=3, ge=1, le=10, description="gradient steps")


@RELEVANCES.register("example-absolute")
@settings
class Absolute:
    """Absolute relevance: the size of the true one."""

    def __call__(self, model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
        return True_()(model, layer, x, classes).abs()


@LOSSES.register("example-score")
def negative_score(logits: Tensor, labels: Tensor) -> Tensor:
    """The label's logit, to be lowered."""
    return -logits.gather(1, labels[:, None])[:, 0]


@CHECKS.register("example-count")
@settings
class Count:
    """Count: there are images."""

    def run(self, bench: Any) -> Finding:
        raise NotImplementedError("an example that is listed, not run")


@METHODS.register("example-method")
@settings
class ExampleMethod(CASMethod):
    """Example: what CAS does, under a name of its own."""

    title: ClassVar[str] = "Example"
    sentence: ClassVar[str] = "adversarially trained by an example"


@MODELS.register("example-cnn")
class OneLayer(CNN):
    """A convolution, pooled."""

    def build(self, arch: str, width: int, in_channels: int, num_classes: int) -> None:
        self.stem = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.fc = nn.Linear(width, num_classes)

    @property
    def layers(self) -> tuple[str, ...]:
        return ("stem",)

    def default_sites(self) -> list[dict[str, Any]]:
        return [{"layer": "stem", "probe": {"name": "linear"}}]

    def run(self, x: Tensor, select: Any) -> Tensor:
        return self.fc(pool(select("stem", self.stem(x))))


def _stripes(split: Split) -> Images:
    """Bright to the left, or to the right."""
    labels = np.arange(24) % 2
    images = np.zeros((24, 8, 8), np.uint8)
    images[labels == 0, :, :4] = 255
    images[labels == 1, :, 4:] = 255
    return from_arrays(images, labels)


DATASETS.register("example-stripes")(
    Dataset(
        name="example-stripes",
        title="Stripes",
        classes=("left", "right"),
        image_shape=(1, 8, 8),
        eps=0.1,
        mean=(0.5,),
        std=(0.5,),
        find=_stripes,
    )
)
