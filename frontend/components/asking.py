"""Questions about a scene, asked with a spinner because an attack takes its time."""

from collections.abc import Sequence

import streamlit as st

from backend.schemas import (
    AttackRequest,
    AttackResponse,
    ChannelsRequest,
    ChannelsResponse,
    Choice,
    MapsRequest,
    MapsResult,
)
from backend.schemas.laboratory import Reselection, Scaling, WhatIfRequest, WhatIfResult
from frontend.captions import attack_title
from frontend.components.lab import Lab
from frontend.components.scene import Scene

CONTROLS = 20  # random draws


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


def ask_what_if(
    lab: Lab, scene: Scene, *, scalings: Sequence[Scaling] = (), reselections: Sequence[Reselection] = ()
) -> WhatIfResult:
    """What the network says with its channels edited, beside as many edits of random channels."""
    request = WhatIfRequest(
        model=scene.model.id, images=[scene.image], attack=scene.attack, scalings=list(scalings),
        reselections=list(reselections), controls=CONTROLS if scalings else 0,
    )  # fmt: skip
    with st.spinner("Asking the edited network …", show_time=True):
        return lab.what_if(request).results[0]
