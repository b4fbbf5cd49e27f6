"""Damp or remove channels by hand, and see what the network then believes."""

import streamlit as st

from backend.schemas import ChannelsResult, Intervention
from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL
from cifs.plot.predictions import Belief, probability_figure, probability_info
from frontend.components.asking import ask_channels, ask_intervention
from frontend.components.lab import Lab
from frontend.components.predictions import said
from frontend.components.problems import readable_errors
from frontend.components.scene import Scene
from frontend.masks import damp_nr, keep_most_relevant

DAMP = "damp the NR channels"
KEEP = "keep the most relevant only"


def show_intervention(lab: Lab, scene: Scene) -> None:
    _experiment(lab, scene, ask_channels(lab, scene).results[0])


@st.fragment
def _experiment(lab: Lab, scene: Scene, result: ChannelsResult) -> None:
    target = scene.model.classes[result.natural.target]
    st.subheader("If these channels were held back, would the attack still work?")
    st.caption(
        f"The mask follows the natural image's relevance for {target}, which a defence could not know: this shows the "
        "mechanism, it is no defence. CIFS has to assess relevance from the image it is given."
    )
    mask = _pick_mask(result.natural.relevance)
    with readable_errors("intervene"):
        answer = ask_intervention(lab, scene, mask)
        natural, adversarial = st.columns(2, gap="medium")
        with natural:
            _before_after(scene, "natural", NATURAL, answer.natural)
        if answer.adversarial is not None:
            with adversarial:
                _before_after(scene, "adversarial", ADVERSARIAL, answer.adversarial)


def _pick_mask(relevance: list[float]) -> list[float]:
    mode, strength = st.columns(2, gap="medium")
    with mode:
        chosen = st.segmented_control("Experiment", [DAMP, KEEP], default=DAMP, required=True, key="experiment")
    with strength:
        if chosen == DAMP:
            return damp_nr(relevance, st.slider("Multiply NR channels by", 0.0, 1.0, 0.0, 0.05, key="damping"))
        share = st.slider("Share of channels kept", 5, 100, 50, 5, format="%d %%", key="kept-share")
        return keep_most_relevant(relevance, share / 100)


def _before_after(scene: Scene, name: str, colour: str, found: Intervention) -> None:
    st.markdown(f"**{name} image**: {said(found.before)} → **{said(found.after)}**")
    beliefs = [
        Belief("as it is", NEUTRAL, found.before.probabilities),
        Belief("under the mask", colour, found.after.probabilities),
    ]
    figure = probability_figure(probability_info(scene.model.classes, beliefs))
    st.plotly_chart(figure, key=f"intervene-{name}", alt=f"probabilities of the {name} image before and under the mask")
