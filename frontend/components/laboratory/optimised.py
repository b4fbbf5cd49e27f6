"""An image optimised for a channel, beside what real images reach, and the control."""

import streamlit as st

from backend.schemas.laboratory import VisualiseRequest, VisualiseResponse
from cifs_client import BackendRefused
from frontend.components.images import Picture, show_pictures
from frontend.components.lab import Lab
from frontend.components.scene import Scene


def show_optimised(lab: Lab, scene: Scene, channel: int) -> None:
    st.markdown("**An image optimised for it** (feature visualisation)")
    request = VisualiseRequest(model=scene.model.id, layer=scene.layer.name, channel=channel)
    try:
        found = lab.waiting("Climbing the channel's activation …").visualise(request)
    except BackendRefused as error:
        st.info(str(error), icon=":material/hourglass_disabled:")
        return
    picture, words = st.columns([2, 5], gap="medium")
    with picture:
        own, control = f"for channel {channel}: {found.reached:.3g}", f"control: {found.control:.3g}"
        show_pictures(
            [
                Picture(found.png, f"image optimised for channel {channel}", own),
                Picture(found.control_png, "image optimised for a random direction", control),
            ]
        )
    with words:
        st.markdown(sentence(found))
        st.caption(
            f"{found.steps} steps of Adam on the image's Fourier coefficients from the noise of seed {found.seed}, "
            "each step on shifted, scaled and turned copies; measured as it stands. It shows what drives the "
            "channel, not what it met in the data. The control was made alike for a random direction of the layer."
        )


def sentence(found: VisualiseResponse) -> str:
    """How far it came, beside the best test image and the control."""
    text = (
        f"From {found.start:.3g} on noise the activation of channel {found.channel} climbed to **{found.reached:.3g}**"
    )
    if found.exemplar is not None:
        ratio = f", {found.reached / found.exemplar:.1f} times as much" if found.exemplar > 0 else ""
        text += f"; the best test image reaches {found.exemplar:.3g}{ratio}"
    text += f". On the control's image it is {found.control:.3g}"
    if found.reached <= found.start:
        return f"{text}: nothing was found that drives it."
    if found.control > 0.5 * found.reached:
        return f"{text}, so much of what drives it drives the layer as a whole."
    return f"{text}."
