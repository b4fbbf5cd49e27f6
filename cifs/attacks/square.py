"""Square: random search under ℓ∞, without a single gradient (Andriushchenko et al., arXiv 1912.00049).

It sees nothing but the final logits, so a hidden gradient hides nothing from it.
"""

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.errors import InvalidParameter
from cifs.losses import cw_margin
from cifs.modes import eval_mode
from cifs.precision import Precision, autocast, generator

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # queries of 10,000 after which p is halved (appendix B)


class Searched(NamedTuple):
    """What a random search found."""

    robust: Tensor  # (N,) bool: neither the image nor any query fools the model, in float32
    x_adv: Tensor  # (N, C, H, W): fools the model where not robust, else the query of largest margin
    queries: Tensor  # (N,) int: spent on the image, 0 where the image itself is misclassified


@torch.no_grad()
def square(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    queries: int = 5000,
    p: float = 0.8,
    seed: int = 0,
    precision: Precision = "float32",
    record: Callable[[int, Tensor], None] | None = None,
) -> Searched:
    """Maximises the margin of images x (N, C, H, W) in [0, 1] with labels y (N,) within ε, `queries` times.

    The first query is vertical stripes of ±ε; each further one sets a random square of the best image so far to ±ε,
    one sign a channel, and is kept if the margin rises. p is the first square's share of the image (AutoAttack's 0.8);
    its schedule is stretched to the number of queries. An image is dropped once it is fooled; what is drawn for it
    does not depend on when others are. `record` gets the query's number and the largest margins (N,) so far. The model
    runs in eval mode and every module is put back into the mode it was found in. Under bf16 an image counts as fooled
    only once float32 confirms it. Raises InvalidParameter.
    """
    if not 0 <= eps <= 1:
        raise InvalidParameter(f"eps = {eps}: a number from 0 to 1, in units of the image's range")
    if queries < 1:
        raise InvalidParameter(f"queries = {queries}: at least 1")
    if not 0 < p <= 1:
        raise InvalidParameter(f"p = {p}: a share of the image's pixels, above 0 and at most 1")
    random = generator(seed)
    best, margin = x.clone(), torch.full(y.shape, -torch.inf, device=x.device)
    spent = torch.zeros_like(y)
    with eval_mode(model):
        robust = model(x).argmax(dim=1) == y
        for query in range(1, queries + 1):
            # Drawn for all images, so that an image's luck does not hang on which others are still in the race.
            draw = _stripes if query == 1 else _square
            window, sign = draw(x, _side(x, p, (query - 2) / queries), random)
            left = robust.nonzero()[:, 0]
            if len(left) == 0:
                break
            moved = (x[left] + eps * sign[left]).clamp(0, 1)
            tried, labels = torch.where(window[left], moved, best[left]), y[left]
            with autocast(x.device, precision):
                logits = model(tried).float()
            found, fooled = cw_margin(logits, labels), logits.argmax(dim=1) != labels
            if precision != "float32" and fooled.any():
                fooled[fooled.clone()] = model(tried[fooled]).argmax(dim=1) != labels[fooled]
            kept = (found > margin[left]) | fooled
            best[left[kept]], margin[left[kept]] = tried[kept], found[kept]
            spent[left] += 1
            robust[left[fooled]] = False
            if record is not None:
                record(query, margin.clone())
    return Searched(robust, best, spent)


def _side(x: Tensor, p: float, progress: float) -> int:
    """Side of the square in pixels at this share of the queries, from p halved on schedule."""
    height, width = x.shape[2:]
    share = p / 2 ** sum(int(10_000 * progress) > after for after in HALVINGS)
    return min(max(round(sqrt(share * height * width)), 1), height, width)


def _stripes(x: Tensor, side: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """The whole image (N, 1, 1, 1), and a sign for every column of every channel (N, C, 1, W)."""
    n, channels, _, width = x.shape
    window = torch.ones(n, 1, 1, 1, dtype=torch.bool, device=x.device)
    return window, _signs(n, channels, width, random).to(x)


def _square(x: Tensor, side: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """One square an image (N, 1, H, W), anywhere inside, and a sign for every channel (N, C, 1, 1)."""
    n, channels, height, width = x.shape
    rows = _interval(n, height, side, random)[:, None, :, None]
    columns = _interval(n, width, side, random)[:, None, None, :]
    return (rows & columns).to(x.device), _signs(n, channels, 1, random).to(x)


def _interval(n: int, length: int, side: int, random: torch.Generator) -> Tensor:
    """(n, length) bool: `side` neighbours of each row, every place equally likely."""
    first = torch.randint(length - side + 1, (n, 1), generator=random)
    position = torch.arange(length)
    return (first <= position) & (position < first + side)


def _signs(n: int, channels: int, width: int, random: torch.Generator) -> Tensor:
    """±1, (n, channels, 1, width)"""
    return torch.randint(2, (n, channels, 1, width), generator=random) * 2 - 1
