"""What of the image a channel sees: the pixels its strongest position depends on."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.channels.capture import capture
from cifs.modes import eval_mode, frozen


class Field(NamedTuple):
    """A box of pixels, `bottom` and `right` excluded, and where in the feature map the channel is strongest."""

    top: int
    left: int
    bottom: int
    right: int
    position: tuple[int, int]


def receptive_field(model: nn.Module, layer: str, x: Tensor, channel: int) -> Field:
    """Of one image x (1, C₀, H₀, W₀): the box around all pixels on which the channel's largest z_ij depends.

    Told by the gradient, so pixels that reach it through silent units alone do not count. A channel that is silent
    everywhere has an empty box.
    """
    with eval_mode(model), frozen(model), torch.enable_grad(), capture(model, layer) as captured:
        leaf = x.detach().requires_grad_()
        model(leaf)
        z = captured.features[0, channel]
        place = int(z.argmax())
        gradient = torch.autograd.grad(z.flatten()[place], leaf, allow_unused=True)[0]
    position = divmod(place, z.shape[1])
    touched = torch.zeros_like(x[0, 0], dtype=torch.bool) if gradient is None else (gradient[0] != 0).any(dim=0)
    if not touched.any():
        return Field(0, 0, 0, 0, position)
    rows, columns = touched.any(dim=1).nonzero()[:, 0], touched.any(dim=0).nonzero()[:, 0]
    return Field(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1, position)
