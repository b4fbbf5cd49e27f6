"""Attacks under ℓ∞."""

from cifs.attacks.linf import ATTACKS, CW, FGSM, PGD, Linf, Step, fools, goal_of, perturb, survives

__all__ = ["ATTACKS", "CW", "FGSM", "PGD", "Linf", "Step", "fools", "goal_of", "perturb", "survives"]
