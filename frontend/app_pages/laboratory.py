"""The laboratory: which channels carried this failure, and would the prediction come back without them?"""

import streamlit as st

from backend.schemas.laboratory import ReportRequest
from frontend import state
from frontend.components.charts import named
from frontend.components.exports import to_take_away
from frontend.components.lab import Lab, connect
from frontend.components.laboratory.by_hand import show_by_hand
from frontend.components.laboratory.channel_page import show_channel_page
from frontend.components.laboratory.circuit import show_circuit
from frontend.components.laboratory.common import about
from frontend.components.laboratory.faithfulness import show_faithfulness
from frontend.components.laboratory.film import show_film
from frontend.components.laboratory.margin import show_margin
from frontend.components.laboratory.models import show_models
from frontend.components.laboratory.saliency import show_saliency
from frontend.components.predictions import show_twins
from frontend.components.problems import readable_errors
from frontend.components.scene import Scene, pick_scene

VIEWS = {
    "who carried it": show_margin,
    "circuit": show_circuit,
    "by hand": show_by_hand,
    "film": show_film,
    "a channel": show_channel_page,
    "relevance": show_faithfulness,
    "saliency": show_saliency,
    "models": show_models,
}


def page(lab: Lab) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="heading"):
        st.title("Which channels carried this failure?", width="content", anchor=False)
        scene = pick_scene(lab)
    if scene is None:
        return
    twins, view = st.columns([2, 7], gap="medium")
    with twins, readable_errors("twins"):
        show_twins(lab, scene)
        offer_report(lab, scene)
    with view:
        show_view(lab, scene)


def offer_report(lab: Lab, scene: Scene) -> None:
    """Computed when it is asked for."""
    request = ReportRequest(**about(scene), layer=scene.layer.name)
    st.download_button(
        "All of it as one page", lambda: lab.report(request), f"{named('analysis')}.html",
        "text/html", key="report", icon=":material/description:", type="tertiary", on_click="ignore",
        help="Predictions, attack, channels, margin, circuit, card and digests: an HTML file that needs no network",
    )  # fmt: skip


@st.fragment
def show_view(lab: Lab, scene: Scene) -> None:
    """Runs alone when another view is chosen."""
    name = state.choose(
        st.segmented_control, "Ask", "ask", list(VIEWS), default="who carried it", required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    with readable_errors(f"ask-{name}"), to_take_away(f"ask-{name}"):
        VIEWS[name](lab, scene)


with state.address(), readable_errors("page"):
    page(connect())
