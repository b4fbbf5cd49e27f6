"""What the laboratory's views share: what is asked about, and how numbers are said."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from frontend import state
from frontend.components.scene import Scene


def about(scene: Scene) -> dict[str, Any]:
    """Model, image and attack, as every request of the laboratory names them."""
    return {"model": scene.model.id, "images": [scene.image], "attack": scene.attack}


def kind(relevance: float) -> str:
    return "PR" if relevance > 0 else "NR"


def plural(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


ALL_LAYERS = "all layers"


def pick_layers(scene: Scene) -> list[str]:
    """The scene's layer, or every layer of the network."""
    options = [scene.layer.name, ALL_LAYERS]
    chosen = state.choose(
        st.segmented_control, "Channels of", "circuit-layers", options, default=options[0], required=True
    )
    return [layer.name for layer in scene.model.layers] if chosen == ALL_LAYERS else [scene.layer.name]


def listed(names: Sequence[str]) -> str:
    """As in "stem, layer1.0 and layer2.0"."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
