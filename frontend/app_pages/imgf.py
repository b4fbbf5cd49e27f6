"""IMGF: how an importance map generating function turns relevance into importance."""

import streamlit as st

from backend.schemas import Choice
from backend.schemas.laboratory import Reselection
from frontend import state
from frontend.components.asking import ask_channels, ask_what_if
from frontend.components.exports import to_take_away
from frontend.components.intervention import show_both
from frontend.components.lab import Lab, connect
from frontend.components.predictions import show_twins
from frontend.components.problems import readable_errors
from frontend.components.scene import Scene, pick_scene
from frontend.components.schema_form import sliders
from frontend.components.selection import importance_of, show_road, target_words

OWN = "own"


def page(lab: Lab) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="heading"):
        st.title("From relevance to importance", width="content", anchor=False)
        scene = pick_scene(lab, anywhere=False)  # a map can be put where a probe or the head follows
    st.markdown(
        "CIFS multiplies each channel by an importance **m = IMGF(g)**: the higher its relevance *g*, the more. How "
        "much is left where *g* is negative depends on T or α: next to nothing where T is small or α large, almost as "
        "much as elsewhere where T is large or α small. Move a parameter and see which channels get through, for this "
        "image and for its attacked twin."
    )
    if scene is not None:
        show_scene(lab, scene)


@st.fragment
def show_scene(lab: Lab, scene: Scene) -> None:
    """Runs alone when another function is chosen."""
    twins, choice = st.columns([1, 2], gap="large")
    with twins, readable_errors("twins"):
        show_twins(lab, scene)
    with choice:
        imgf = pick_imgf(lab, scene)
    with to_take_away("imgf"):
        if imgf is not None:
            with readable_errors("consequence"):
                show_consequence(lab, scene, imgf)
        with readable_errors("imgf"):
            show_imgf(lab, scene, imgf)


def pick_imgf(lab: Lab, scene: Scene) -> Choice | None:
    """A what-if IMGF with its parameters, or None for the model's own."""
    described = {imgf.name: imgf for imgf in lab.imgfs()}
    own = [OWN] if scene.layer.modified and scene.model.imgf else []
    name = state.choose(
        st.segmented_control, "Importance map generating function", "imgf", [*own, *described],
        default=own[0] if own else next(iter(described)), required=True,
        format_func=lambda name: "the model's own" if name == OWN else name,
    )  # fmt: skip
    if name == OWN:
        st.caption("What this layer was trained with. Choose a function to try another one in its place.")
        return None
    st.caption(described[name].title)
    return sliders("imgf", described[name])


def show_consequence(lab: Lab, scene: Scene, imgf: Choice) -> None:
    """What the network would say with this map, where it can be put: it has to assess g from the input alone."""
    st.header("What the network would then say", anchor=False)
    if not (scene.layer.modified or scene.layer.name == scene.model.layers[-1].name):
        st.caption(
            f"{scene.layer.name} has no probe to assess g with, and no linear head follows it: this map cannot be put "
            "into the network there. Choose the last layer, or one marked CIFS or CAS, to see its consequence."
        )
        return
    answer = ask_what_if(lab, scene, reselections=[Reselection(layer=scene.layer.name, imgf=imgf)])
    show_both(scene, answer, f"with {imgf.name}")
    st.caption(
        "Here g is assessed from each input alone, as a defence has to, for the two classes that seem likeliest; the "
        "attack was made on the network as it is, so it does not adapt to this map."
    )


def show_imgf(lab: Lab, scene: Scene, imgf: Choice | None) -> None:
    response = ask_channels(lab, scene, imgf)
    info = importance_of(response)
    if info is None:
        st.info("The backend gave no importance for this layer.")
        return
    show_road(info, response, target_words(scene))


with state.address(), readable_errors("page"):
    page(connect())
