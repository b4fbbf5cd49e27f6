"""What a channel does on an image: activation and whether it counts as active."""

from torch import Tensor

ACTIVE_SHARE = 0.01


def activation(z: Tensor) -> Tensor:
    """a_i, the mean over positions of channel i: (N, C, H, W) → (N, C)."""
    return z.mean(dim=(2, 3))


def active(a: Tensor) -> Tensor:
    """Whether a_i exceeds 1 % of its image's largest activation (CAS, arXiv 2103.08307): (N, C) → bool (N, C)."""
    return a > ACTIVE_SHARE * a.amax(dim=1, keepdim=True)
