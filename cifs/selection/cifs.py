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
    every_class: not the paper's. Relevance of every class, weighted by the probe's probabilities: g = ∇_δ logsumexp
    A(z + δ1ᵀ) at δ = 0, which depends on the features smoothly where that of the k largest jumps; k and the label count
    for nothing then.
    """

    def __init__(
        self, probe: Probe, imgf: IMGF, *, k: int = 2, label_in_training: bool = True, every_class: bool = False
    ) -> None:
        super().__init__()
        self.probe = probe
        self.imgf = imgf
        self.k = k
        self.label_in_training = label_in_training
        self.every_class = every_class

    @property
    def carries_gradient(self) -> bool:
        return self.every_class or self.probe.relevance_depends_on_features

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Selection:
        p = self.probe(z)  # (N, K)
        g = self._relevance(z if self.attached else z.detach(), p if self.attached else p.detach(), labels)  # (N, C)
        # In float32: under autocast 8 bits of mantissa would make steps in an exponential.
        m = self.imgf(g.float())  # (N, C)
        return Selection(z, p, g, m, m.to(z.dtype)[:, :, None, None] * z)

    def _relevance(self, z: Tensor, p: Tensor, labels: Tensor | None) -> Tensor:
        if self.every_class:
            return self.probe.relevance_of(z, p.softmax(dim=1) @ self.probe.output.weight)
        known = labels if self.training and self.label_in_training else None
        return self.probe.relevance(z, top_k(p.detach(), self.k, known))
