"""Attacks under ℓ∞."""

from cifs.attacks.autoattack import STAGES, AutoAttacked, autoattack
from cifs.attacks.linf import ATTACKS, CW, FGSM, PGD, Linf, Step, fools, goal_of, perturb, survives
from cifs.attacks.square import Searched, square

__all__ = [
    "ATTACKS",
    "CW",
    "FGSM",
    "PGD",
    "STAGES",
    "AutoAttacked",
    "Linf",
    "Searched",
    "Step",
    "autoattack",
    "fools",
    "goal_of",
    "perturb",
    "square",
    "survives",
]
