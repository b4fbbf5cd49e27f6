"""Questions about a scene, with words to wait by because an attack takes its time."""

from collections.abc import Sequence

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
    return lab.waiting(f"Attacking the image with {attack_title(scene.attack)} …").attack(request)


def ask_channels(lab: Lab, scene: Scene, imgf: Choice | None = None) -> ChannelsResponse:
    request = ChannelsRequest(**scene.place, target=scene.target, relevance=scene.relevance, imgf=imgf)
    return lab.waiting("Looking at every channel …").channels(request)


def ask_maps(lab: Lab, scene: Scene, channel: int) -> MapsResult:
    request = MapsRequest(**scene.place, channels=[channel])
    return lab.waiting(f"Fetching the maps of channel {channel} …").maps(request).results[0]


def ask_what_if(
    lab: Lab, scene: Scene, *, scalings: Sequence[Scaling] = (), reselections: Sequence[Reselection] = ()
) -> WhatIfResult:
    """What the network says with its channels edited, beside as many edits of random channels."""
    request = WhatIfRequest(
        model=scene.model.id, images=[scene.image], attack=scene.attack, scalings=list(scalings),
        reselections=list(reselections), controls=CONTROLS if scalings else 0,
    )  # fmt: skip
    return lab.waiting("Asking the edited network …").what_if(request).results[0]
