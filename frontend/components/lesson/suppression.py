"""Step 6: CIFS assesses relevance itself, and suppresses what it takes for abnormal."""

import streamlit as st

from backend.schemas import ChannelsRequest
from cifs.plot.importance import curve_figure
from frontend.components.charts import draw
from frontend.components.images import Picture, show_pictures
from frontend.components.lesson.guess import ask_to_see, guess, judged, verdict
from frontend.components.lesson.material import Material
from frontend.components.predictions import said
from frontend.components.selection import importance_of

FOOLED, RIGHT = "fooled", "right"


def suppression(step: int, material: Material) -> None:
    cifs, thing = material.models["cifs"], material.thing
    st.markdown(
        "**CIFS** builds the suppression into the network. A small *probe* on the layer's features makes a first guess "
        "and, from it, assesses every channel's relevance *g*. An importance map **m = IMGF(g)** multiplies the "
        "channels: high relevance passes, negative relevance is held back. All of it is trained on attacked images."
    )
    chosen = guess(
        step, f"The same {thing}, the same attack, made against {cifs.title} itself. The network is …", [FOOLED, RIGHT]
    )
    if not ask_to_see(step, ready=chosen is not None):
        return
    result = material.attacked("cifs")
    right = result.adversarial.prediction == result.label
    verdict(judged(chosen, RIGHT if right else FOOLED), f"{cifs.title} says {said(result.adversarial)}.")
    pictures, curve = st.columns([2, 3], gap="medium")
    with pictures:
        attacked = Picture(result.image.png, f"attacked {thing}", f"attacked: {said(result.adversarial)}")
        show_pictures([Picture(result.natural_image.png, thing, f"natural: {said(result.natural)}"), attacked])
        st.markdown(beside(material))
    with curve:
        _curve(material)


def beside(material: Material) -> str:
    """The other networks trained on attacked images, under their own attack: CIFS is not alone."""
    others = {method: material.models[method] for method in ("vanilla", "cas") if method in material.models}
    parts = [f"{model.title} says {said(material.attacked(method).adversarial)}" for method, model in others.items()]
    if not parts:
        return ""
    return f"Is it CIFS, or training on attacked images? {'; '.join(parts)}, each under an attack of its own."


def _curve(material: Material) -> None:
    layer = next((layer.name for layer in reversed(material.models["cifs"].layers) if layer.modified), material.last)
    response = material.lab.channels(ChannelsRequest(**material.about("cifs"), layer=layer, target="label"))
    info = importance_of(response)
    if info is None:
        st.info("The backend gave no importance for this layer.")
        return
    st.markdown(f"Each point is a channel of {layer}: its assessed relevance, and what it is multiplied by.")
    draw(curve_figure(info), key="lesson-curve", alt="importance against assessed relevance, natural and attacked")
