"""The circuit of a failure: the channels whose natural activations bring the label back, or the reverse."""

import streamlit as st

from backend.schemas.laboratory import CircuitRequest, CircuitResponse, CircuitResult, Direction
from cifs.plot.circuit import PatchInfo, patch_figure
from frontend import state
from frontend.components.charts import draw, named
from frontend.components.lab import Lab
from frontend.components.laboratory.common import about, kind, listed, pick_layers, plural
from frontend.components.scene import Scene
from frontend.components.tables import show_rows

MOST_ROWS = 7  # of a table beside the chart; a longer one scrolls
DIRECTIONS: dict[Direction, str] = {
    "restore": "natural activations into the attacked pass",
    "break": "attacked activations into the natural pass",
}


def show_circuit(lab: Lab, scene: Scene) -> None:
    left, right = st.columns([2, 5], gap="medium")
    with left:
        layers = pick_layers(scene)
    with right:
        direction = state.choose(
            st.segmented_control, "Patch", "circuit-direction", list(DIRECTIONS), default="restore", required=True,
            format_func=DIRECTIONS.__getitem__,
        )  # fmt: skip
    request = CircuitRequest(**about(scene), layers=layers, direction=direction)
    response = lab.waiting("Patching channels …").circuit(request)
    result = response.results[0]
    words = sentence(response, scene.model.classes)
    st.markdown(words)
    if not result.channels:
        return
    chart, table = st.columns([3, 2], gap="medium")
    with chart:
        info = info_of(result, direction)
        draw(
            patch_figure(info), key="patch-curves", alt=words.replace("*", ""),
            name=f"circuit, {' '.join(response.layers)}",
        )  # fmt: skip
    with table:
        _table(result)
        _download(response)
    st.caption(
        "Greedy: of the channels that promise most by a first-order estimate, the one that moves the margin most is "
        "patched; then each that is not needed is taken out again. None that is left can be spared, but a smaller set "
        f"may exist. Took {response.seconds:.2f} s."
    )


def info_of(result: CircuitResult, direction: Direction) -> PatchInfo:
    curves = result.curves
    return PatchInfo(
        curves.counts, curves.circuit, curves.relevance, curves.random, curves.random_low, curves.random_high,
        len(result.channels), result.reached, direction == "restore",
    )  # fmt: skip


def sentence(response: CircuitResponse, classes: list[str]) -> str:
    """The answer, with the control beside it."""
    result, layers = response.results[0], listed(response.layers)
    label, restoring = classes[result.label], response.direction == "restore"
    start = result.adversarial if restoring else result.natural
    if not result.channels and result.reached:
        return f"Nothing to do: the {'attacked' if restoring else 'natural'} image is taken for {start.class_name}."
    channels = f"**{plural(len(result.channels), 'channel')} of {result.channels_in_all}** ({layers})"
    if not result.reached:
        return f"Even with {channels} patched, the image is taken for **{result.patched.class_name}**."
    control = f"Of random sets of the same size, **{result.random_share:.0%}** do the same."
    if restoring:
        return f"{channels}, given their natural activations, bring **{label}** back. {control}"
    return f"{channels}, given their attacked activations, turn {label} into **{result.patched.class_name}**. {control}"


def _table(result: CircuitResult) -> None:
    rows = [
        {"layer": c.layer, "channel": c.channel, "kind": kind(c.relevance), "margin after": f"{c.margin:.2f}"}
        for c in result.channels
    ]
    show_rows(st.table, rows, key="circuit-table", name="circuit", height=300 if len(rows) > MOST_ROWS else "content")


def _download(response: CircuitResponse) -> None:
    st.download_button(
        "The circuit as JSON", response.model_dump_json(indent=2), f"{named('circuit')}.json",
        "application/json", type="tertiary", icon=":material/download:", on_click="ignore",
    )  # fmt: skip
