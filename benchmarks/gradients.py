"""A gradient step of an attack on frozen weights, and how far it is from what the machine can do.

The roofline is what oneDNN reaches in bf16 on a matrix product and on a convolution as the network has them, measured
here; operations are counted by torch's own counter.
"""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.claim import Claim
from benchmarks.subjects import Subject, any_subject
from benchmarks.turns import Scale, Side, shown
from cifs.losses import cross_entropy
from cifs.models.folding import folded
from cifs.modes import frozen
from cifs.precision import Precision, autocast


def gradient(model: nn.Module, x: Tensor, y: Tensor, precision: Precision) -> Tensor:
    """∇_x Σ ℓ (N, C, H, W)"""
    x = x.detach().requires_grad_()
    with autocast(x.device, precision):
        logits = model(x)
    (slope,) = torch.autograd.grad(cross_entropy(logits.float(), y).sum(), x)
    return slope


def operations(model: nn.Module, x: Tensor) -> int:
    """Floating-point operations of one gradient, of frozen weights."""
    with FlopCounterMode(display=False) as counter:  # autograd.grad is not supported under it
        model(x.detach().requires_grad_()).sum().backward()
    return counter.get_total_flops()


def claims(scale: Scale) -> Iterator[Claim]:
    given = any_subject(scale.of(250, 2))
    given = given._replace(x=given.x.contiguous(memory_format=torch.channels_last))
    with frozen(given.model):
        yield from _steps(scale, given)


def _steps(scale: Scale, given: Subject) -> Iterator[Claim]:
    twin = folded(given.model, given.x)
    sides: dict[str, Side] = {
        "float32": partial(gradient, given.model, given.x, given.y, "float32"),
        "folded": partial(gradient, twin, given.x, given.y, "float32"),
        "bf16": partial(gradient, given.model, given.x, given.y, "bf16"),
        "bf16 folded": partial(gradient, twin, given.x, given.y, "bf16"),
    }
    seconds = dict(zip(sides, scale.in_turns(*sides.values(), rounds=15, seconds=25), strict=True))
    plain = seconds.pop("float32")
    for name, own in seconds.items():
        text = f"gradient step of `{given.name}`, {len(given.y)} images, {name} against float32"
        yield Claim(f"gradients/{name}", text, shown(own), shown(plain), plain / own)
    achieved = operations(given.model, given.x) / seconds["bf16 folded"]
    yield from _roofline(scale, achieved)


def _roofline(scale: Scale, achieved: float) -> Iterator[Claim]:
    """What the step achieves of the machine's bf16 peak, in operations a second."""
    n, channels = scale.of(2048, 32), scale.of(64, 4)
    a, b = torch.rand(2, n, n, dtype=torch.bfloat16)
    x = torch.rand(scale.of(250, 2), channels, 16, 16, dtype=torch.bfloat16).contiguous(
        memory_format=torch.channels_last
    )
    kernel = torch.rand(channels, channels, 3, 3, dtype=torch.bfloat16)

    def convolve() -> None:
        with torch.no_grad():
            F.conv2d(x, kernel, padding=1)

    product, convolution = scale.in_turns(lambda: a @ b, convolve, rounds=20, seconds=10)
    peaks = {
        f"a matrix product {n} × {n}": 2 * n**3 / product,
        f"a 3 × 3 convolution of {channels} channels": 2 * x.numel() * 9 * channels / convolution,
    }
    for name, peak in peaks.items():
        text = f"roofline: that step in bf16, folded, against {name} in bf16"
        ours, machine = (f"{speed / 1e9:.0f} GFLOP/s" for speed in (achieved, peak))
        yield Claim("gradients/roofline", text, ours, machine, 100 * achieved / peak, " %", 0)
