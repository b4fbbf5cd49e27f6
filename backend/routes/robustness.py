"""What was measured of the models: channel statistics, and the robustness table."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from backend import measured, resolve
from backend.dependencies import LabDep, ModelDep
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import ChannelStatistics, Comparison, RobustnessRow, RobustnessTable
from cifs.data import dataset_names
from cifs.errors import UnknownName
from cifs.evaluation.rows import robustness_columns
from cifs.report import FORMATS, groups
from cifs.report.card import card

router = APIRouter(route_class=StrictRoute, tags=["measured"])


def _text(example: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": example}}, "description": "text"}}


@router.get("/models/{id}/channel-statistics", responses=responses(404, 422, 500))
def channel_statistics(
    model: ModelDep,
    lab: LabDep,
    class_index: Annotated[int, Query(alias="class", ge=0, description="class index", examples=[1])],
    layer: Annotated[str | None, Query(description="by default the last", examples=["layer4.0"])] = None,
    all_classes: Annotated[
        bool, Query(description="also the shift over all classes, whose intervals take half a second")
    ] = True,
) -> ChannelStatistics:
    """Means over a class's images, natural and attacked, of every channel of a layer: the paper's Figure 1.

    And its claim as a number: how far the attack shifted NR and PR channels, with 95 % intervals.
    """
    resolve.class_index(class_index, model, "class")
    return measured.statistics(lab.zoo.entry(model.id), model, layer, class_index, all_classes=all_classes)


@router.get("/models/{id}/robustness", responses=responses(404, 422, 500))
def robustness(model: ModelDep, lab: LabDep) -> RobustnessRow:
    """One model's row of the table."""
    return lab.robustness_row(model.id)


@router.get("/robustness", responses=responses(404, 422))
def table(
    lab: LabDep,
    dataset: Annotated[str | None, Query(description="only what is of it", examples=["fashion_mnist"])] = None,
) -> RobustnessTable:
    """Everything measured of every evaluated model.

    Accuracy under every attack with its 95 % interval and exact settings, by class, against ε and steps; the
    gradient-masking checks. Beside it what the paper reports.
    """
    rows = lab.robustness_rows()
    if dataset is not None and dataset not in (known := {*dataset_names(), *(row.dataset for row in rows)}):
        raise UnknownName("data set", dataset, sorted(known))
    return robustness_columns(rows, dataset)


@router.get("/robustness/compare", responses=responses(404, 422, 500))
def compare(
    lab: LabDep,
    first: Annotated[str, Query(description="model id", examples=["fmnist-resnet10-w16-cifs-softmax"])],
    second: Annotated[str, Query(description="model id", examples=["fmnist-resnet10-w16-vanilla"])],
) -> Comparison:
    """Is one model really more robust? McNemar's exact test on the same images, column by column."""
    return measured.comparison(lab.zoo.entry(first), lab.zoo.entry(second))


@router.get(
    "/robustness/export",
    response_class=PlainTextResponse,
    responses=_text("| Model | Natural | PGD-20 |\n| --- | ---: | ---: |") | responses(404, 422),
)
def export(
    lab: LabDep,
    group: Annotated[str, Query(description="which models, as `GET /robustness/groups` names them")],
    form: Annotated[Literal["csv", "markdown", "latex"], Query(alias="format")] = "markdown",
) -> PlainTextResponse:
    """The table of models that may stand in one, as a file: the rendering the command line and the dashboard use."""
    tables = groups(robustness_columns(lab.robustness_rows()))
    if group not in tables:
        raise UnknownName("group", group, tables)
    written = next(f for f in FORMATS if f.name.lower() == form)
    return PlainTextResponse(written.write(tables[group]), media_type=written.mime)


@router.get("/robustness/groups", responses=responses())
def group_names(lab: LabDep) -> list[str]:
    """Models of one data set, network and budget share a table: the names of these groups."""
    return list(groups(robustness_columns(lab.robustness_rows())))


@router.get(
    "/models/{id}/card",
    response_class=PlainTextResponse,
    responses=_text("# fmnist-resnet10-w16-natural\n\n## Training") | responses(404, 422, 500),
)
def model_card(model: ModelDep, lab: LabDep) -> PlainTextResponse:
    """The model's card, Markdown, written from what is kept of it now."""
    return PlainTextResponse(card(lab.zoo.entry(model.id)), media_type="text/markdown")
