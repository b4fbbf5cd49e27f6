"""What was measured of the models: channel statistics, and the robustness table."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend import measured, resolve
from backend.dependencies import LabDep, ModelDep
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import ChannelStatistics, Comparison, RobustnessRow, RobustnessTable
from cifs.data import dataset_names
from cifs.errors import UnknownName
from cifs.evaluation.rows import robustness_columns

router = APIRouter(route_class=StrictRoute, tags=["measured"])


@router.get("/models/{id}/channel-statistics", responses=responses(404, 422, 500))
def channel_statistics(
    model: ModelDep,
    lab: LabDep,
    class_index: Annotated[int, Query(alias="class", ge=0, description="class index", examples=[1])],
    layer: Annotated[str | None, Query(description="by default the last", examples=["layer4.0"])] = None,
) -> ChannelStatistics:
    """Means over a class's images, natural and attacked, of every channel of a layer: the paper's Figure 1.

    And its claim as a number: how far the attack shifted NR and PR channels, with 95 % intervals.
    """
    resolve.class_index(class_index, model, "class")
    return measured.statistics(lab.zoo.entry(model.id), model, layer, class_index)


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
