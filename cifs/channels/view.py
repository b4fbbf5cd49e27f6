"""One batch seen at one layer. Natural and adversarial inputs take the same road; a comparison is two views."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.channels.activation import activation
from cifs.channels.capture import capture
from cifs.channels.relevance import Relevance
from cifs.errors import InvalidParameter
from cifs.models import trace, unwrap
from cifs.modes import eval_mode, frozen
from cifs.selection import IMGF, Selection, attached_importance
from cifs.selection.layer import shapes


class View(NamedTuple):
    logits: Tensor  # (N, K)
    features: Tensor  # z (N, C, H, W)
    activation: Tensor  # a (N, C)
    classes: Tensor  # the class relevance speaks of (N,)
    relevance: Tensor  # g (N, C)
    assessed: Tensor | None  # at modified layers: the relevance g^l that CIFS or CAS itself assessed (N, C)
    importance: Tensor | None  # m (N, C)
    selected: Tensor | None  # mean over positions of m ⊙ z (N, C)

    def __repr__(self) -> str:
        return shapes(self)


def view(
    model: nn.Module,
    layer: str,
    x: Tensor,
    *,
    relevance: Relevance,
    classes: Tensor | None = None,
    imgf: IMGF | None = None,
) -> View:
    """x (N, C₀, H₀, W₀) seen at a layer.

    classes (N,) is what relevance speaks of, by default each input's own prediction. The importance is the model's own
    where the layer is modified; with an `imgf` it is what that IMGF makes of the relevance, on any layer.
    """
    model = unwrap(model)
    with torch.no_grad(), eval_mode(model), capture(model, layer) as captured:
        logits, layers = trace(model, x)
    classes = _checked(classes, logits)
    return _view(logits, captured.features, classes, relevance(model, layer, x, classes), layers.get(layer), imgf)


def views(
    model: nn.Module,
    layers: Sequence[str],
    x: Tensor,
    *,
    classes: Tensor | None = None,
    imgf: IMGF | None = None,
) -> dict[str, View]:
    """x (N, C₀, H₀, W₀) seen at every one of the layers, with true relevance, by one pass forward and one back.

    What `view` says of each layer, for the price of one. Raises as it does.
    """
    model, graph = unwrap(model), torch.enable_grad()
    with graph, eval_mode(model), frozen(model), attached_importance(model), ExitStack() as stack:
        captured = {layer: stack.enter_context(capture(model, layer)) for layer in layers}
        logits, selections = trace(model, x.detach().requires_grad_())
        features = [captured[layer].features for layer in layers]
        classes = _checked(classes, logits)
        gradients = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), features)
    relevances = (gradient.sum(dim=(2, 3)) for gradient in gradients)
    logits, selections = logits.detach(), {layer: _detached(of_layer) for layer, of_layer in selections.items()}
    with torch.no_grad():
        return {
            layer: _view(logits, z.detach(), classes, g, selections.get(layer), imgf)
            for layer, z, g in zip(layers, features, relevances, strict=True)
        }


def _checked(classes: Tensor | None, logits: Tensor) -> Tensor:
    """The class relevance speaks of, (N,): the one asked for, or each input's own prediction."""
    if classes is None:
        return logits.argmax(dim=1)
    if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < logits.shape[1]:
        raise InvalidParameter(f"class {classes.tolist()}: the model's classes are 0 to {logits.shape[1] - 1}")
    return classes


def _view(
    logits: Tensor, features: Tensor, classes: Tensor, g: Tensor, own: Selection | None, imgf: IMGF | None
) -> View:
    a = activation(features)
    importance = imgf(g) if imgf is not None else None if own is None else own.importance
    if importance is None:
        selected = None
    elif imgf is None and own is not None and own.mask is not None:
        selected = activation(own.selected)  # of a mask by position, whose mean says less
    else:
        selected = importance * a
    return View(logits, features, a, classes, g, None if own is None else own.relevance, importance, selected)


def _detached(selection: Selection) -> Selection:
    return Selection(*(value.detach() if isinstance(value, Tensor) else None for value in selection))  # type: ignore[arg-type]
