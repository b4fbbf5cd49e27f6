"""Masks of the reader's own, from relevance: multipliers for a layer's channels."""

from collections.abc import Sequence

import numpy as np


def damp_nr(relevance: Sequence[float], factor: float) -> list[float]:
    """NR channels (g ≤ 0) times `factor`, PR channels unchanged."""
    return np.where(np.asarray(relevance) > 0, 1.0, factor).tolist()


def keep_most_relevant(relevance: Sequence[float], share: float) -> list[float]:
    """1 for the `share` of channels with the highest relevance (at least one), 0 for the rest."""
    g = np.asarray(relevance)
    mask = np.zeros(len(g))
    mask[np.argsort(-g, kind="stable")[: max(1, round(share * len(g)))]] = 1.0
    return mask.tolist()


def shuffled(mask: Sequence[float], seed: int = 0) -> list[float]:
    """The same multipliers on channels drawn at random: the control."""
    return np.random.default_rng(seed).permutation(np.asarray(mask)).tolist()
