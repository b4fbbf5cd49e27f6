"""`study`: a study as a task, for the command line and for jobs alike."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from pydantic import Field

from cifs.files import write_json
from cifs.plot.study import arm_panels, panels_figure, study_figure, study_info
from cifs.precision import usable_device
from cifs.progress import Report
from cifs.records import StudyRecord
from cifs.registry import settings
from cifs.studies import Study, conduct, load_study, markdown, summary
from cifs.tasks.base import TASKS, Prepared, Workspace
from cifs.training import check_model


@TASKS.register("study")
@settings
class RunStudy:
    """Train and measure what a study lacks, in its order, and sum up what there is."""

    study: str = Field(description="a name under `cifs study list`", pattern=r"^[\w-]+$")
    trainings: tuple[str, ...] = Field(default=(), description="only these, each REGIME-ARM-SEED; default: all")

    def prepare(self, workspace: Workspace) -> Prepared:
        return prepared_study(self.study, load_study(self.study), workspace, self.trainings)


def prepared_study(name: str, study: Study, workspace: Workspace, only: Collection[str] = ()) -> Prepared:
    """Also of a study in a file of one's own.

    Raises UnknownName for a training it has not, and what building any of its networks raises.
    """
    usable_device(workspace.device)
    for recipe in {(cell.regime, cell.arm): study.recipe_of(cell) for cell in study.chosen(only)}.values():
        check_model(recipe)
    folder = study_folder(workspace, name)
    run = partial(conduct, study, folder, only=only, device=workspace.device)
    return Prepared(partial(_run, name, study, folder, run), (), True, folder / "record.json")


def study_folder(workspace: Workspace, name: str) -> Path:
    """Where a study's cells, record, report and figures are."""
    return workspace.runs / "studies" / name


def _run(name: str, study: Study, folder: Path, run: Callable[..., object], report: Report) -> StudyRecord:
    try:
        run(report=report, measured=lambda: sum_up(name, study, folder))
    finally:
        record = sum_up(name, study, folder)
    return record


def sum_up(name: str, study: Study, folder: Path) -> StudyRecord:
    """Writes record.json, report.md and a figure for each regime beside the cells."""
    record = summary(name, study, folder)
    write_json(folder / "record.json", record.model_dump(mode="json"))
    (folder / "report.md").write_text(markdown(record), encoding="utf-8")
    for regime in {accuracy.regime for accuracy in record.accuracies}:
        figures = {"": study_figure(study_info(record, regime)), "-arms": panels_figure(arm_panels(record, regime))}
        for suffix, figure in figures.items():
            figure.write_html(folder / f"{regime}{suffix}.html", include_plotlyjs="cdn")
    return record
