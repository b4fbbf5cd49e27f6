"""CIFS, arXiv 2102.05311."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from cifs.errors import InvalidParameter
from cifs.methods.method import METHODS, Method
from cifs.registry import configure, settings
from cifs.selection import CIFS, IMGF, IMGFS, PROBES, SelectionLayer, Trace, pool

Choice = Mapping[str, Any]  # {"name": …, parameters}
TINY = 1e-6


@METHODS.register("cifs")
@settings
class CIFSMethod(Method):
    """Adversarial training with channel-wise importance-based feature selection."""

    title: ClassVar[str] = "CIFS"
    sentence: ClassVar[str] = (
        "adversarially trained with channel-wise importance-based feature selection (CIFS, arXiv 2102.05311)"
    )
    selects: ClassVar[bool] = True

    imgf: dict[str, Any] = Field(default={"name": "softmax"}, description="the IMGF {name, parameters}")
    k: int = Field(default=2, strict=True, description="how many classes the relevance is of")
    label_in_training: bool = Field(
        default=True, strict=True, description="whether the label is the first of them while training"
    )

    every_class: bool = Field(
        default=False,
        strict=True,
        description="not the paper's: relevance of every class, weighted by the probe's probabilities, instead of k",
    )
    attached: bool = Field(
        default=False, strict=True, description="not the paper's: train through the importance map, not around it"
    )
    consistency: float = Field(
        default=0.0,
        ge=0,
        le=1e4,
        description="not the paper's: λ of a loss that asks attacked images for natural channel activations",
    )

    @property
    def pairs(self) -> bool:
        return self.consistency > 0

    def layer(self, channels: int, num_classes: int, site: Mapping[str, Any]) -> CIFS:
        """Of the site it reads "probe", by default linear."""
        if not 1 <= self.k <= num_classes:
            raise InvalidParameter(f"k = {self.k}: the number of classes assessed must be from 1 to {num_classes}")
        probe = configure(PROBES, *_named("probe", site.get("probe", {"name": "linear"})))
        built = probe.build(channels, num_classes)
        layer = CIFS(
            built,
            imgf_of(self.imgf),
            k=self.k,
            label_in_training=self.label_in_training,
            every_class=self.every_class,
        )
        layer.attached = self.attached
        return layer

    def compare(self, adversarial: Trace, natural: Trace, layers: Mapping[str, SelectionLayer]) -> Tensor:
        """λ · mean over layers of ‖a(x') − a(x)‖² / ‖a(x)‖², of each image: (N,)."""
        shifts = [
            (pool(adversarial.layers[name].features.float()) - (a := pool(natural.layers[name].features.float())))
            .square()
            .sum(dim=1)
            / (a.detach().square().sum(dim=1) + TINY)
            for name in layers
        ]
        return self.consistency * torch.stack(shifts).mean(dim=0)


def imgf_of(choice: Choice) -> IMGF:
    """{"name": …, parameters} → the IMGF. Raises UnknownName or InvalidParameter."""
    return configure(IMGFS, *_named("imgf", choice))


def _named(kind: str, choice: Choice) -> tuple[str, dict[str, Any]]:
    parameters = dict(choice)
    if "name" not in parameters:
        raise InvalidParameter(f"{kind} = {parameters}: its name is missing, for example {{'name': 'linear'}}")
    return parameters.pop("name"), parameters
