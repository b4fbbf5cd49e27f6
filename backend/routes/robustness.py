"""What was measured of the models: channel statistics, and the robustness table."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend import measured, resolve
from backend.dependencies import LabDep, ModelDep
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import ChannelStatistics, RobustnessRow, RobustnessTable

router = APIRouter(route_class=StrictRoute, tags=["measured"])


@router.get("/models/{id}/channel-statistics", responses=responses(404, 422, 500))
def channel_statistics(
    model: ModelDep,
    lab: LabDep,
    class_index: Annotated[int, Query(alias="class", ge=0, description="class index", examples=[1])],
    layer: Annotated[str | None, Query(description="by default the last", examples=["layer4.0"])] = None,
) -> ChannelStatistics:
    """Means over a class's images, natural and attacked, of every channel of a layer: the paper's Figure 1."""
    resolve.class_index(class_index, model, "class")
    return measured.statistics(lab.zoo.entry(model.id), model, layer, class_index)


@router.get("/models/{id}/robustness", responses=responses(404, 422, 500))
def robustness(model: ModelDep, lab: LabDep) -> RobustnessRow:
    """One model's row of the table."""
    return lab.robustness_row(model.id)


@router.get("/robustness")
def table(lab: LabDep) -> RobustnessTable:
    """Accuracy of every evaluated model under every attack, each with its 95 % interval and exact settings."""
    return measured.table(lab.robustness_rows())
