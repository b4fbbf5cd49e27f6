"""Channels: attack an image and watch what each channel of a layer does."""

import streamlit as st

from frontend import state
from frontend.components.channel_view import show_channels
from frontend.components.exports import to_take_away
from frontend.components.figure_one import show_its_class
from frontend.components.intervention import show_intervention
from frontend.components.lab import Lab, connect
from frontend.components.predictions import show_attack, show_trajectory
from frontend.components.problems import readable_errors
from frontend.components.scene import Scene, pick_scene
from frontend.components.selection import show_importance
from frontend.shelf import Shelf, opened

WORDS = """
- **channel**: one of a layer's detectors. It looks for one pattern everywhere in the image; where it finds it, its
  *feature map* is bright.
- **activation** *a*: a channel's mean over its map, how strongly it fires.
- **relevance** *g*: how the score of a class moves when the channel is raised a little everywhere.
- **PR**, positively relevant: *g* > 0, the channel speaks for the class. **NR**, negatively relevant: *g* ≤ 0.
- **importance** *m*: what CIFS multiplies a channel by, so that NR channels are held back. **IMGF** is the function
  that makes it from relevance, *m* = IMGF(*g*).
- **ε**: how far an attack may move each pixel (0 is black, 1 is white).
"""
VIEWS = {
    "every channel": show_channels,
    "its whole class": show_its_class,
    "importance": show_importance,
    "damp channels": show_intervention,
    "the attack, step by step": show_trajectory,
}


def page(lab: Lab) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="heading"):
        st.title("Why is this network fooled?", width="content", anchor=False)
        explain_words()
        scene = pick_scene(lab)
    with st.container(key="lead"):
        st.caption(
            "An attack moves each pixel by at most ε, too little to change what *we* see. "
            "Watch how it changes what the *channels* of one layer see."
        )
    if scene is not None:
        show_scene(lab, scene)


def explain_words() -> None:
    with st.popover("The words", icon=":material/dictionary:", type="tertiary"):
        st.markdown(WORDS)


def show_scene(lab: Lab, scene: Scene) -> None:
    with readable_errors("attack"):
        with opened() as attack:
            show_attack(lab, scene)
        show_view(lab, scene, attack)


@st.fragment
def show_view(lab: Lab, scene: Scene, attack: Shelf) -> None:
    """Runs alone when another view is chosen. `attack`: what was shown above it."""
    name = state.choose(
        st.segmented_control, "Look at", "view", list(VIEWS), default="every channel", required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    with readable_errors(f"view-{name}"), to_take_away(f"view-{name}", attack):
        VIEWS[name](lab, scene)


with state.address(), readable_errors("page"):
    page(connect())
