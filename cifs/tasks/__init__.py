"""Tasks: train, evaluate, check, …: typed requests, and all policy on what is saved, resumed and merged."""

from cifs.tasks.base import TASKS, Prepared, Task, Workspace, run_task, task_of
from cifs.tasks.checking import CheckMasking
from cifs.tasks.comparing import Compare
from cifs.tasks.exemplars import ExemplarsRecord, FindExemplars, exemplars_of, exemplars_path
from cifs.tasks.looking import AttackedImages, AttackImages, ChannelReadings, ReadChannels
from cifs.tasks.robustness import AccuracyCurves, AutoAttackLeft, Evaluate, own_counterpart
from cifs.tasks.speedrun import SpeedrunEntry, speedrun
from cifs.tasks.statistics import MeasureStatistics, StatisticsRecord
from cifs.tasks.studying import RunStudy, prepared_study, study_folder, sum_up
from cifs.tasks.surveying import SurveyImages, SurveyRecord, survey_of, survey_path
from cifs.tasks.training import Train, TrainedModel
from cifs.tasks.verdict import ReachVerdict, verified

__all__ = [
    "TASKS",
    "AccuracyCurves",
    "AttackImages",
    "AttackedImages",
    "AutoAttackLeft",
    "ChannelReadings",
    "CheckMasking",
    "Compare",
    "Evaluate",
    "ExemplarsRecord",
    "FindExemplars",
    "MeasureStatistics",
    "Prepared",
    "ReachVerdict",
    "ReadChannels",
    "RunStudy",
    "SpeedrunEntry",
    "StatisticsRecord",
    "SurveyImages",
    "SurveyRecord",
    "Task",
    "Train",
    "TrainedModel",
    "Workspace",
    "exemplars_of",
    "exemplars_path",
    "own_counterpart",
    "prepared_study",
    "run_task",
    "speedrun",
    "study_folder",
    "sum_up",
    "survey_of",
    "survey_path",
    "task_of",
    "verified",
]
