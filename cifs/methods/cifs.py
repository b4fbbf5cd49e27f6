"""CIFS, arXiv 2102.05311."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from cifs.errors import InvalidParameter
from cifs.methods.method import METHODS, Method
from cifs.registry import configure, settings
from cifs.selection import CIFS, IMGFS, PROBES

Choice = Mapping[str, Any]  # {"name": …, parameters}


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

    def layer(self, channels: int, num_classes: int, site: Mapping[str, Any]) -> CIFS:
        """Of the site it reads "probe", by default linear."""
        if not 1 <= self.k <= num_classes:
            raise InvalidParameter(f"k = {self.k}: the number of classes assessed must be from 1 to {num_classes}")
        probe = configure(PROBES, *_named("probe", site.get("probe", {"name": "linear"})))
        imgf = configure(IMGFS, *_named("imgf", self.imgf))
        built = probe.build(channels, num_classes)
        return CIFS(built, imgf, k=self.k, label_in_training=self.label_in_training)


def _named(kind: str, choice: Choice) -> tuple[str, dict[str, Any]]:
    parameters = dict(choice)
    if "name" not in parameters:
        raise InvalidParameter(f"{kind} = {parameters}: its name is missing, for example {{'name': 'linear'}}")
    return parameters.pop("name"), parameters
