"""`compare`: is a difference between two models one?"""

from functools import partial

from pydantic import Field

from cifs.evaluation import compare_evaluations
from cifs.progress import Report
from cifs.records import Comparison, Evaluation
from cifs.registry import settings
from cifs.tasks.base import TASKS, Prepared, Workspace, evaluated


@TASKS.register("compare")
@settings
class Compare:
    """Is one model really more robust? McNemar's exact test on the same images, by column."""

    first: str = Field(description="id in the zoo")
    second: str = Field(description="id in the zoo, evaluated on images of the same split")

    def prepare(self, workspace: Workspace) -> Prepared:
        first, second = (evaluated(workspace.zoo.entry(model)) for model in (self.first, self.second))
        return Prepared(partial(_run, first, second))


def _run(first: Evaluation, second: Evaluation, report: Report) -> Comparison:
    return compare_evaluations(first, second)
