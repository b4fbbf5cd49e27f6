"""Experiments as data: studies."""

from cifs.studies.conduct import conduct, result_of
from cifs.studies.cost import costs, throughput
from cifs.studies.plan import Study, load_study, study_names
from cifs.studies.repeat import Repeated, repeated
from cifs.studies.report import filled, markdown
from cifs.studies.result import summary
from cifs.studies.verdicts import verdicts
from cifs.studies.watch import record_of, watch

__all__ = [
    "Repeated",
    "Study",
    "conduct",
    "costs",
    "filled",
    "load_study",
    "markdown",
    "record_of",
    "repeated",
    "result_of",
    "study_names",
    "summary",
    "throughput",
    "verdicts",
    "watch",
]
