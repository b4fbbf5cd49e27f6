"""MI-FGSM: momentum (Dong et al., arXiv 1710.06081)."""

from dataclasses import dataclass, field

import torch
from pydantic import Field
from torch import Tensor

from cifs.attacks.attack import ATTACKS, Budget, Run, Start
from cifs.attacks.pgd import PGD
from cifs.registry import settings


@dataclass
class Momentum(Run):
    g: Tensor = field(init=False)  # (M, C, H, W) the gradients so far, each of mean magnitude 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.g = torch.zeros_like(self.x)


@ATTACKS.register("mifgsm")
@settings
class MIFGSM(PGD):
    """MI-FGSM: steps along the decaying sum of all gradients so far, each normalised (arXiv 1710.06081)."""

    steps: int = Field(default=10, ge=1, le=10_000, description="gradient steps")
    step_size: Budget | None = Field(default=None, description="α: how far a step goes; default ε/steps")
    decay: float = Field(default=1.0, ge=0, le=10, description="μ: how much of the momentum a step keeps")

    @property
    def alpha(self) -> float:
        return self.eps / self.steps if self.step_size is None else self.step_size

    def begin(self, start: Start) -> Momentum:
        return Momentum(*self.rows(start))

    def advance(self, run: Run, gradient: Tensor, loss: Tensor) -> None:
        """g_{t+1} = μ·g_t + ∇/‖∇‖₁, then a step along g_{t+1}."""
        assert isinstance(run, Momentum)
        mean = gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(gradient.dtype).tiny)
        run.g = gradient / mean + run.g * self.decay
        super().advance(run, run.g, loss)
