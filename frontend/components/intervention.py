"""Damp or remove channels by hand, and see what the network then believes."""

from typing import Any, NamedTuple

import streamlit as st

from backend.schemas import ChannelsResult, InterveneResult, Intervention
from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL
from cifs.plot.predictions import Belief, probability_figure, probability_info
from frontend import state
from frontend.components.asking import ask_channels, ask_interventions
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.predictions import said
from frontend.components.problems import readable_errors
from frontend.components.scene import Scene
from frontend.masks import damp_nr, keep_most_relevant, shuffled

DAMP = "damp the NR channels"
KEEP = "keep the most relevant only"


def show_intervention(lab: Lab, scene: Scene) -> None:
    _experiment(lab, scene, ask_channels(lab, scene).results[0])


@st.fragment
def _experiment(lab: Lab, scene: Scene, result: ChannelsResult) -> None:
    target = scene.model.classes[result.natural.target]
    st.subheader("If these channels were held back, would the attack still work?", anchor=False)
    mask = _pick_mask(result.natural.relevance)
    with readable_errors("intervene"):
        chosen, control = ask_interventions(lab, scene, [mask, shuffled(mask)])
        held = sum(m < 1 for m in mask)
        st.markdown(outcome(chosen, control, held, len(mask), scene.model.classes[result.label]))
        natural, adversarial = st.columns(2, gap="medium")
        with natural:
            _before_after("natural", NATURAL, scene, Outcomes(chosen.natural, control.natural))
        if chosen.adversarial is not None and control.adversarial is not None:
            with adversarial:
                _before_after("adversarial", ADVERSARIAL, scene, Outcomes(chosen.adversarial, control.adversarial))
    st.caption(
        f"The mask follows the natural image's relevance for {target}, which a defence could not know: this shows the "
        "mechanism, it is no defence. The control holds back as many channels, drawn at random."
    )


class Outcomes(NamedTuple):
    chosen: Intervention
    control: Intervention  # as many channels, drawn at random


def outcome(chosen: InterveneResult, control: InterveneResult, held: int, channels: int, label: str) -> str:
    """In one sentence, with the control beside the claim."""
    what = f"With {held} of {channels} channels held back, the attacked image"
    if chosen.adversarial is None or control.adversarial is None:
        return f"{what[:-20]} the image is taken for **{chosen.natural.after.class_name}**."
    after, chance = (found.adversarial.after.class_name for found in (chosen, control) if found.adversarial)
    mine = f"{what} is taken for **{after}**{', as it should be' if after == label else ''}"
    theirs = f"with as many random channels held back, for **{chance}**"
    if after == label != chance:
        return f"{mine}; {theirs}. So it matters which channels."
    if after == label:
        return f"{mine}; {theirs} too. So it does not matter which channels, on this image."
    return f"{mine}, not {label}; {theirs}. Here this does not undo the attack."


def _pick_mask(relevance: list[float]) -> list[float]:
    mode, strength = st.columns(2, gap="medium")
    with mode:
        chosen = state.choose(
            st.segmented_control, "Experiment", "experiment", [DAMP, KEEP], default=DAMP, required=True
        )
    with strength:
        if chosen == DAMP:
            bounds: dict[str, Any] = {"min_value": 0.0, "max_value": 1.0, "step": 0.05}
            return damp_nr(
                relevance, state.choose_number(st.slider, "Multiply NR channels by", "damping", default=0.0, **bounds)
            )
        bounds = {"min_value": 5, "max_value": 100, "step": 5, "format": "%d %%"}
        share = state.choose_number(st.slider, "Share of channels kept", "kept-share", default=50, **bounds)
        return keep_most_relevant(relevance, share / 100)


def _before_after(name: str, colour: str, scene: Scene, found: Outcomes) -> None:
    before, after = found.chosen.before, found.chosen.after
    st.markdown(f"**{name} image**: {said(before)} → **{said(after)}**; at random: {said(found.control.after)}")
    beliefs = [
        Belief("as it is", NEUTRAL, before.probabilities),
        Belief("under the mask", colour, after.probabilities),
        Belief("control: random channels", CONTROL[name], found.control.after.probabilities),
    ]
    info = probability_info(scene.model.classes, beliefs)
    draw(probability_figure(info), key=f"intervene-{name}", alt=f"probabilities of the {name} image: {info.words}")


CONTROL = {"natural": "#9DB7E8", "adversarial": "#F4B899"}  # the same hue, paler
