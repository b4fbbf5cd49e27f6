"""Experiments as data: studies."""

from cifs.studies.conduct import conduct, result_of
from cifs.studies.plan import Study, load_study, study_names

__all__ = ["Study", "conduct", "load_study", "result_of", "study_names"]
