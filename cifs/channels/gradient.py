"""The gradient of a class's score at a layer's features, and the points at which a path is integrated."""

import numpy as np
import torch
from torch import Tensor, nn

from cifs.channels.capture import editing
from cifs.models import trace, unwrap
from cifs.modes import eval_mode, frozen
from cifs.selection import attached_importance


def gradient_at(model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """z and ∇_z f^{[l+1:L]}(z)[c], each (N, C, H, W): x (N, C₀, H₀, W₀), classes (N,). Raises UnknownName.

    The importance maps above are a part of f, so they are attached.
    """
    model = unwrap(model)
    leaf: list[Tensor] = []

    def cut(z: Tensor) -> Tensor:  # the graph starts here: nothing below is differentiated
        leaf.append(z.detach().requires_grad_())
        return leaf[-1].clone()  # a layer above may work in place, as ReLU(inplace=True)

    with eval_mode(model), frozen(model), attached_importance(model), editing(model, layer, cut), torch.enable_grad():
        score = trace(model, x).logits.gather(1, classes[:, None]).sum()
        (gradient,) = torch.autograd.grad(score, leaf[-1])  # of the last pass, as `capture`
    return leaf[-1].detach(), gradient


def gauss_legendre(n: int) -> tuple[Tensor, Tensor]:
    """Points and weights on [0, 1], float64, each (n,)."""
    points, weights = np.polynomial.legendre.leggauss(n)
    return torch.from_numpy((points + 1) / 2), torch.from_numpy(weights / 2)
