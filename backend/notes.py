"""What people write about channels: one small file a channel beside the model, replaced whole or not at all."""

import json
from datetime import UTC, datetime
from pathlib import Path

from backend.errors import Refusal
from backend.schemas.laboratory import ChannelNote
from cifs.files import replacing
from cifs.zoo import Entry

FOLDER = "notes"  # of the model's
MOST = 2_000  # notes of one model


class Notes:
    """Of one model. Whoever writes last is right; a note is gone when it, or its model, is deleted."""

    def __init__(self, entry: Entry) -> None:
        self.folder = entry.folder / FOLDER

    def all(self) -> list[ChannelNote]:
        """By layer and channel. What cannot be read as a note is none."""
        found = [note for path in self.folder.glob("*.json") if (note := _read(path)) is not None]
        return sorted(found, key=lambda note: (note.layer, note.channel))

    def get(self, layer: str, channel: int) -> ChannelNote | None:
        return _read(self._path(layer, channel))

    def put(self, layer: str, channel: int, text: str) -> ChannelNote:
        """Raises Refusal: 422 where the model has too many, 503 where this server cannot write."""
        path = self._path(layer, channel)
        if not path.exists() and len(list(self.folder.glob("*.json"))) >= MOST:
            raise Refusal(422, f"{MOST} notes on this model already, as many as are kept; delete one", location="text")
        written = datetime.now(UTC).isoformat(timespec="seconds")
        note = ChannelNote(layer=layer, channel=channel, text=text, written=written)
        try:
            with replacing(path) as temporary:
                temporary.write_text(note.model_dump_json(), encoding="utf-8")
        except OSError as error:
            raise Refusal(
                503, f"the note was not kept: {error.strerror}; this server's models are read-only"
            ) from error
        return note

    def delete(self, layer: str, channel: int) -> ChannelNote:
        """The note that was there. Raises Refusal (404) where there is none."""
        note = self.get(layer, channel)
        if note is None:
            raise Refusal(404, f"there is no note on channel {channel} of layer {layer!r}")
        self._path(layer, channel).unlink(missing_ok=True)
        return note

    def _path(self, layer: str, channel: int) -> Path:
        """layer: one the model has, so that no text of a request becomes a path."""
        return self.folder / f"{layer}-{channel}.json"


def _read(path: Path) -> ChannelNote | None:
    try:
        return ChannelNote.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
