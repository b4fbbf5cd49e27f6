"""What the reader writes about a channel; the backend keeps it beside the model."""

import json

import streamlit as st

from backend.schemas.laboratory import ChannelNote
from cifs_client import BackendError
from frontend.components.charts import file_name
from frontend.components.lab import Lab
from frontend.components.scene import Scene

LONGEST = 4000  # characters
SAID = "note said"  # of the session: what became of the last click


def show_note(lab: Lab, scene: Scene, channel: int) -> None:
    place = (scene.model.id, scene.layer.name, channel)
    notes = lab.notes(scene.model.id)
    mine = next((note for note in notes if (note.layer, note.channel) == place[1:]), None)
    key = f"note-{'-'.join(map(str, place))}"
    st.text_area(
        f"Notes on channel {channel} of {scene.layer.name}", mine.text if mine else "", key=key, max_chars=LONGEST,
        placeholder="What does it look for? Kept beside the model, for everybody who opens this page.",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Keep", key="keep-note", on_click=_keep, args=(lab, place, key))  # always ready to be pressed
        st.button("Delete", key="delete-note", on_click=_delete, args=(lab, place, key), disabled=mine is None)
        st.download_button(
            f"All {len(notes)} notes on this model", as_json(notes), f"{file_name(f'notes {scene.model.id}')}.json",
            "application/json", key="export-notes", type="tertiary", icon=":material/download:", on_click="ignore",
            disabled=not notes,
        )  # fmt: skip
    st.caption(st.session_state.pop(SAID, None) or (f"Written {mine.written}." if mine else "No note yet."))


def as_json(notes: list[ChannelNote]) -> str:
    return json.dumps([note.model_dump() for note in notes], indent=1, ensure_ascii=False)


def _keep(lab: Lab, place: tuple[str, str, int], key: str) -> None:
    text = st.session_state[key].strip()
    if not text:
        st.session_state[SAID] = "Not kept: nothing is written."
        return
    try:
        lab.write_note(*place, text)
        st.session_state[SAID] = "Kept."
    except BackendError as error:
        st.session_state[SAID] = f"Not kept: {error}"


def _delete(lab: Lab, place: tuple[str, str, int], key: str) -> None:
    try:
        lab.delete_note(*place)
        st.session_state[key] = ""
        st.session_state[SAID] = "Deleted."
    except BackendError as error:
        st.session_state[SAID] = f"Not deleted: {error}"
