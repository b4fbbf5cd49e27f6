"""Damp or remove channels by hand, and see what the network then believes."""

from typing import Any

import streamlit as st

from backend.schemas import ChannelsResult
from backend.schemas.laboratory import BeforeAfter, Scaling, WhatIfResult
from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL
from cifs.plot.predictions import Belief, probability_figure, probability_info
from frontend import state
from frontend.captions import outcome
from frontend.components.asking import ask_channels, ask_what_if
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.predictions import said
from frontend.components.problems import readable_errors
from frontend.components.scene import Scene
from frontend.masks import least_relevant, nr_channels

DAMP = "damp the NR channels"
KEEP = "keep the most relevant only"


def show_intervention(lab: Lab, scene: Scene) -> None:
    _experiment(lab, scene, ask_channels(lab, scene).results[0])


def _experiment(lab: Lab, scene: Scene, result: ChannelsResult) -> None:
    target = scene.model.classes[result.natural.target]
    st.header("If these channels were held back, would the attack still work?", anchor=False)
    channels, factor = _pick_channels(result.natural.relevance)
    with readable_errors("intervene"):
        if channels:
            scaling = Scaling(layer=scene.layer.name, channels=channels, factor=factor)
            answer = ask_what_if(lab, scene, scalings=[scaling])
            st.markdown(outcome(answer, len(channels), scene.layer.channels, scene.model.classes[answer.label]))
            show_both(scene, answer, "under the mask")
        else:
            st.info("This holds no channel back.")
    st.caption(
        f"The channels follow the natural image's relevance for {target}, which a defence could not know: this shows "
        "the mechanism, it is no defence. The control holds back as many channels, drawn at random."
    )


def _pick_channels(relevance: list[float]) -> tuple[list[int], float]:
    """Which channels are held back, and what they are multiplied by."""
    mode, strength = st.columns(2, gap="medium")
    with mode:
        chosen = state.choose(
            st.segmented_control, "Experiment", "experiment", [DAMP, KEEP], default=DAMP, required=True
        )
    with strength:
        if chosen == DAMP:
            bounds: dict[str, Any] = {"min_value": 0.0, "max_value": 1.0, "step": 0.05}
            factor = state.choose_number(st.slider, "Multiply NR channels by", "damping", default=0.0, **bounds)
            return (nr_channels(relevance) if factor < 1 else []), factor
        bounds = {"min_value": 5, "max_value": 100, "step": 5, "format": "%d %%"}
        share = state.choose_number(st.slider, "Share of channels kept", "kept-share", default=50, **bounds)
        return least_relevant(relevance, share / 100), 0.0


def show_both(scene: Scene, answer: WhatIfResult, after: str) -> None:
    """The natural and the attacked image, before and after the network was edited; `after` names the edit."""
    sides = (("natural", NATURAL, answer.natural), ("adversarial", ADVERSARIAL, answer.adversarial))
    for column, (name, colour, beliefs) in zip(st.columns(2, gap="medium"), sides, strict=True):
        with column:
            _before_after(scene, name, colour, beliefs, after)


def _before_after(scene: Scene, name: str, colour: str, found: BeforeAfter, after: str) -> None:
    st.markdown(f"**{name} image**: {said(found.before)} → **{said(found.after)}**")
    beliefs = [
        Belief("as it is", NEUTRAL, found.before.probabilities),
        Belief(after, colour, found.after.probabilities),
    ]
    info = probability_info(scene.model.classes, beliefs)
    draw(probability_figure(info), key=f"edited-{name}", alt=f"probabilities of the {name} image: {info.words}")
