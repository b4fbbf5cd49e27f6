"""Questions about a scene, asked with a spinner because an attack takes its time."""

from collections.abc import Sequence

import streamlit as st

from backend.schemas import (
    AttackRequest,
    AttackResponse,
    ChannelsRequest,
    ChannelsResponse,
    Choice,
    InterveneRequest,
    InterveneResult,
    MapsRequest,
    MapsResult,
)
from frontend.captions import attack_title
from frontend.components.lab import Lab
from frontend.components.scene import Scene


def ask_attack(lab: Lab, scene: Scene) -> AttackResponse:
    request = AttackRequest(model=scene.model.id, images=[scene.image], attack=scene.attack, trajectory=True)
    with st.spinner(f"Attacking the image with {attack_title(scene.attack)} …", show_time=True):
        return lab.attack(request)


def ask_channels(lab: Lab, scene: Scene, imgf: Choice | None = None) -> ChannelsResponse:
    request = ChannelsRequest(**scene.place, target=scene.target, relevance=scene.relevance, imgf=imgf)
    with st.spinner("Looking at every channel …", show_time=True):
        return lab.channels(request)


def ask_maps(lab: Lab, scene: Scene, channel: int) -> MapsResult:
    with st.spinner(f"Fetching the maps of channel {channel} …", show_time=True):
        return lab.maps(MapsRequest(**scene.place, channels=[channel])).results[0]


def ask_interventions(lab: Lab, scene: Scene, masks: Sequence[list[float]]) -> list[InterveneResult]:
    """One answer a mask."""
    with st.spinner("Asking again, under the mask …", show_time=True):
        return [lab.intervene(InterveneRequest(**scene.place, mask=mask)).results[0] for mask in masks]
