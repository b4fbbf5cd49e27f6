"""Step 3: the attack, as a film."""

import streamlit as st

from backend.schemas.laboratory import FilmRequest
from cifs.plot.film import film_figure
from frontend.components.charts import draw
from frontend.components.laboratory.film import info_of
from frontend.components.lesson.guess import ask_to_see, estimate, verdict
from frontend.components.lesson.material import STEPS, Material

NEVER = "never"
CLOSE = 2  # steps that an estimate may be off


def attack(step: int, material: Material) -> None:
    eps = material.natural.default_eps
    st.markdown(
        f"An attacker may move every pixel by at most **ε = {eps:g}** (0 is black, 1 is white). PGD does it in "
        f"{STEPS} small steps, each along the gradient: the way in which the network's error grows fastest."
    )
    said = estimate(
        step, f"After how many steps does the network no longer see a {material.thing}?",
        [*range(1, STEPS + 1), NEVER], STEPS // 2,
    )  # fmt: skip
    if not ask_to_see(step, ready=True):
        return
    request = FilmRequest(**material.about(), layer=material.last)
    result = material.lab.waiting("Attacking …").film(request).results[0]
    if result.falls_at is None:
        verdict(said == NEVER, f"in {STEPS} steps {material.thing} does not fall.")
    else:
        close = said != NEVER and abs(said - result.falls_at) <= CLOSE
        into = result.frames[result.falls_at].prediction.class_name
        verdict(close, f"it falls at step **{result.falls_at}**, into {into}. You said {said}.")
    last = result.frames[-1].prediction
    st.markdown(
        f"In the end the network says **{last.class_name}** with {last.probabilities[last.prediction]:.1%}. Press "
        "play, and compare how far the image moves with how far, layer by layer, the network's path leaves the natural "
        "one's."
    )
    draw(film_figure(info_of(result)), key="lesson-film", alt="the attack, step by step")
