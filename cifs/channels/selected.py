"""What the next layer receives: selected features z̃ = m ⊙ z at a modified layer, the features z at a plain one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.channels.capture import capture, editing
from cifs.errors import InvalidParameter
from cifs.models import CNN, trace
from cifs.modes import eval_mode
from cifs.selection import Selection


class HandedOn(NamedTuple):
    """What a layer made of a batch and what it handed on."""

    logits: Tensor  # (N, K)
    features: Tensor  # z (N, C, H, W)
    importance: Tensor | None  # m (N, C); None at a plain layer, and where z̃ is something else than m ⊙ z
    selected: Tensor  # z̃ (N, C, H, W); z itself at a plain layer
    importances: dict[str, Tensor]  # m (N, C_l) of every layer of the network where z̃ = m ⊙ z


@torch.no_grad()
def handed_on(model: nn.Module, layer: str, x: Tensor) -> HandedOn:
    """Of images x (N, C₀, H₀, W₀), in eval mode. Raises UnknownName."""
    with eval_mode(model), capture(model, layer) as captured:
        logits, selections = trace(model, x)
    z = captured.features
    importances = {name: own.importance for name, own in selections.items() if _multiplies(own)}
    selected = selections[layer].selected if layer in selections else z
    return HandedOn(logits, z, importances.get(layer), selected, importances)


@torch.no_grad()
def _multiplies(selection: Selection) -> bool:
    """Whether what is selected is m ⊙ z: other methods may mask by position, or add something."""
    product = selection.importance[:, :, None, None] * selection.features
    return torch.allclose(product, selection.selected, rtol=1e-4, atol=1e-6)


@contextmanager
def editing_selected(model: nn.Module, layer: str, edit: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within the block the next layer receives edit(z̃) in the place of z̃ (N, C, H, W)."""
    if not isinstance(model, CNN) or layer not in model.modified:
        with editing(model, layer, edit):
            yield
        return
    with _editing_selection(model, layer, lambda selection: selection._replace(selected=edit(selection.selected))):
        yield


@contextmanager
def holding_importance(model: CNN, layer: str, m: Tensor) -> Iterator[None]:
    """Within the block the importance of a modified layer is m (N, C), whatever its features are.

    A pass raises InvalidParameter where what the layer selects is not m ⊙ z, as with a mask by position.
    """

    def hold(selection: Selection) -> Selection:
        if not _multiplies(selection):
            raise InvalidParameter(f"layer {layer!r} multiplies its channels by no importance that could be held")
        return selection._replace(importance=m, selected=m[:, :, None, None] * selection.features)

    with _editing_selection(model, layer, hold):
        yield


@contextmanager
def _editing_selection(model: CNN, layer: str, edit: Callable[[Selection], Selection]) -> Iterator[None]:
    handle = model.selector(layer).register_forward_hook(lambda module, args, selection: edit(selection))
    try:
        yield
    finally:
        handle.remove()
