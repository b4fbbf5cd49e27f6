"""Step 2: relevance. Some channels speak for the class, others against it."""

import numpy as np
import streamlit as st

from cifs.plot.activation import activation_figure, activation_info
from frontend.components.charts import draw
from frontend.components.lesson.guess import ask_to_see, guess, judged, verdict
from frontend.components.lesson.material import Material

FOR, AGAINST = "for it", "against it"


def relevance(step: int, material: Material) -> None:
    layer, thing = material.last, material.thing
    view = material.channels(layer).natural
    loudest = int(np.argmax(view.activation))
    st.markdown(
        f"From the last layer's {len(view.activation)} activations the network makes its decision. If raising a "
        f"channel raises the score of **{thing}**, the channel speaks *for* it: **positively relevant**, PR. If not, "
        "it is **negatively relevant**, NR. How much the score moves is the channel's **relevance** *g*."
    )
    chosen = guess(
        step, f"On this {thing}, channel {loudest} of {layer} fires more than any other. It speaks …", [FOR, AGAINST]
    )
    if not ask_to_see(step, ready=chosen is not None):
        return
    g = view.relevance[loudest]
    truth = FOR if g > 0 else AGAINST
    verdict(judged(chosen, truth), f"its relevance for {thing} is {g:+.3f}, so it speaks {truth}.")
    info = activation_info(view.relevance, view.activation, None)
    a = info.natural
    pr, nr = float(a[: info.n_pr].mean()), float(a[info.n_pr :].mean())
    st.markdown(
        f"Ordered by relevance, the most relevant first: the {info.n_pr} PR channels fire at **{pr:.2f}** on average, "
        f"the {len(a) - info.n_pr} NR channels at **{nr:.2f}**. {_comment(pr, nr)}"
    )
    figure = activation_figure(info, picked=loudest, height=400)
    draw(figure, key="lesson-relevance", alt=f"activation of every channel, ordered by relevance for {thing}")


def _comment(pr: float, nr: float) -> str:
    if pr > nr:
        return "That is how a decision is made: what speaks for the class is louder."
    return "On this image what speaks for the class is not louder on average; its weights are what decides."
