"""The importance a layer gives its channels, and what is left of them afterwards."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from backend.schemas import ChannelsResponse
from cifs.plot.importance import ImportanceInfo, curve_figure, importance_info, road_figure
from frontend.captions import road_sentence
from frontend.components.asking import ask_channels
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.scene import Scene
from frontend.parameters import TITLES

UNCHANGED = {
    True: "C · m is shown: 1 means unchanged on average. The m share a fixed sum, so each image has its own curve.",
    False: "1 means unchanged.",
}
WHAT_IF = (
    "Each point is a channel; together they draw the curve of the what-if IMGF. Its g is the relevance for {target}, "
    "for the attacked image too: a defence does not know that class, and would have to assess g from the input alone."
)
OWN = (
    "Each point is a channel; together they draw the curve of the model's own IMGF. Its g is what the layer's probe "
    "assesses from the input alone, so it may speak for another class once the input is attacked."
)


def show_importance(lab: Lab, scene: Scene) -> None:
    response = ask_channels(lab, scene)
    info = importance_of(response)
    if info is None:
        st.info(
            f"{scene.layer.name} of this model is a plain layer: all its channels pass unchanged. Choose a CIFS model "
            "and a layer marked CIFS, or try an importance map on this layer on the IMGF page.",
            icon=":material/filter_alt_off:",
        )
        return
    show_road(info, response, target_words(scene))


def parameters_text(chosen: Mapping[str, Any]) -> str:
    """As in "softmax, Temperature T = 1.0, times the number of channels"; what is false is left out."""
    given = [_told(name, value) for name, value in chosen.items() if name != "name" and value is not False]
    return ", ".join([chosen["name"], *given])


def _told(name: str, value: Any) -> str:
    title = TITLES.get(name, name)
    return title.lower() if value is True else f"{title} = {value}"


def target_words(scene: Scene) -> str:
    """What the relevance asked for speaks of."""
    if scene.target == "label":
        return "the true label"
    return "each image's own prediction" if scene.target == "prediction" else scene.model.classes[scene.target]


def importance_of(response: ChannelsResponse) -> ImportanceInfo | None:
    """Of the first image; None where the answer holds no importance."""
    result = response.results[0]
    own = response.importance_source == "model"
    return importance_info(result.natural, result.adversarial, imgf=response.imgf, own=own)


def show_road(info: ImportanceInfo, response: ChannelsResponse, target: str) -> None:
    """target: what the relevance asked for speaks of, in words."""
    curve, road = st.columns([4, 5], gap="medium")
    with curve:
        st.header("m = IMGF(g)", anchor=False)
        st.caption(f"{OWN if info.own else WHAT_IF.format(target=target)} {UNCHANGED[info.factor != 1]}")
        draw(curve_figure(info), key="curve", alt="importance against relevance")
        if response.imgf:
            st.caption(parameters_text(response.imgf))
    with road:
        st.header("g → m → selected features", anchor=False)
        st.caption(road_sentence(info))
        draw(road_figure(info), key="road", alt="relevance, importance, activation and selected features by channel")
