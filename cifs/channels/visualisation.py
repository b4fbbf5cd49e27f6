"""An image optimised for a channel: feature visualisation (Olah, Mordvintsev & Schubert, 10.23915/distill.00007).

The image is a Fourier series, cut to [0, 1], whose coefficients climb the activation a of the channel by Adam; each
step sees it shifted, scaled and turned a little, so that what is found does not hang on single pixels. It starts from
noise of a seed. What it says is measured on the image as it stands, without any transformation.

The control is an image made the same way for a random direction in the space of the layer's channels: a channel that
is as active on it is not what the image is of.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifs.channels.activation import activation
from cifs.channels.capture import capture
from cifs.errors import InvalidParameter
from cifs.modes import eval_mode, frozen
from cifs.precision import generator
from cifs.progress import Progress, Report, unreported

COPIES = 4  # of the image, each transformed by itself, in one step
RATE = 0.1  # of Adam
SPREAD = 0.1  # standard deviation of the first coefficients
DECAY = 1.0  # of a wave's weight with its frequency: 0 favours none, 1 is that of photographs
SHIFT, SCALE, TURN = 0.08, 0.06, 0.09  # at most: of the side, of the size, in radians


class Optimised(NamedTuple):
    """The best image met on the way, and how it got there."""

    image: Tensor  # (1, C₀, H, W) in [0, 1]
    activation: Tensor  # (C,) of every channel of the layer on it
    start: float  # what was maximised, of the noise it began with
    reached: float  # of the image
    climb: list[float]  # after each step


def optimise(
    model: nn.Module,
    layer: str,
    direction: Tensor,
    shape: tuple[int, int, int],
    *,
    steps: int = 96,
    seed: int = 0,
    robust: bool = True,
    report: Report = unreported,
) -> Optimised:
    """An image of `shape` (C₀, H, W) that maximises Σ_i direction_i a_i at a layer; direction (C,).

    robust: whether each step sees the image transformed. Raises UnknownName for the layer, InvalidParameter for a
    direction of another length.
    """
    random = generator(seed, 0)
    device = direction.device
    coefficients = _noise(shape, random).to(device).requires_grad_()
    adam = torch.optim.Adam([coefficients], lr=RATE)
    climb: list[float] = []
    best, of_best = None, torch.empty(0)
    with eval_mode(model), frozen(model), torch.enable_grad():
        for step in range(steps + 1):
            report(Progress("climbing", step, steps))
            image = _image(coefficients, shape)
            a = _activation(model, layer, image.detach(), direction)
            climb.append(float(a @ direction))
            if best is None or climb[-1] > max(climb[:-1]):
                best, of_best = image.detach().clone(), a
            if step < steps:
                seen = _transformed(image, random) if robust else image
                adam.zero_grad()
                (-_climbed(model, layer, seen, direction)).backward()
                adam.step()
    assert best is not None
    return Optimised(best, of_best, climb[0], max(climb), climb)


def channel_direction(channels: int, channel: int, device: torch.device | None = None) -> Tensor:
    """(C,) one-hot."""
    direction = torch.zeros(channels, device=device)
    direction[channel] = 1
    return direction


def random_direction(channels: int, without: int, *, seed: int = 0, device: torch.device | None = None) -> Tensor:
    """(C,) of length 1, with nothing of the channel `without`: the control."""
    direction = torch.randn(channels, generator=generator(seed, channels))
    direction[without] = 0
    return (direction / direction.norm().clamp_min(1e-12)).to(device)


def _activation(model: nn.Module, layer: str, x: Tensor, direction: Tensor) -> Tensor:
    """(C,) of one image."""
    with torch.no_grad(), capture(model, layer) as captured:
        model(x)
    a = activation(captured.features)[0]
    if a.shape != direction.shape:
        raise InvalidParameter(f"a direction of {len(direction)} entries; layer {layer!r} has {len(a)} channels")
    return a


def _climbed(model: nn.Module, layer: str, x: Tensor, direction: Tensor) -> Tensor:
    """Mean over the copies x (M, C₀, H, W) of Σ_i direction_i a_i."""
    with capture(model, layer) as captured:
        model(x)
    return (activation(captured.features) @ direction).mean()


def _noise(shape: tuple[int, int, int], random: torch.Generator) -> Tensor:
    """Coefficients (C₀, H, W//2 + 1, 2) of a real Fourier series."""
    channels, height, width = shape
    return SPREAD * torch.randn(channels, height, width // 2 + 1, 2, generator=random)


def _image(coefficients: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(1, C₀, H, W). A coefficient counts the less the finer its wave."""
    _, height, width = shape
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    waves = ((rows**2 + columns**2).sqrt() * max(height, width)).clamp_min(1).to(coefficients.device)
    spectrum = torch.view_as_complex(coefficients) / waves**DECAY
    grey = 0.5 + torch.fft.irfft2(spectrum, s=(height, width), norm="ortho")[None]
    cut: Tensor = Cut.apply(grey)
    return cut


class Cut(torch.autograd.Function):
    """To [0, 1]. Where it is cut the gradient passes only if a descent along it leads back, so no pixel is stuck."""

    @staticmethod
    def forward(ctx: Any, grey: Tensor) -> Tensor:
        ctx.save_for_backward(grey)
        return grey.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (grey,) = ctx.saved_tensors
        outward = ((grey > 1) & (gradient < 0)) | ((grey < 0) & (gradient > 0))
        return gradient.masked_fill(outward, 0)


def _transformed(image: Tensor, random: torch.Generator) -> Tensor:
    """COPIES of the image (1, C₀, H, W), each shifted, scaled and turned by itself; the border is mirrored."""
    draw = torch.rand(COPIES, 4, generator=random) * 2 - 1
    turn, scale = TURN * draw[:, 0], 1 + SCALE * draw[:, 1]
    cos, sin = scale * turn.cos(), scale * turn.sin()
    rows = [torch.stack([cos, -sin, 2 * SHIFT * draw[:, 2]]), torch.stack([sin, cos, 2 * SHIFT * draw[:, 3]])]
    grid = F.affine_grid(torch.stack(rows).permute(2, 0, 1).to(image), [COPIES, *image.shape[1:]], align_corners=False)
    copies = image.expand(COPIES, *image.shape[1:])
    return F.grid_sample(copies, grid, padding_mode="reflection", align_corners=False)
