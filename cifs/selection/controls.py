"""Controls: IMGFs that leave a part of CIFS out, so that an experiment can say which part does anything.

None is the paper's. They are registered beside its IMGFs, that a recipe can name them, and carry `control = True`:
what the paper asks of an importance map (monotone, telling channels apart) does not hold of them, on purpose.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from cifs.registry import settings
from cifs.selection.imgf import IMGFS, Positive, Softmax

Seed = Field(default=0, ge=0, lt=2**31, description="of what is drawn once and stays")


def is_control(name: str) -> bool:
    """Whether the IMGF of this name is a control, none of the paper's."""
    return getattr(IMGFS[name], "control", False)


def _drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@IMGFS.register("ones")
@settings
class Ones:
    """Control: every importance is 1. The probes and their loss stay, the selection goes: deep supervision alone."""

    control: ClassVar[bool] = True

    def __call__(self, g: Tensor) -> Tensor:
        return torch.ones_like(g)


@IMGFS.register("fixed")
@settings
class Fixed:
    """Control: one random map for every image, mean 1, blind to relevance.

    m = n_C · softmax(u/T), u ~ N(0, 1) drawn once for a number of channels.
    """

    control: ClassVar[bool] = True
    temperature: Positive = Field(default=1.0, description="T: small makes the map uneven")
    seed: int = Seed

    def __call__(self, g: Tensor) -> Tensor:
        u = torch.randn(g.shape[1], generator=_drawn(self.seed)).to(g)  # (C,)
        return (g.shape[1] * (u / self.temperature).softmax(dim=0)).expand_as(g)


@IMGFS.register("permuted")
@settings
class Permuted:
    """Control: the image's own softmax map, mean 1, handed to the wrong channels by a permutation drawn once.

    As sharp as CIFS-softmax's and as dependent on the image, but a channel's importance is another's. (The map of
    another image of the batch would make a prediction depend on its neighbours, of which attacks drop some.)
    """

    control: ClassVar[bool] = True
    temperature: Positive = Field(default=1.0, description="T of the softmax")
    seed: int = Seed

    def __call__(self, g: Tensor) -> Tensor:
        order = torch.randperm(g.shape[1], generator=_drawn(self.seed)).to(g.device)
        return Softmax(temperature=self.temperature, per_channel=True)(g)[:, order]
