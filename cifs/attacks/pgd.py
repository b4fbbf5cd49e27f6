"""FGSM, PGD and C&W: gradient ascent with a step of fixed size, as settings of one update."""

from typing import Annotated, Literal

from pydantic import Field

from cifs.attacks.attack import ATTACKS, Budget, GradientAttack
from cifs.losses import LOSSES
from cifs.registry import Named, fraction, settings

WideBudget = Annotated[float, *fraction(ge=0, le=100)]  # of an image's 3072 values


@ATTACKS.register("fgsm")
@settings
class FGSM(GradientAttack):
    """FGSM: one step of size ε (arXiv 1412.6572)."""

    steps: Literal[1] = Field(default=1, description="always one")
    step_size: Budget | None = Field(default=None, description="α: how far the step goes; default ε")

    @property
    def alpha(self) -> float:
        return self.eps if self.step_size is None else self.step_size


@ATTACKS.register("pgd")
@settings
class PGD(GradientAttack):
    """PGD: projected gradient ascent (arXiv 1706.06083)."""


@ATTACKS.register("cw")
@settings
class CW(GradientAttack):
    """C&W under ℓ∞: PGD on the CW margin, 30 steps (not the ℓ2 attack of arXiv 1608.04644)."""

    steps: int = Field(default=30, ge=1, le=10_000, description="gradient steps")
    loss: Annotated[str, Named(LOSSES)] = Field(default="margin", description="what is maximised: the CW margin")


@ATTACKS.register("pgd_l2")
@settings
class PGDL2(GradientAttack):
    """PGD-ℓ2: projected gradient ascent under ℓ2, steps along the gradient itself (arXiv 1706.06083)."""

    norm: Literal["l2"] = Field(  # type: ignore[assignment]  # another ball than its siblings'
        default="l2", description="the norm ε is of: ℓ2, over all values of the image"
    )
    eps: WideBudget = Field(
        default=0.5, description="ε: the ℓ2 distance an image may move; a number or a fraction such as 128/255"
    )
    step_size: WideBudget | None = Field(default=None, description="α: how far a step goes; default ε/10")
