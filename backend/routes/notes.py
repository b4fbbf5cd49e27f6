"""Notes that people keep about channels."""

from fastapi import APIRouter

from backend import resolve
from backend.dependencies import LabDep, ModelDep
from backend.lab import Lab
from backend.notes import Notes
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import ModelInfo
from backend.schemas.laboratory import ChannelNote, NoteText

router = APIRouter(route_class=StrictRoute, tags=["laboratory"])
PLACE = "/models/{id}/layers/{layer}/channels/{channel}/note"


@router.get("/models/{id}/notes", responses=responses(404, 422, 500))
def notes(model: ModelDep, lab: LabDep) -> list[ChannelNote]:
    """Every note on a model's channels, by layer and channel: to show, and to take away."""
    return _notes(model, lab).all()


@router.put(PLACE, responses=responses(400, 404, 413, 422, 500, 503))
def write(model: ModelDep, layer: str, channel: int, body: NoteText, lab: LabDep) -> ChannelNote:
    """Keeps a note on a channel, in the place of the one that was there."""
    _check(model, layer, channel)
    return _notes(model, lab).put(layer, channel, body.text)


@router.delete(PLACE, responses=responses(404, 422, 500))
def delete(model: ModelDep, layer: str, channel: int, lab: LabDep) -> ChannelNote:
    """Deletes the note on a channel, and answers with what it said."""
    _check(model, layer, channel)
    return _notes(model, lab).delete(layer, channel)


def _check(model: ModelInfo, layer: str, channel: int) -> None:
    """That the model has the channel: no text of a request becomes a path."""
    resolve.channels([channel], resolve.layer(model, layer))


def _notes(model: ModelInfo, lab: Lab) -> Notes:
    return Notes(lab.zoo.entry(model.id))
