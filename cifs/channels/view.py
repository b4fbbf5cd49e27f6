"""One batch seen at one layer. Natural and adversarial inputs take the same road; a comparison is two views."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.channels.activation import activation
from cifs.channels.capture import capture
from cifs.channels.relevance import Relevance
from cifs.errors import InvalidParameter
from cifs.models import trace
from cifs.modes import eval_mode
from cifs.selection import IMGF


class View(NamedTuple):
    logits: Tensor  # (N, K)
    features: Tensor  # z (N, C, H, W)
    activation: Tensor  # a (N, C)
    classes: Tensor  # the class relevance speaks of (N,)
    relevance: Tensor  # g (N, C)
    assessed: Tensor | None  # at modified layers: the relevance g^l that CIFS or CAS itself assessed (N, C)
    importance: Tensor | None  # m (N, C)
    selected: Tensor | None  # mean over positions of m ⊙ z (N, C)


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
    with torch.no_grad(), eval_mode(model), capture(model, layer) as captured:
        logits, layers = trace(model, x)
    if classes is None:
        classes = logits.argmax(dim=1)
    elif len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < logits.shape[1]:
        raise InvalidParameter(f"class {classes.tolist()}: the model's classes are 0 to {logits.shape[1] - 1}")
    g = relevance(model, layer, x, classes)
    own = layers.get(layer)
    assessed = None if own is None else own.relevance
    importance = imgf(g) if imgf is not None else None if own is None else own.importance
    a = activation(captured.features)
    selected = None if importance is None else importance * a
    return View(logits, captured.features, a, classes, g, assessed, importance, selected)
