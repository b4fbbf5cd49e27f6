"""Robustness measured honestly: exact settings, n and 95 % intervals with every figure."""

from cifs.evaluation.evaluate import Evaluation, Progress, digest, pack, unpack
from cifs.evaluation.interval import wilson
from cifs.evaluation.paired import Paired, mcnemar
from cifs.evaluation.table import BETAS, COLUMNS, Column, settings_to_try

__all__ = [
    "BETAS",
    "COLUMNS",
    "Column",
    "Evaluation",
    "Paired",
    "Progress",
    "digest",
    "mcnemar",
    "pack",
    "settings_to_try",
    "unpack",
    "wilson",
]
