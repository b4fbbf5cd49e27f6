"""Attacks under ℓ∞."""

from cifs.attacks.autoattack import MAXIMISING, STAGES, AutoAttacked, autoattack, check_stages
from cifs.attacks.linf import ATTACKS, CW, FGSM, PGD, Linf, Step, fooled_at, fools, goal_of, perturb, survives
from cifs.attacks.square import Searched, square

__all__ = [
    "ATTACKS",
    "CW",
    "FGSM",
    "MAXIMISING",
    "PGD",
    "STAGES",
    "AutoAttacked",
    "Linf",
    "Searched",
    "Step",
    "autoattack",
    "check_stages",
    "fooled_at",
    "fools",
    "goal_of",
    "perturb",
    "square",
    "survives",
]
