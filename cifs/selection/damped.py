"""Damping of the channels an attack moves, by statistics: an image has no say in it, so a map has nothing to hide.

Not the paper's: what is left of feature selection when neither relevance nor the image at hand decides.
"""

import torch
from torch import Tensor

from cifs.selection.imgf import IMGF
from cifs.selection.layer import Selection, SelectionLayer
from cifs.selection.probe import LinearProbe, pool

REMEMBERED = 0.95  # of the running mean, from a step to the next
TINY = 1e-6


class Damped(SelectionLayer):
    """m = IMGF(−s) with s the movement of every channel, standardised over channels.

    A channel's movement is E|a(x') − a(x)| / E|a(x)|, a running mean over training (`learn`). Before it, m = 1.
    """

    carries_gradient = False
    movement: Tensor  # (C,)

    def __init__(self, probe: LinearProbe, imgf: IMGF) -> None:
        super().__init__()
        self.probe = probe
        self.imgf = imgf
        self.register_buffer("movement", torch.zeros(probe.output.in_features))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Selection:
        g = self.relevance().expand(len(z), -1)  # (N, C)
        m = self.imgf(g)
        return Selection(z, self.probe(z), g, m, m.to(z.dtype)[:, :, None, None] * z)

    def relevance(self) -> Tensor:
        """−s (C,): the less a channel moves, the more it is worth."""
        spread = self.movement.std()
        return (self.movement.mean() - self.movement) / (spread + TINY)

    @torch.no_grad()
    def learn(self, natural: Tensor, adversarial: Tensor) -> None:
        """From the features (N, C, H, W) of the same images, natural and attacked."""
        a, moved = pool(natural.float()), pool(adversarial.float())
        movement = (moved - a).abs().mean(dim=0) / (a.abs().mean(dim=0) + TINY)
        self.movement.lerp_(movement, 1 - REMEMBERED)
