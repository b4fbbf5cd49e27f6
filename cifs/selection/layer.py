"""What every method that selects features shares: a layer, what it did on a forward pass, and the trace of a model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn


def shapes(value: Any) -> str:
    """A NamedTuple of tensors in one line: its fields with their shapes."""
    tensors = {key: held for key, held in value._asdict().items() if isinstance(held, Tensor)}
    return f"{type(value).__name__}({', '.join(f'{key} {tuple(held.shape)}' for key, held in tensors.items())})"


class Selection(NamedTuple):
    """What happened at one modified layer l."""

    features: Tensor  # z^l  (N, C, H, W)
    raw_prediction: Tensor  # p^l  (N, K), logits of the probe
    relevance: Tensor  # g^l  (N, C)
    importance: Tensor  # m^l  (N, C); of a mask by position, its mean over them
    selected: Tensor  # z̃^l  (N, C, H, W)
    mask: Tensor | None = None  # (N, C, H, W) where a method's mask differs from position to position
    auxiliary: Mapping[str, Tensor] | None = None  # what a method's own loss needs beside the raw prediction

    def __repr__(self) -> str:
        return shapes(self)


class Trace(NamedTuple):
    logits: Tensor  # (N, K)
    layers: dict[str, Selection]  # by modified layer, in forward order

    @property
    def raw_predictions(self) -> list[Tensor]:
        """(N, K) of every probe, in forward order."""
        return [selection.raw_prediction for selection in self.layers.values()]


class SelectionLayer(nn.Module):
    """Base of what can sit at a layer: features z (N, C, H, W), labels (N,) in training → Selection.

    attached: whether the importance map carries gradient to the features below. The authors of CIFS detach it; an
    adaptive attack attaches it (`attached_importance`).
    """

    attached = False

    @property
    def carries_gradient(self) -> bool:
        """Whether attaching the map changes any gradient: whether it depends on the features smoothly."""
        raise NotImplementedError

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Selection:
        raise NotImplementedError


@contextmanager
def attached_importance(model: nn.Module, attached: bool = True) -> Iterator[None]:
    """Within the block, gradients flow through every importance map in the model ("through the mask")."""
    modules = [module for module in model.modules() if isinstance(module, SelectionLayer)]
    before = [module.attached for module in modules]
    try:
        for module in modules:
            module.attached = attached
        yield
    finally:
        for module, state in zip(modules, before, strict=True):
            module.attached = state


def mask_matters(model: nn.Module) -> bool:
    """Whether differentiating through the importance maps of a model changes the gradient.

    A linear probe's relevance does not depend on the features, so there it changes nothing.
    """
    return any(isinstance(module, SelectionLayer) and module.carries_gradient for module in model.modules())
