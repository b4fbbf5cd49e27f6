"""Robustness measured honestly: exact settings, n and 95 % intervals with every figure."""

from cifs.evaluation.checks import CHECKS, Check, Checking, Finding, run_checks
from cifs.evaluation.comparison import Compared, Tried, compare_columns, compare_settings
from cifs.evaluation.evaluate import Evaluation, Progress, digest, pack, unpack
from cifs.evaluation.interval import wilson
from cifs.evaluation.kept import is_of_fewer, of_more, with_autoattack, with_curves, with_more, with_table
from cifs.evaluation.paired import Paired, difference_interval, mcnemar
from cifs.evaluation.table import BETAS, COLUMNS, TABLE, Column, settings_to_try

__all__ = [
    "BETAS",
    "CHECKS",
    "COLUMNS",
    "TABLE",
    "Check",
    "Checking",
    "Column",
    "Compared",
    "Evaluation",
    "Finding",
    "Paired",
    "Progress",
    "Tried",
    "compare_columns",
    "compare_settings",
    "difference_interval",
    "digest",
    "is_of_fewer",
    "mcnemar",
    "of_more",
    "pack",
    "run_checks",
    "settings_to_try",
    "unpack",
    "wilson",
    "with_autoattack",
    "with_curves",
    "with_more",
    "with_table",
]
