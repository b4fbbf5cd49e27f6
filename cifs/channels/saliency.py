"""Saliency where people expect it: Grad-CAM at a layer, Integrated Gradients at the image."""

import torch
from torch import Tensor, nn

from cifs.channels.gradient import gauss_legendre, gradient_at
from cifs.modes import eval_mode, frozen
from cifs.progress import Progress, Report, unreported
from cifs.selection import attached_importance


def grad_cam(model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
    """Grad-CAM (arXiv 1610.02391, eq. 1–2): ReLU(Σ_i α_i z_i), α_i the mean over positions of ∇_z f_c.

    x (N, C₀, H₀, W₀), classes (N,) → (N, H, W), of the layer's size. Raises UnknownName.
    """
    z, gradient = gradient_at(model, layer, x, classes)
    return (gradient.mean(dim=(2, 3), keepdim=True) * z).sum(dim=1).relu()


def integrated_gradients(
    model: nn.Module, x: Tensor, classes: Tensor, *, steps: int = 50, report: Report = unreported
) -> Tensor:
    """Integrated Gradients (arXiv 1703.01365) of f_c from a black image: (N, C₀, H₀, W₀), whose sum is f_c(x) − f_c(0).

    x (N, C₀, H₀, W₀), classes (N,); steps: Gauss-Legendre points.
    """
    points, weights = (values.tolist() for values in gauss_legendre(steps))
    total = torch.zeros_like(x)
    with eval_mode(model), frozen(model), attached_importance(model), torch.enable_grad():
        for done, (point, weight) in enumerate(zip(points, weights, strict=True)):
            report(Progress("integrating", done, steps))
            leaf = (point * x).detach().requires_grad_()
            score = model(leaf).gather(1, classes[:, None]).sum()
            total += weight * torch.autograd.grad(score, leaf)[0]
    return x * total
