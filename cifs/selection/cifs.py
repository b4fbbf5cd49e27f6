"""CIFS: probe → relevance → importance → selected features. arXiv 2102.05311, section 3."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.selection.imgf import IMGF
from cifs.selection.probe import Probe


class Selection(NamedTuple):
    """What happened at one modified layer l."""

    features: Tensor  # z^l  (N, C, H, W)
    raw_prediction: Tensor  # p^l  (N, K), logits of the probe
    relevance: Tensor  # g^l  (N, C)
    importance: Tensor  # m^l  (N, C)
    selected: Tensor  # z̃^l  (N, C, H, W)


def top_k(raw_prediction: Tensor, k: int, labels: Tensor | None = None) -> Tensor:
    """The k classes assessed, (N, k): of the largest raw logits; with labels, the label and the largest others."""
    if labels is not None:
        raw_prediction = raw_prediction.scatter(1, labels[:, None], torch.inf)
    return raw_prediction.topk(k, dim=1).indices


class CIFS(nn.Module):
    """Channel-wise importance-based feature selection at one layer.

    label_in_training: whether the label is the first of the k classes while training, as the authors do. The map then
    tells the layers above the answer, which short schedules suffer from.
    attached: whether the importance map carries gradient to the features below. The authors detach it; an adaptive
    attack attaches it (`attached_importance`).
    """

    def __init__(self, probe: Probe, imgf: IMGF, *, k: int = 2, label_in_training: bool = True) -> None:
        super().__init__()
        self.probe = probe
        self.imgf = imgf
        self.k = k
        self.label_in_training = label_in_training
        self.attached = False

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Selection:
        p = self.probe(z)  # (N, K)
        known = labels if self.training and self.label_in_training else None
        classes = top_k(p.detach(), self.k, known)  # (N, k)
        g = self.probe.relevance(z if self.attached else z.detach(), classes)  # (N, C)
        # In float32: under autocast 8 bits of mantissa would make steps in an exponential.
        m = self.imgf(g.float())  # (N, C)
        return Selection(z, p, g, m, m.to(z.dtype)[:, :, None, None] * z)


@contextmanager
def attached_importance(model: nn.Module, attached: bool = True) -> Iterator[None]:
    """Within the block, gradients flow through the importance maps of every CIFS in the model ("through the mask")."""
    modules = [module for module in model.modules() if isinstance(module, CIFS)]
    before = [module.attached for module in modules]
    try:
        for module in modules:
            module.attached = attached
        yield
    finally:
        for module, state in zip(modules, before, strict=True):
            module.attached = state
