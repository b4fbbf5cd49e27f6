"""Every channel's activation, natural against adversarial, and the maps of one of them."""

from typing import Any

import streamlit as st

from backend.schemas import ChannelsResult
from cifs.plot.activation import ActivationInfo, activation_figure, activation_info, mean_shift
from cifs.plot.maps import maps_figure, maps_info
from frontend import state
from frontend.captions import channel_sentence, most_changed, shift_sentence
from frontend.components.asking import ask_channels, ask_maps
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.problems import readable_errors
from frontend.components.scene import Scene

CHART = "channel-chart"
CHANNEL = "channel"
CHOSEN_FOR = "channel chosen for"


def show_channels(lab: Lab, scene: Scene) -> None:
    result = ask_channels(lab, scene).results[0]
    _explore(lab, scene, result)


def _explore(lab: Lab, scene: Scene, result: ChannelsResult) -> None:
    info = info_of(result)
    target = scene.model.classes[result.natural.target]
    st.header(f"The {len(info.channels)} channels of {scene.layer.name}, by relevance for {target}", anchor=False)
    shift = mean_shift(info)
    if shift is not None:
        st.markdown(shift_sentence(shift))
    place, pick, maps = st.container(), *st.columns([2, 3], gap="medium")
    with pick:
        channel = _pick_channel(scene, info)
        st.caption(f"{channel_sentence(info, channel)} Click a channel in the chart to see its maps.")
    with place:
        name = f"channels of {scene.layer.name}"
        draw(
            activation_figure(info, picked=channel), key=CHART, on_select=_take_click, selection_mode="points",
            alt=f"activation of every channel, natural and adversarial, by relevance for {target}", name=name,
        )  # fmt: skip
    with maps, readable_errors("maps"):
        _maps(lab, scene, channel)


def info_of(result: ChannelsResult) -> ActivationInfo:
    adversarial = result.adversarial.activation if result.adversarial else None
    return activation_info(result.natural.relevance, result.natural.activation, adversarial)


def _pick_channel(scene: Scene, info: ActivationInfo) -> int:
    """The one chosen for this image, model and layer; for another the one the attack moved the most."""
    of = f"{scene.model.id}, {scene.layer.name}, {scene.image.model_dump_json()}"
    if st.session_state.get(CHOSEN_FOR, of) != of and not state.recall(CHANNEL).from_address:
        state.keep(CHANNEL, None)
        st.session_state.pop(CHANNEL, None)
    st.session_state[CHOSEN_FOR] = of
    options = info.channels.tolist()
    most = most_changed(info)
    kinds = dict(zip(options, ["PR"] * info.n_pr + ["NR"] * (len(options) - info.n_pr), strict=True))
    first = "" if info.adversarial is None else ", moved the most"
    return state.choose(
        st.selectbox, "Channel, the most relevant first", CHANNEL, options, default=most,
        format_func=lambda k: f"channel {k} ({kinds[k]}{first if k == most else ''})",
    )  # fmt: skip


def _take_click() -> None:
    channel = clicked(st.session_state[CHART])
    if channel is not None:
        st.session_state[CHANNEL] = channel


def clicked(event: Any) -> int | None:
    """The channel in a chart's selection event, None where the click hit none."""
    points = event["selection"]["points"]
    data = points[0].get("customdata") if points else None
    if isinstance(data, list | tuple):
        data = data[0] if data else None
    return None if data is None else int(data)


def _maps(lab: Lab, scene: Scene, channel: int) -> None:
    maps = ask_maps(lab, scene, channel).channels[0]
    info = maps_info(maps.channel, maps.natural, maps.adversarial)
    draw(
        maps_figure(info), key="maps", name=f"maps of channel {channel}",
        alt=f"where channel {channel} fires, natural and adversarial",
    )  # fmt: skip
    st.caption(f"Where channel {channel} fires. One colour scale for both, so brighter is more on either side.")
