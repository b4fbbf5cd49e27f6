"""Which channels an experiment holds back, by relevance."""

from collections.abc import Sequence

import numpy as np


def nr_channels(relevance: Sequence[float]) -> list[int]:
    """g ≤ 0."""
    return np.flatnonzero(np.asarray(relevance) <= 0).tolist()


def least_relevant(relevance: Sequence[float], kept: float) -> list[int]:
    """All but the share `kept` (at least one) with the highest relevance."""
    order = np.argsort(-np.asarray(relevance), kind="stable")
    return sorted(order[max(1, round(kept * len(order))) :].tolist())
