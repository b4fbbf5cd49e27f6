"""A batch of images on trial: stage after stage, until float32 confirms that the model is fooled, or none is left.

margins (N, K) remembers how close each image came to falling to each class, f_c − f_y at any iterate of any attack; it
decides whom the next run attacks, and towards what.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cifs.attacks.loop import Pursuit, Step
from cifs.errors import CIFSError
from cifs.models.folding import folded
from cifs.models.trace import unwrap
from cifs.modes import eval_mode, frozen
from cifs.precision import Precision, autocast, generator
from cifs.progress import Report, unreported
from cifs.verdict.stages import STAGES, Stage, stages_for

TOGETHER = 250  # images in one pass
ASKED_TWICE = 64  # images on which it is tested whether the model is a function
SAME = 1e-3  # of the largest logit: what rounding may change, asked again and in other company
DIFFERING = 0.05  # share of predictions that bf16 may change; beyond it gradients are float32's
STANDS, MISTAKEN = -1, -2  # in `fell`, beside the numbers of the stages


@dataclass
class Trial:
    """Images x (N, C, H, W) in [0, 1] with labels y (N,), attacked within ε under ℓ∞.

    first: number of the first image, so that what is random is a function of seed and image alone. Raises CIFSError for
    a model that is not a function of the image, one without gradients, or one whose logits are no numbers.
    """

    model: nn.Module
    x: Tensor
    y: Tensor
    eps: float
    precision: Precision = "bf16"
    seed: int = 0
    first: int = 0
    report: Report = unreported

    stages: tuple[Stage, ...] = STAGES

    margins: Tensor = field(init=False)  # (N, K), −∞ for the label
    natural: Tensor = field(init=False)  # (N,) the largest margin of the image itself
    fell: Tensor = field(init=False)  # (N,) int: to which stage; STANDS; MISTAKEN without any attack
    x_adv: Tensor = field(init=False)  # (N, C, H, W) fools the model where the image fell to a stage, else the image
    stage: int = 0  # the number of the one that is running
    passes: int = 0  # forward and backward passes of one image

    def __post_init__(self) -> None:
        self.model = unwrap(self.model)
        self.stages = stages_for(self.model, self.stages)
        with eval_mode(self.model), frozen(self.model):
            refuse_opaque(self.model, self.x[:1])
            refuse_not_finite(logits := logits_of(self.model, self.x))
            refuse_unsteady(self.model, self.x[:ASKED_TWICE])
            self.precision = usable_precision(self.model, self.x[:TOGETHER], self.precision)
        self.margins = self._margins(logits, self.y)
        self.natural = self.margins.amax(dim=1)
        self.fell = torch.where(logits.argmax(dim=1) == self.y, STANDS, MISTAKEN)
        self.x_adv = self.x.clone()

    @property
    def standing(self) -> Tensor:
        """(N,) bool"""
        return self.fell == STANDS

    def run(self) -> None:
        """Every stage that makes sense on the model."""
        for number, stage in enumerate(self.stages):
            self.attack(number, stage)

    def attack(self, number: int, stage: Stage) -> None:
        """One stage; who falls is noted as fallen to its number."""
        self.stage = number
        pushed = torch.zeros_like(self.margins, dtype=torch.bool)
        for share in stage.shares:
            margin, rivals = self.margins.masked_fill(pushed, -torch.inf).max(dim=1)
            images = self._closest(margin, share)
            pushed[images, rivals[images]] = stage.targeted
            for part in images.split(TOGETHER) if len(images) else ():
                self._pursue(number, stage, part, rivals[part])

    def _closest(self, margin: Tensor, share: float) -> Tensor:
        """Indices of this share of the standing images, rounded up: those of largest margin, in their order."""
        images = (self.standing & margin.isfinite()).nonzero()[:, 0]
        count = min(len(images), -int(-share * int(self.standing.sum()) // 1))
        return images[margin[images].topk(count).indices].sort().values

    def _pursue(self, number: int, stage: Stage, part: Tensor, rivals: Tensor) -> None:
        attack, x, y = stage.within(self.eps), self.x[part], self.y[part]

        def note(step: Step) -> None:
            images = part[step.images]
            self.margins[images] = self.margins[images].maximum(self._margins(step.logits, self.y[images]))
            self.passes += len(images) * (step.step < attack.length)

        pursuit = Pursuit(self.model, attack, self.precision, True, note, self.report)
        outcome = pursuit.of(x, y, generator(self.seed, number, self.first + int(part[0])), rivals)
        fooled = outcome.at <= attack.length
        self.fell[part[fooled]], self.x_adv[part[fooled]] = number, outcome.x_adv[fooled]

    @staticmethod
    def _margins(logits: Tensor, y: Tensor) -> Tensor:
        """f_c − f_y of every other class c, (N, K)"""
        return (logits - logits.gather(1, y[:, None])).scatter(1, y[:, None], -torch.inf)


@torch.no_grad()
def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """(N, K), in float32"""
    return torch.cat([model(part) for part in x.split(TOGETHER)])


def refuse_opaque(model: nn.Module, x: Tensor) -> None:
    """Raises CIFSError where logits are cut off from the image, so that there is no gradient to follow at all."""
    with torch.enable_grad():
        if not model(x.clone().requires_grad_()).requires_grad:
            raise CIFSError(
                "the model's logits are cut off from the image (a no_grad, a detach, numpy inside): no attack of the "
                "verdict can follow them. Square alone could attack it: `square`"
            )


def refuse_not_finite(logits: Tensor) -> None:
    """Raises CIFSError where logits (N, K) are nan or infinite: they are for no class, and no gradient leads on."""
    if wrong := int((~logits.isfinite()).any(dim=1).sum()):
        raise CIFSError(
            f"the model's logits of {wrong} of {len(logits)} images are nan or infinite: a verdict is of classes that "
            "can be told apart. Were its weights trained to the end, and are they stored in a type that holds them?"
        )


@torch.no_grad()
def refuse_unsteady(model: nn.Module, x: Tensor) -> None:
    """Raises CIFSError where an image's logits are not a function of the image: noise, or the batch it is in."""
    first = model(x)
    again = torch.cat([model(part) for part in x.flip(0).split(max(len(x) // 2, 1))]).flip(0)
    change, largest = float((first - again).abs().max()), float(first.abs().max())
    if not change <= SAME * largest:
        raise CIFSError(
            f"asked twice, in other company, the model gave the same image logits that differ by {change:.3g} (the "
            f"largest is {largest:.3g}): a verdict is of a function. Fix its noise, or wrap it in the average of many "
            "passes over fixed seeds, and ask for that network's verdict"
        )


@torch.no_grad()
def usable_precision(model: nn.Module, x: Tensor, precision: Precision) -> Precision:
    """float32 where bf16 changes many of the predictions, for its gradients would be those of another function."""
    if precision == "float32":
        return precision
    exact = model(x).argmax(dim=1)
    with autocast(x.device, precision):
        rounded = folded(model, x)(x).argmax(dim=1)
    return precision if (exact != rounded).float().mean() <= DIFFERING else "float32"
