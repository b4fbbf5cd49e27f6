"""What a channel does on an image: its activation, and whether it counts as active."""

from torch import Tensor

from cifs.selection import pool as activation

__all__ = ["activation", "active"]

ACTIVE_SHARE = 0.01


def active(a: Tensor) -> Tensor:
    """Whether a_i exceeds 1 % of its image's largest activation (CAS, arXiv 2103.08307): (N, C) → bool (N, C)."""
    return a > ACTIVE_SHARE * a.amax(dim=1, keepdim=True)
