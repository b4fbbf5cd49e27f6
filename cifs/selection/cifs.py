"""CIFS: probe → relevance → importance → selected features. arXiv 2102.05311, section 3."""

import torch
from torch import Tensor

from cifs.selection.imgf import IMGF
from cifs.selection.layer import Selection, SelectionLayer
from cifs.selection.probe import Probe


def top_k(raw_prediction: Tensor, k: int, labels: Tensor | None = None) -> Tensor:
    """The k classes assessed, (N, k): of the largest raw logits; with labels, the label and the largest others."""
    if labels is not None:
        raw_prediction = raw_prediction.scatter(1, labels[:, None], torch.inf)
    return raw_prediction.topk(k, dim=1).indices


class CIFS(SelectionLayer):
    """Channel-wise importance-based feature selection at one layer.

    label_in_training: whether the label is the first of the k classes while training, as the authors do. The map then
    tells the layers above the answer, which short schedules suffer from.
    """

    def __init__(self, probe: Probe, imgf: IMGF, *, k: int = 2, label_in_training: bool = True) -> None:
        super().__init__()
        self.probe = probe
        self.imgf = imgf
        self.k = k
        self.label_in_training = label_in_training

    @property
    def carries_gradient(self) -> bool:
        return self.probe.relevance_depends_on_features

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Selection:
        p = self.probe(z)  # (N, K)
        known = labels if self.training and self.label_in_training else None
        classes = top_k(p.detach(), self.k, known)  # (N, k)
        g = self.probe.relevance(z if self.attached else z.detach(), classes)  # (N, C)
        # In float32: under autocast 8 bits of mantissa would make steps in an exponential.
        m = self.imgf(g.float())  # (N, C)
        return Selection(z, p, g, m, m.to(z.dtype)[:, :, None, None] * z)
