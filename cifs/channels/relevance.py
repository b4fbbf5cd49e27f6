"""Relevance g: how the score of a class moves when every position of channel i is raised (arXiv 2102.05311, 3.2)."""

from typing import Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from cifs.channels.capture import capture
from cifs.channels.gradient import gradient_at
from cifs.errors import InvalidParameter
from cifs.models import CNN, unwrap
from cifs.modes import eval_mode
from cifs.registry import Registry, settings
from cifs.selection import CIFS, top_k


class Relevance(Protocol):
    def __call__(self, model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor: ...


RELEVANCES: Registry[type[Relevance]] = Registry("relevance")


@RELEVANCES.register("true")
@settings
class True_:
    """True relevance: g = (∇_z f^{[l+1:L]}(z)[c])·1, by autograd through the layers above.

    For any layer of any CNN. At the penultimate layer (pool, then linear) it is the weight row of the class.
    """

    def __call__(self, model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
        """x (N, C₀, H₀, W₀), classes (N,) → g (N, C)."""
        _, gradient = gradient_at(model, layer, x, classes)
        return gradient.sum(dim=(2, 3))


@RELEVANCES.register("assessed")
@settings
class Assessed:
    """Assessed relevance, as CIFS does at its modified layers: the probe stands in for the layers above.

    g = ∇_δ Σ_{i ∈ top-k} A(z + δ1ᵀ)[i]. The class asked for is the first of the k, the others are the probe's largest.
    """

    k: int = Field(default=2, ge=1, description="how many classes are summed")

    def __call__(self, model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
        """x (N, C₀, H₀, W₀), classes (N,) → g (N, C)."""
        model = unwrap(model)
        if not isinstance(model, CNN) or layer not in model.modified:
            probed = ", ".join(model.modified) if isinstance(model, CNN) else ""
            raise InvalidParameter(
                f"layer {layer!r} has no probe to assess relevance with; probes are at: {probed or 'no layer'}"
            )
        if self.k > model.num_classes:
            raise InvalidParameter(f"k = {self.k}: the model has {model.num_classes} classes")
        selector = model.selector(layer)
        if not isinstance(selector, CIFS):
            raise InvalidParameter(f"layer {layer!r} is modified by {model.method!r}, which assesses no relevance")
        probe = selector.probe
        with eval_mode(model), torch.no_grad(), capture(model, layer) as captured:
            model(x)
            z = captured.features
            return probe.relevance(z, top_k(probe(z), self.k, classes))
