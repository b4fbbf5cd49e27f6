"""Step 4: what an attack does to NR and PR channels."""

import streamlit as st

from backend.schemas import ChannelShift
from cifs.plot.activation import activation_figure, mean_shift
from cifs_client import BackendError
from frontend.captions import shift_sentence
from frontend.components.channel_view import info_of
from frontend.components.charts import draw
from frontend.components.lesson.guess import ask_to_see, estimate, verdict
from frontend.components.lesson.material import Material

CLOSE = 15  # points that an estimate may be off


def abnormal(step: int, material: Material) -> None:
    st.markdown(
        "Inside, the attack has to change what the channels say. It could make those that speak for "
        f"**{material.thing}** fall silent, or raise those that speak against it."
    )
    said = estimate(
        step, f"Of the NR channels of {material.last}, how many does the attack raise?", list(range(0, 101, 5)), 50,
        say=lambda share: f"{share} %",
    )  # fmt: skip
    if not ask_to_see(step, ready=True):
        return
    info = info_of(material.channels(material.last))
    shift = mean_shift(info)
    if shift is None:
        st.info("The backend sent no attacked activations.")
        return
    share = 100 * shift.nr_over_activated
    verdict(abs(said - share) <= CLOSE, f"it raises **{share:.0f} %** of the NR channels. You said {said} %.")
    st.markdown(shift_sentence(shift))
    figure = activation_figure(info, height=400)
    draw(figure, key="lesson-abnormal", alt="activation of every channel, natural and attacked, ordered by relevance")
    _everywhere(material)


def _everywhere(material: Material) -> None:
    """One image shows little: the same over all images that were measured."""
    try:
        statistics = material.lab.channel_statistics(
            material.natural.id, class_index=material.label, layer=material.last
        )
    except BackendError:
        return
    if statistics.shift_all is not None:
        st.markdown(over_all(statistics.shift_all))


def over_all(shift: ChannelShift) -> str:
    parts = []
    for kind, way, estimate_ in (
        ("NR", "above", shift.nr_over_activation),
        ("PR", "below", shift.pr_under_activation),
    ):
        if estimate_ is not None:
            unit = shift.mean_activation
            parts.append(
                f"{kind} channels are {estimate_.mean / unit:.0%} of the layer's mean activation {way} their natural "
                f"level (95 %: {estimate_.low / unit:.0%} to {estimate_.high / unit:.0%})"
            )
            n = estimate_.n
    return f"One image proves little. Over {n:,} test images: {', and '.join(parts)}." if parts else ""
