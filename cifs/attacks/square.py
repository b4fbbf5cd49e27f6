"""Square: random search under ℓ∞, without a single gradient (Andriushchenko et al., arXiv 1912.00049).

It sees nothing but the final logits, so a hidden gradient hides nothing from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from cifs.attacks.attack import ATTACKS, Attack, Run, Start
from cifs.attacks.loop import Pursuit
from cifs.losses import cw_margin
from cifs.models.trace import unwrap
from cifs.precision import Precision
from cifs.progress import Report, unreported
from cifs.registry import settings

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # queries of 10,000 after which p is halved (appendix B)


@dataclass(kw_only=True)
class Search(Run):
    batch: tuple[int, ...]  # shape of all images, of which these are some
    random: torch.Generator
    query: int = 0


@ATTACKS.register("square")
@settings
class Square(Attack):
    """Square: random search on the margin, without gradients (arXiv 1912.00049).

    The first query is vertical stripes of ±ε; each further one sets a random square of the best image so far to ±ε, one
    sign a channel, and is kept if the margin rises. The schedule of p is stretched to the number of queries.
    """

    queries: int = Field(default=5000, ge=1, le=1_000_000, description="of the model, for one image")
    p: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="share of the image that the first square takes, halved on a schedule",
    )

    stops_when_fooled: ClassVar[bool] = True

    @property
    def length(self) -> int:
        return self.queries

    @property
    def factors(self) -> dict[str, int]:
        return {"pairs of queries": (self.queries + 1) // 2}

    def begin(self, start: Start) -> Search:
        x = start.x[start.todo]
        return Search(x, x, start.goal[start.todo], start.todo, batch=tuple(start.x.shape), random=start.random)

    def score(self, run: Run, logits: Tensor, raw_predictions: Sequence[Tensor]) -> Tensor:
        return cw_margin(logits.float(), run.goal)

    def advance(self, run: Run, gradient: Tensor, loss: Tensor) -> None:
        assert isinstance(run, Search)
        run.query += 1
        # Drawn for all images, so that an image's luck does not hang on which others are still in the race.
        if run.query == 1:
            window, sign = _stripes(run.batch, run.random)
            run.highest = torch.full_like(run.highest, -inf)  # the stripes are kept in any case
        else:
            side = _side(run.batch, self.p, (run.query - 2) / self.queries)
            window, sign = _square(run.batch, side, run.random)
        moved = (run.x + self.eps * sign.to(run.x)[run.images]).clamp(0, 1)
        run.x_adv = torch.where(window.to(run.x.device)[run.images], moved, run.best)


class Searched(NamedTuple):
    """What a random search left standing."""

    robust: Tensor  # (N,) bool: neither the image nor any query fools the model, in float32
    x_adv: Tensor  # (N, C, H, W): fools the model where not robust, else the query of largest margin
    queries: Tensor  # (N,) int: spent on the image, 0 where the image itself is misclassified


def square(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Square,
    *,
    precision: Precision = "float32",
    report: Report = unreported,
) -> Searched:
    """Square on images x (N, C, H, W) in [0, 1] with labels y (N,), with what each image cost.

    An image is dropped once it is fooled; what is drawn for it does not depend on when others are. The model runs in
    eval mode and every module is put back into the mode it was found in. Under bf16 an image counts as fooled only once
    float32 confirms it. Raises what `report` raises.
    """
    x_adv, at = Pursuit(unwrap(model), attack, precision, True, None, report).of(x, y)
    return Searched(at > attack.queries, x_adv, at.clamp(max=attack.queries))


def _side(batch: Sequence[int], p: float, progress: float) -> int:
    """Side of the square in pixels at this share of the queries, from p halved on schedule."""
    height, width = batch[2:]
    share = p / 2 ** sum(int(10_000 * progress) > after for after in HALVINGS)
    return min(max(round(sqrt(share * height * width)), 1), height, width)


def _stripes(batch: Sequence[int], random: torch.Generator) -> tuple[Tensor, Tensor]:
    """The whole image (N, 1, 1, 1), and a sign for every column of every channel (N, C, 1, W)."""
    n, channels, _, width = batch
    return torch.ones(n, 1, 1, 1, dtype=torch.bool), _signs(n, channels, width, random)


def _square(batch: Sequence[int], side: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """One square an image (N, 1, H, W), anywhere inside, and a sign for every channel (N, C, 1, 1)."""
    n, channels, height, width = batch
    rows = _interval(n, height, side, random)[:, None, :, None]
    columns = _interval(n, width, side, random)[:, None, None, :]
    return rows & columns, _signs(n, channels, 1, random)


def _interval(n: int, length: int, side: int, random: torch.Generator) -> Tensor:
    """(n, length) bool: `side` neighbours of each row, every place equally likely."""
    first = torch.randint(length - side + 1, (n, 1), generator=random)
    position = torch.arange(length)
    return (first <= position) & (position < first + side)


def _signs(n: int, channels: int, width: int, random: torch.Generator) -> Tensor:
    """±1, (n, channels, 1, width)"""
    return torch.randint(2, (n, channels, 1, width), generator=random) * 2 - 1
