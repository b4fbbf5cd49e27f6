"""What an attack is: settings that say what is asked for, and an update that says how it is pursued.

A new attack is one class in one file:

    @ATTACKS.register("toy")
    @settings
    class Toy(GradientAttack):
        \"\"\"Toy: a title. What it does, and its source.\"\"\"

        def advance(self, run: Run, gradient: Tensor, loss: Tensor) -> None:
            run.x_adv = within(run.x, run.x_adv + self.alpha * gradient.sign(), self.norm, self.eps)

`cifs.attacks.loop` does all else. What an attack remembers from step to step it keeps in a `Run` of its own.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from math import inf, isinf, prod
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from cifs.attacks.norms import NORMS, per_image, within
from cifs.losses import LOSSES, Loss, joint
from cifs.registry import Named, Registry, fraction, settings

Budget = Annotated[float, *fraction(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Weight = Annotated[
    NotNegative,  # and infinite, for which JSON has no number
    BeforeValidator(
        lambda value: inf if value == "inf" else value, json_schema_input_type=NotNegative | Literal["inf"]
    ),
]

ATTACKS: Registry[type["Attack"]] = Registry("attack")


@dataclass
class Run:
    """Where an attack stands between two steps, an image a row; rows of fooled images are dropped (`only`).

    Attacks that remember more add fields: tensors of M rows, or values that hold for all rows.
    """

    x: Tensor  # (M, C, H, W) the images
    x_adv: Tensor  # (M, C, H, W) the iterate
    goal: Tensor  # (M,) the class the loss speaks of: the label, or the target
    images: Tensor  # (M,) which of the batch these are
    best: Tensor = field(init=False)  # (M, C, H, W) the iterate of the largest loss so far
    highest: Tensor = field(init=False)  # (M,) that loss
    improved: Tensor = field(init=False)  # (M,) bool, whether the iterate is that one

    def __post_init__(self) -> None:
        self.best = self.x_adv
        self.highest = torch.full(self.goal.shape, -inf, device=self.x.device)
        self.improved = torch.zeros_like(self.goal, dtype=torch.bool)

    def observe(self, loss: Tensor) -> None:
        """Takes notice of the loss (M,) at the iterate."""
        self.improved = loss > self.highest
        self.best = torch.where(per_image(self.improved), self.x_adv, self.best)
        self.highest = torch.where(self.improved, loss, self.highest)

    def only(self, rows: Tensor) -> None:
        """Drops all other rows; `rows` (M,) bool."""
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Tensor):
                setattr(self, each.name, value[rows])


class Start(NamedTuple):
    """What a run is begun with."""

    model: nn.Module  # frozen, in eval mode
    x: Tensor  # (N, C, H, W) the whole batch, so that what is drawn for an image does not depend on the others' fate
    goal: Tensor  # (N,)
    todo: Tensor  # (M,) indices of those to attack
    number: int  # of the run, from 0
    random: torch.Generator
    rivals: Tensor | None = None  # (N,) the class to push each image towards, where the caller knows better


@settings
class Attack:
    """What every attack is asked for."""

    eps: Budget = Field(
        default=8 / 255, description="ε: no pixel moves further than this; a number or a fraction such as 8/255"
    )
    norm: Literal["linf"] = Field(default="linf", description="the norm ε is of: ℓ∞, the largest change of any pixel")
    target: int | None = Field(
        default=None, ge=0, description="class to be predicted instead; default: any wrong class"
    )
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="of all that is random")

    adaptive: ClassVar[bool] = False  # whether it has β and through_mask, to be swept on models with probes
    uses_gradients: ClassVar[bool] = False
    stops_when_fooled: ClassVar[bool] = False  # whether an image that is fooled is left as it is

    @property
    def length(self) -> int:
        """Steps of a run."""
        raise NotImplementedError

    @property
    def runs(self) -> int:
        """How often an image that stands is attacked anew."""
        return 1

    @property
    def factors(self) -> dict[str, int]:
        """What the cost for one image is the product of, by name."""
        return {"steps": self.length}

    @property
    def cost(self) -> int:
        """For one image, in gradient steps: a forward and a backward pass each; a query without gradient is half."""
        return prod(self.factors.values())

    @property
    def keeps_best(self) -> bool:
        """Whether the iterate of largest loss comes back, not the last."""
        return True

    def resolved(self) -> dict[str, Any]:
        """Name, norm and every parameter, defaults filled in; JSON-safe."""
        return {"name": ATTACKS.name_of(self), **asdict(self)}

    def begin(self, start: Start) -> Run | None:
        """Where a run starts; None: there is nothing more to attack."""
        raise NotImplementedError

    def score(self, run: Run, logits: Tensor, raw_predictions: Sequence[Tensor]) -> Tensor:
        """The loss that is maximised, (M,), of logits and raw predictions (M, K)."""
        raise NotImplementedError

    def advance(self, run: Run, gradient: Tensor, loss: Tensor) -> None:
        """One step: moves run.x_adv.

        gradient (M, C, H, W) and loss (M,) at the iterate are signed, so that up is where the attack wants to go, also
        towards a target. Without `uses_gradients` the gradient is empty.
        """
        raise NotImplementedError


@settings
class GradientAttack(Attack):
    """Follows the gradient of the joint loss ℓ_β with the attack's own β, so that it is adaptive (arXiv 2102.05311)."""

    steps: int = Field(default=20, ge=1, le=10_000, description="gradient steps")
    step_size: Budget | None = Field(default=None, description="α: how far a step goes; default ε/10")
    random_start: bool = Field(default=False, description="start from a uniformly random point of the ε-ball")
    restarts: int = Field(
        default=1, ge=1, le=100, description="independent runs; the first that fools counts (needs random_start)"
    )
    loss: Annotated[str, Named(LOSSES)] = Field(
        default="ce", description="what is maximised: cross-entropy, CW margin or DLR"
    )
    beta: Weight = Field(
        default=2.0,
        description="β_atk of the joint loss on models with probes; 0 ignores the probes, inf is the probes alone",
    )
    through_mask: bool = Field(default=False, description="differentiate through the importance maps of CIFS")
    keep: Literal["last", "best"] = Field(
        default="last", description="return the last iterate, or the one of largest loss"
    )

    adaptive: ClassVar[bool] = True
    uses_gradients: ClassVar[bool] = True

    @property
    def alpha(self) -> float:
        return self.eps / 10 if self.step_size is None else self.step_size

    @property
    def length(self) -> int:
        return self.steps

    @property
    def runs(self) -> int:
        return self.restarts

    @property
    def factors(self) -> dict[str, int]:
        return {"steps": self.steps, "restarts": self.restarts}

    @property
    def keeps_best(self) -> bool:
        return self.keep == "best"

    def resolved(self) -> dict[str, Any]:
        beta = "inf" if isinf(self.beta) else self.beta
        return {**super().resolved(), "step_size": self.alpha, "beta": beta}

    def begin(self, start: Start) -> Run | None:
        return Run(*self.rows(start))

    def rows(self, start: Start) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x, the first iterate, the goal and the indices of those to attack."""
        x, todo = start.x, start.todo
        if self.random_start:
            x = (x + self.eps * NORMS[self.norm].noise(x, start.random)).clamp(0, 1)
        return start.x[todo], x[todo], start.goal[todo], todo

    def loss_of(self, run: Run) -> Loss:
        """What is maximised, of the prediction and of every raw prediction."""
        return LOSSES[self.loss]

    def score(self, run: Run, logits: Tensor, raw_predictions: Sequence[Tensor]) -> Tensor:
        return joint(self.loss_of(run), logits, raw_predictions, run.goal, self.beta)

    def advance(self, run: Run, gradient: Tensor, loss: Tensor) -> None:
        """x_{t+1} = Π(x_t + α·d), d the steepest direction of size 1, Π onto the ε-ball and [0, 1]."""
        step = self.alpha * NORMS[self.norm].steepest(gradient)
        run.x_adv = within(run.x, run.x_adv + step, self.norm, self.eps)
