"""What a study measures of a network: levels of attack, each at least as strong as the one before.

natural → unadaptive (PGD-20 on the training's own loss) → adaptive (the strongest PGD-20 of a sweep over β_atk and
through the mask, chosen on validation images) → strongest (what withstands both, and two margin attacks besides).
Every network meets four attacks in all, so that a worst case over them is as hard on one arm as on another.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cifs.attacks import PGD, GradientAttack, survives
from cifs.data import Images
from cifs.evaluation import pack
from cifs.evaluation.table import mask_matters, settings_to_try
from cifs.models import CNN
from cifs.precision import Precision, device_of

LEVELS = ("natural", "unadaptive", "adaptive", "strongest")
Standing = dict[str, Tensor]  # by level, (N,) bool


def sweep(
    model: CNN, images: Images, eps: float, *, precision: Precision = "bf16"
) -> list[tuple[GradientAttack, float]]:
    """The settings of PGD-20 and the share of these (validation) images each leaves, the strongest first."""
    tries = settings_to_try(model, PGD(eps=eps, steps=20))
    everything = torch.ones(len(images), dtype=torch.bool)
    shares = [withstand(model, images, everything, attack, precision=precision).float().mean() for attack in tries]
    return sorted(((attack, share.item()) for attack, share in zip(tries, shares, strict=True)), key=lambda s: s[1])


def measure(model: CNN, images: Images, strongest: GradientAttack, *, precision: Precision = "bf16") -> dict[str, Any]:
    """What each level leaves of these images, and the settings of the four attacks. `strongest`: of the sweep."""
    unadaptive = PGD(eps=strongest.eps, steps=20)
    again = replace(unadaptive, random_start=True, seed=1)
    second = again if strongest == unadaptive else strongest
    margins = margin_attacks(model, unadaptive)
    natural = predicted(model, images)
    first = withstand(model, images, natural, unadaptive, precision=precision)
    both = withstand(model, images, first, second, precision=precision)
    adaptive = first if strongest == unadaptive else withstand(model, images, natural, strongest, precision=precision)
    standing = {"natural": natural, "unadaptive": first, "adaptive": adaptive, "strongest": both}
    for attack in margins:
        standing["strongest"] = withstand(model, images, standing["strongest"], attack, precision=precision)
    return {
        "n": len(images),
        "attacks": [attack.resolved() for attack in (unadaptive, second, *margins)],
        "adaptive": strongest.resolved(),
        "levels": {
            key: {"accuracy": bits.float().mean().item(), "standing": pack(bits)} for key, bits in standing.items()
        },
    }


def margin_attacks(model: CNN, attack: PGD) -> tuple[GradientAttack, GradientAttack]:
    """On the final output's margin from two random starts, the second through the importance maps if it matters."""
    margin = replace(attack, loss="margin", beta=0.0, random_start=True, seed=2)
    return margin, replace(margin, seed=3, through_mask=mask_matters(model))


def withstand(
    model: CNN, images: Images, among: Tensor, attack: GradientAttack, *, precision: Precision, batch_size: int = 250
) -> Tensor:
    """Which of the images `among` (N,) bool the attack leaves standing, (N,) bool."""
    standing = torch.zeros_like(among)
    for index in among.nonzero()[:, 0].split(batch_size):
        x, y = (t.to(device_of(model)) for t in images.batch(index))
        x = x.contiguous(memory_format=torch.channels_last)
        standing[index] = survives(model, x, y, attack, precision=precision).cpu()
    return standing


@torch.no_grad()
def predicted(model: CNN, images: Images, *, batch_size: int = 500) -> Tensor:
    """Which images the model (in eval mode) predicts right, (N,) bool."""
    right = []
    for index in torch.arange(len(images)).split(batch_size):
        x, y = (t.to(device_of(model)) for t in images.batch(index))
        right.append((model(x).argmax(dim=1) == y).cpu())
    return torch.cat(right)
