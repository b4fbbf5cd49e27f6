"""What a network costs to run."""

import torch

from cifs.models.cnn import CNN


@torch.no_grad()
def multiply_adds(model: CNN) -> int:
    """Multiplications with addition in convolutions and matrix products of one forward pass of one image.

    Counted by torch while an image of zeros passes through, in eval mode. A gradient step of an attack, forward and
    backward, is about three times that.
    """
    from torch.utils.flop_counter import FlopCounterMode  # here, for it brings Triton's compiler

    image = torch.zeros(1, *model.image_shape, device=model.mean.device)
    with FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops() // 2  # torch counts a multiplication and its addition as two
