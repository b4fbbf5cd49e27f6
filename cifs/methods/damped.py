"""Damping of the channels an attack moves: cifs.selection.damped as a method."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from cifs.methods.cifs import imgf_of
from cifs.methods.method import METHODS, Method
from cifs.registry import settings
from cifs.selection import Damped, LinearProbe, SelectionLayer, Trace


@METHODS.register("damped")
@settings
class DampedMethod(Method):
    """Adversarial training with the channels damped that attacks move most, whatever the image."""

    title: ClassVar[str] = "Damped channels"
    sentence: ClassVar[str] = "adversarially trained with the channels damped that attacks move most"
    selects: ClassVar[bool] = True

    imgf: dict[str, Any] = Field(default={"name": "softmax", "per_channel": True}, description="as CIFS's")

    @property
    def pairs(self) -> bool:
        return True

    def layer(self, channels: int, num_classes: int, site: Mapping[str, Any]) -> Damped:
        return Damped(LinearProbe(channels, num_classes), imgf_of(self.imgf))

    def compare(self, adversarial: Trace, natural: Trace, layers: Mapping[str, SelectionLayer]) -> None:
        """Nothing to minimise: the layers learn what moved."""
        for name, layer in layers.items():
            assert isinstance(layer, Damped)
            layer.learn(natural.layers[name].features, adversarial.layers[name].features)
