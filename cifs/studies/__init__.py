"""Experiments as data: studies."""

from cifs.studies.conduct import conduct, result_of
from cifs.studies.plan import Study, load_study, study_names
from cifs.studies.report import markdown
from cifs.studies.result import summary
from cifs.studies.task import RunStudy, prepared_study, study_folder, sum_up

__all__ = [
    "RunStudy",
    "Study",
    "conduct",
    "load_study",
    "markdown",
    "prepared_study",
    "result_of",
    "study_folder",
    "study_names",
    "sum_up",
    "summary",
]
