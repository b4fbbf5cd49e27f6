"""`/studies`: experiments as data. A job of kind `study` runs one, or goes on with it."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath

from backend.dependencies import SettingsDep
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import StudyInfo, StudyView
from cifs.studies import load_study, record_of, study_names, verdicts, watch
from cifs.tasks import Workspace, study_folder

router = APIRouter(route_class=StrictRoute, tags=["studies"])


@router.get("/studies", responses=responses(500))
def studies(settings: SettingsDep) -> list[StudyInfo]:
    """The studies there are, those with most to show first."""
    views = [_view(name, settings.runs) for name in study_names()]
    views.sort(key=lambda view: 0 if view.record is None else -view.record.measured)
    return [StudyInfo.model_validate(view.model_dump()) for view in views]


@router.get("/studies/{name}", responses=responses(404, 422, 500))
def study(
    name: Annotated[str, InPath(pattern=r"^[\w-]+$", examples=["overfitting"])], settings: SettingsDep
) -> StudyView:
    """How far every training of a study is, and what has come out: accuracies, gains with intervals, tests, curves.

    The record is the one that was published with the project until this server has measured as many trainings.
    """
    return _view(name, settings.runs)


def _view(name: str, runs: Path) -> StudyView:
    plan = load_study(name)
    folder = study_folder(Workspace(runs=runs), name)
    cells = list(watch(plan, folder))
    record, published = record_of(name, folder)
    return StudyView(
        name=name,
        title=plan.title,
        question=plan.question,
        recipe=plan.recipe,
        planned=len(cells),
        measured=sum(cell.state == "measured" for cell in cells),
        arms={key: arm.title for key, arm in plan.arms.items()},
        regimes={key: regime.title for key, regime in plan.regimes.items()},
        cells=cells,
        record=record,
        published=published,
        verdicts=[] if record is None else verdicts(plan, record),
    )
