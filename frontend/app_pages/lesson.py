"""The lesson: “Why channels matter”, in seven steps. Each step's state is a link."""

import streamlit as st

from frontend import state
from frontend.components.exports import offer
from frontend.components.lab import Lab, connect
from frontend.components.lesson.guess import revealed
from frontend.components.lesson.material import Material, material
from frontend.components.lesson.steps import STEPS
from frontend.components.problems import readable_errors
from frontend.shelf import opened

STYLE = """<style>
.st-key-lesson p, .st-key-lesson li, .st-key-lesson label { font-size: 1.15rem; line-height: 1.55; }
.st-key-lesson { max-width: 62rem; margin: 0 auto; }
.st-key-lesson [data-testid="stSliderThumbValue"] * { font-size: 1rem !important; line-height: 1.2; }
</style>"""
TEACHER = """<style>
.st-key-lesson p, .st-key-lesson li, .st-key-lesson label { font-size: 1.5rem; }
.st-key-lesson h1 { font-size: 2.4rem !important; }
.st-key-lesson h2 { font-size: 2rem !important; }
.st-key-lesson { max-width: 80rem; }
.st-key-navigation { display: none; }
</style>"""
NORMAL, LARGE = "reading", "teaching"


def page(lab: Lab) -> None:
    st.html(STYLE)
    with st.container(key="lesson"):
        taught_with = material(lab)
        if taught_with is None:
            st.info(
                "The lesson needs the embedded Fashion-MNIST networks, which are not on this server.",
                icon=":material/inventory_2:",
            )
            return
        show_step(taught_with)


def show_step(taught_with: Material) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Why channels matter", width="content", anchor=False)
        view = state.choose(
            st.segmented_control, "Type", "type", [NORMAL, LARGE], default=NORMAL, required=True,
            label_visibility="collapsed",
        )  # fmt: skip
    if view == LARGE:
        st.html(TEACHER)
    number = state.choose(
        st.segmented_control, "Step", "step", list(range(1, len(STEPS) + 1)), default=1, required=True,
        format_func=lambda n: f"{n} ✓" if revealed(n) else str(n), label_visibility="collapsed",
    )  # fmt: skip
    step = STEPS[number - 1]
    st.header(f"{number}. {step.title}", anchor=False)
    with readable_errors(f"step-{number}"), opened() as shown:
        step.show(number, taught_with)
    _buttons(number)
    if view == NORMAL:
        offer(shown, f"step-{number}")


def _buttons(number: int) -> None:
    with st.container(horizontal=True):
        st.button(
            "Back", icon=":material/arrow_back:", disabled=number == 1, key="lesson-back", on_click=_go,
            args=(number - 1,),
        )  # fmt: skip
        st.button(
            "Next", icon=":material/arrow_forward:", disabled=number == len(STEPS), key="lesson-next", on_click=_go,
            args=(number + 1,), type="primary" if revealed(number) else "secondary",
        )  # fmt: skip


def _go(number: int) -> None:
    state.keep("step", number)


with state.address(), readable_errors("page"):
    page(connect())
