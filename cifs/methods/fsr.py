"""FSR: feature separation and recalibration (Kim, Cho, Jung & Yoon, CVPR 2023; arXiv 2303.13846).

A mask per channel and position, m = GumbelSigmoid_τ(s(z)), splits the features: f⁺ = m ⊙ z and f⁻ = (1 − m) ⊙ z. What
is taken out is recalibrated, f̃⁻ = f⁻ + (1 − m) ⊙ r(f⁻), and given back: the next layer receives f⁺ + f̃⁻. Separation
net s, recalibration net r and one auxiliary linear classifier on pooled features sit at the layer. Training minimises
CE(p, y) + λ_sep·(CE(p⁺, y) + CE(p⁻, y⁻)) + λ_rec·CE(p̃⁻, y), with y⁻ the largest wrong class of the output.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from cifs.losses import cross_entropy
from cifs.methods.method import METHODS, Method
from cifs.registry import settings
from cifs.selection import LinearProbe, Selection, SelectionLayer, Trace, pool


def conv_net(channels: int, hidden: int) -> nn.Sequential:
    """Three 3×3 convolutions, (N, C, H, W) → (N, C, H, W)."""
    widths = (channels, hidden, hidden)
    convs = [nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in zip(widths, (hidden, hidden, channels), strict=True)]
    norms = [nn.Sequential(nn.BatchNorm2d(hidden), nn.ReLU()) for _ in range(2)]
    return nn.Sequential(convs[0], norms[0], convs[1], norms[1], convs[2])


def gumbel_sigmoid(scores: Tensor, temperature: float, *, noisy: bool) -> Tensor:
    """σ((s + G₁ − G₂)/τ) with Gumbel noise, whose difference is logistic; without noise σ(s/τ)."""
    if noisy:
        u = torch.rand_like(scores, dtype=torch.float32).clamp(1e-6, 1 - 1e-6)
        scores = scores + u.logit()
    return (scores / temperature).sigmoid()


class FSR(SelectionLayer):
    """Feature separation and recalibration at one layer.

    attached: at τ = 0.1 the mask is almost 0 or 1, and gradients through it vanish, which hides the way from an attack.
    When attached, they are those of τ = 1, while the mask itself stays what it is.
    """

    carries_gradient = True

    def __init__(self, channels: int, num_classes: int, *, hidden: int, temperature: float) -> None:
        super().__init__()
        self.separate = conv_net(channels, hidden)
        self.recalibrate = conv_net(channels, hidden)
        self.probe = LinearProbe(channels, num_classes)
        self.temperature = temperature

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Selection:
        mask = self._mask(self.separate(z).float()).to(z.dtype)  # (N, C, H, W)
        robust, rest = mask * z, (1 - mask) * z  # f⁺, f⁻
        recalibrated = rest + (1 - mask) * self.recalibrate(rest)  # f̃⁻
        p = self.probe(robust)  # (N, K)
        g = self.probe.relevance(z, p.detach().argmax(dim=1, keepdim=True))  # (N, C)
        auxiliary = {"rest": self.probe(rest), "recalibrated": self.probe(recalibrated)}
        return Selection(z, p, g, pool(mask).float(), robust + recalibrated, mask, auxiliary)

    def _mask(self, scores: Tensor) -> Tensor:
        mask = gumbel_sigmoid(scores, self.temperature, noisy=self.training)
        if not self.attached:
            return mask
        smooth = scores.sigmoid()
        return smooth + (mask - smooth).detach()


@METHODS.register("fsr")
@settings
class FSRMethod(Method):
    """Adversarial training with feature separation and recalibration."""

    title: ClassVar[str] = "FSR"
    sentence: ClassVar[str] = (
        "adversarially trained with feature separation and recalibration (FSR, CVPR 2023, arXiv 2303.13846)"
    )
    selects: ClassVar[bool] = True

    hidden: int = Field(default=64, ge=1, le=8192, description="channels inside the two nets")
    temperature: float = Field(default=0.1, gt=0, le=1e4, description="τ of the mask")
    separation: float = Field(default=1.0, ge=0, description="λ_sep")
    recalibration: float = Field(default=1.0, ge=0, description="λ_rec")

    def layer(self, channels: int, num_classes: int, site: Mapping[str, Any]) -> FSR:
        return FSR(channels, num_classes, hidden=self.hidden, temperature=self.temperature)

    def loss(self, trace: Trace, labels: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
        """The authors' sum of losses, averaged over layers where there are several. It knows no β."""
        ce = partial(cross_entropy, label_smoothing=label_smoothing)
        wrong = trace.logits.detach().scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
        loss = ce(trace.logits.float(), labels)
        for selection in trace.layers.values():
            assert selection.auxiliary is not None
            rest, recalibrated = (selection.auxiliary[key].float() for key in ("rest", "recalibrated"))
            separated = ce(selection.raw_prediction.float(), labels) + ce(rest, wrong)
            added = self.separation * separated + self.recalibration * ce(recalibrated, labels)
            loss = loss + added / len(trace.layers)
        return loss
