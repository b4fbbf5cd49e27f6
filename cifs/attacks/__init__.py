"""Attacks under ℓ∞."""

from cifs.attacks.autoattack import GRADIENT_FREE, STAGES, AutoAttacked, autoattack
from cifs.attacks.linf import ATTACKS, CW, FGSM, PGD, Linf, Step, fooled_at, fools, goal_of, perturb, survives
from cifs.attacks.square import Searched, square

__all__ = [
    "ATTACKS",
    "CW",
    "FGSM",
    "GRADIENT_FREE",
    "PGD",
    "STAGES",
    "AutoAttacked",
    "Linf",
    "Searched",
    "Step",
    "autoattack",
    "fooled_at",
    "fools",
    "goal_of",
    "perturb",
    "square",
    "survives",
]
