"""Every channel's activation, natural against adversarial, and the maps of one of them."""

from typing import Any

import streamlit as st

from backend.schemas import ChannelsResult
from cifs.plot.activation import ActivationInfo, MeanShift, activation_figure, activation_info, mean_shift
from cifs.plot.maps import maps_figure, maps_info
from frontend import state
from frontend.components.asking import ask_channels, ask_maps
from frontend.components.lab import Lab
from frontend.components.problems import readable_errors
from frontend.components.scene import Scene

CHART = "channel-chart"
CHANNEL = "channel"


def show_channels(lab: Lab, scene: Scene) -> None:
    result = ask_channels(lab, scene).results[0]
    _explore(lab, scene, result)


@st.fragment
def _explore(lab: Lab, scene: Scene, result: ChannelsResult) -> None:
    info = info_of(result)
    target = scene.model.classes[result.natural.target]
    st.subheader(f"The {len(info.channels)} channels of {scene.layer.name}, ordered by their relevance for {target}")
    st.caption(
        "A **PR** channel (left) speaks for the class, an **NR** channel (right) against it. In a fooled network the "
        "PR channels fall silent and the NR channels are over-active. Click a channel to see its maps."
    )
    _shift(mean_shift(info))
    place = st.container()
    channel = _pick_channel(scene, info)
    with place:
        figure = activation_figure(info, picked=channel)
        st.plotly_chart(
            figure, key=CHART, on_select=_take_click, selection_mode="points",
            alt="activation of every channel, natural and adversarial, ordered by relevance",
        )  # fmt: skip
    with readable_errors("maps"):
        _maps(lab, scene, channel)


def info_of(result: ChannelsResult) -> ActivationInfo:
    adversarial = result.adversarial.activation if result.adversarial else None
    return activation_info(result.natural.relevance, result.natural.activation, adversarial)


def _shift(found: MeanShift | None) -> None:
    if found is None:
        return
    kinds = (
        ("NR", found.nr_adversarial, found.nr_over_activation, "over-activated", found.nr_over_activated),
        ("PR", found.pr_adversarial, -found.pr_under_activation, "under-activated", found.pr_under_activated),
    )
    columns = iter(st.columns(4))
    for kind, mean, change, way, share in kinds:
        looks: dict[str, Any] = {"delta_color": "off", "border": True, "height": "stretch"}
        next(columns).metric(
            f"{kind} channels: mean activation", f"{mean:.3g}", f"{change:+.3g} by the attack", **looks
        )
        next(columns).metric(f"{kind} channels {way}", f"{share:.0%}", **looks)


def _pick_channel(scene: Scene, info: ActivationInfo) -> int:
    options = info.channels.tolist()
    kinds = {channel: "PR" if rank < info.n_pr else "NR" for rank, channel in enumerate(options)}
    return state.choose(
        st.selectbox, "Channel, the most relevant first", CHANNEL, options, default=most_changed(info),
        format_func=lambda channel: f"channel {channel} ({kinds[channel]})",
    )  # fmt: skip


def most_changed(info: ActivationInfo) -> int:
    """The channel to show first: where the attack moved the activation the most."""
    if info.adversarial is None:
        return int(info.channels[0])
    return int(info.channels[abs(info.adversarial - info.natural).argmax()])


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
    st.caption(f"Where channel {channel} fires. One colour scale for both, so brighter is more on either side.")
    st.plotly_chart(
        maps_figure(maps_info(maps.channel, maps.natural, maps.adversarial)),
        key="maps",
        alt=f"feature maps of channel {channel}",
    )
