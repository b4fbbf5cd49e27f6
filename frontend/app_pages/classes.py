"""Classes: what an attack does to the channels of a whole class, model beside model (Figures 1 and 2 of the paper)."""

import streamlit as st

from frontend import state
from frontend.components.class_means import show_class_means
from frontend.components.exports import to_take_away
from frontend.components.lab import Lab, connect
from frontend.components.problems import readable_errors


def page(lab: Lab) -> None:
    st.title("What does an attack do to a whole class?", anchor=False)
    show_classes(lab)


@st.fragment
def show_classes(lab: Lab) -> None:
    """Runs alone when another class, layer or quantity is chosen."""
    with readable_errors("classes"), to_take_away("classes"):
        show_class_means(lab)


with state.address(), readable_errors("page"):
    page(connect())
