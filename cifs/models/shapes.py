"""What shapes a network's features have whose weights are on the device "meta", where they hold no numbers.

To run it there would make PyTorch import its compiler: a second of every process that loads a network.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

M = TypeVar("M", bound=nn.Module)
Pair = int | tuple[int, int]


def weightless(network: M) -> M:
    """A copy that can be run, on no images: of each tensor one number, seen everywhere, so that it takes no memory."""
    return deepcopy(network)._apply(lambda t: torch.zeros((), dtype=t.dtype, device="cpu").expand(t.shape))


class ShapesOfConvolutions(TorchFunctionMode):
    """Of a convolution the shape alone, by its closed form: it would lay out its weights in memory."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return (_convolved if func is F.conv2d else func)(*args, **(kwargs or {}))


def _convolved(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """As the documentation of torch.nn.Conv2d has it."""
    if isinstance(padding, str):  # "valid", "same"
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    sides = zip(input.shape[-2:], weight.shape[-2:], *map(_two, (stride, padding, dilation)), strict=True)
    size = [(side + 2 * pad - hold * (kernel - 1) - 1) // step + 1 for side, kernel, step, pad, hold in sides]
    return torch.empty(*input.shape[:-3], weight.shape[0], *size, dtype=input.dtype, device=input.device)


def _two(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
