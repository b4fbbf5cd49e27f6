"""Images: many at once. Which of them does the attack flip, and what do the channels have in common?"""

import streamlit as st

from frontend import state
from frontend.captions import attack_title
from frontend.components.exports import to_take_away
from frontend.components.lab import Lab, connect
from frontend.components.many.asked import Asked, ask, pick_source
from frontend.components.many.channels import show_change
from frontend.components.many.confusion import show_confusion
from frontend.components.many.pictures import show_pictures
from frontend.components.problems import readable_errors
from frontend.components.scene import pick_subject
from frontend.many import rows_of, tally
from frontend.shelf import Shelf, opened

VIEWS = {"pictures": show_pictures, "confusion": show_confusion, "channels": show_change}


def page(lab: Lab) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="heading"):
        st.title("Which images does the attack flip?", width="content", anchor=False)
        subject = pick_subject(lab)
        source = subject and pick_source(lab, subject.model)
    with opened() as survey:
        asked = subject and source and ask(lab, subject, source)
    if asked:
        st.markdown(sentence(asked))
        show_view(lab, asked, survey)


def sentence(asked: Asked) -> str:
    """The answer, and the control beside it."""
    found, attack = tally(rows_of(asked.survey)), attack_title(asked.subject.attack, asked.subject.model.classes)
    return (
        f"{attack} flips **{found.flipped:,} of the {found.right:,} images** of {found.n:,} that "
        f"{asked.subject.model.title} gets right. The control, noise as large in every pixel with signs by chance, "
        f"flips {found.flipped_by_noise:,}."
    )


@st.fragment
def show_view(lab: Lab, asked: Asked, survey: Shelf) -> None:
    """Runs alone when another view, order or page is chosen. `survey`: what was asked for it."""
    name = state.choose(
        st.segmented_control, "Look at", "look", list(VIEWS), default="pictures", required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    with readable_errors(f"look-{name}"), to_take_away(f"look-{name}", survey):
        VIEWS[name](lab, asked)


with state.address(), readable_errors("page"):
    page(connect())
