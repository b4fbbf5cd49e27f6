"""Attacks: an attack owns its update, a norm its ball, and one loop runs them all."""

from cifs.attacks.annealed import Annealed, AnnealedT
from cifs.attacks.apgd import APGDCE, APGDDLR, APGDT
from cifs.attacks.attack import ATTACKS, Attack, GradientAttack, Run, Start
from cifs.attacks.autoattack import MAXIMISING, STAGES, AutoAttack, AutoAttacked, autoattack, check_stages
from cifs.attacks.loop import Step, fooled_at, fools, goal_of, has_won, perturb, survives
from cifs.attacks.mifgsm import MIFGSM
from cifs.attacks.norms import NORMS, Norm
from cifs.attacks.pgd import CW, FGSM, PGD, PGDL2
from cifs.attacks.square import Searched, Square, square

__all__ = [
    "APGDCE",
    "APGDDLR",
    "APGDT",
    "ATTACKS",
    "CW",
    "FGSM",
    "MAXIMISING",
    "MIFGSM",
    "NORMS",
    "PGD",
    "PGDL2",
    "STAGES",
    "Annealed",
    "AnnealedT",
    "Attack",
    "AutoAttack",
    "AutoAttacked",
    "GradientAttack",
    "Norm",
    "Run",
    "Searched",
    "Square",
    "Start",
    "Step",
    "autoattack",
    "check_stages",
    "fooled_at",
    "fools",
    "goal_of",
    "has_won",
    "perturb",
    "square",
    "survives",
]
