"""Robustness measured honestly: exact settings, n and 95 % intervals with every figure."""

from cifs.evaluation.autoattacked import autoattack_cell
from cifs.evaluation.bench import CRITERION, Bench, standing_of
from cifs.evaluation.checks import CHECKS, Case, Check, Finding, run_checks
from cifs.evaluation.comparison import compare_evaluations, compare_verdict
from cifs.evaluation.curves import accuracy_curves
from cifs.evaluation.interval import wilson
from cifs.evaluation.outcomes import accuracy, pack, unpack
from cifs.evaluation.paired import Paired, difference_interval, mcnemar
from cifs.evaluation.table import BETAS, COLUMNS, TABLE, ColumnSpec, robustness_table, settings_to_try

__all__ = [
    "BETAS",
    "CHECKS",
    "COLUMNS",
    "CRITERION",
    "TABLE",
    "Bench",
    "Case",
    "Check",
    "ColumnSpec",
    "Finding",
    "Paired",
    "accuracy",
    "accuracy_curves",
    "autoattack_cell",
    "compare_evaluations",
    "compare_verdict",
    "difference_interval",
    "mcnemar",
    "pack",
    "robustness_table",
    "run_checks",
    "settings_to_try",
    "standing_of",
    "unpack",
    "wilson",
]
