"""Predict first: what the person says before the data does, kept in the address."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from frontend import state

SHOWN = "shown"  # the steps whose answer was asked for, as in "1,2,5"


def revealed(step: int) -> bool:
    return str(step) in (state.recall(SHOWN).text or "").split(",")


def reveal(step: int) -> None:
    shown = {*filter(None, (state.recall(SHOWN).text or "").split(",")), str(step)}
    state.keep(SHOWN, ",".join(sorted(shown)))


def guess(
    step: int, question: str, options: Sequence[Any], *, say: Callable[[Any], str] = str, part: str = ""
) -> Any | None:
    """One of the options, or None while the person has not chosen."""
    key = f"guess{step}{part}"
    recalled = state.recall(key).text
    kept = next((option for option in options if str(option) == recalled), None)
    chosen = st.radio(
        question, options, index=None if kept is None else list(options).index(kept), format_func=say, horizontal=True,
        key=state.widget(f"{key}-{state.visit()}"),
    )  # fmt: skip
    state.keep(key, chosen)
    return chosen


def estimate(step: int, question: str, options: Sequence[Any], middle: Any, *, say: Callable[[Any], str] = str) -> Any:
    """A place on a scale; it starts in the middle."""
    key = f"guess{step}"
    recalled = state.recall(key).text
    kept = next((option for option in options if str(option) == recalled), middle)
    chosen = st.select_slider(question, options, kept, format_func=say, key=state.widget(f"{key}-{state.visit()}"))
    state.keep(key, chosen)
    return chosen


def ask_to_see(step: int, *, ready: bool) -> bool:
    """Whether the answer is to be seen: a button, until it was pressed once."""
    if revealed(step):
        return True
    if ready:
        st.button(
            "Show me", key=f"show-{step}", type="primary", icon=":material/visibility:", on_click=reveal, args=(step,)
        )
    else:
        st.caption("Predict first; then see.")
    return False


def judged(guessed: Any | None, truth: Any) -> bool | None:
    """Whether that was what the person said; None where nothing was."""
    return None if guessed is None else guessed == truth


def verdict(right: bool | None, truth: str) -> None:
    """right: as from `judged`."""
    if right is None:
        st.info(f"**You had not guessed:** {truth}", icon=":material/lightbulb:")
        return
    (st.success if right else st.warning)(
        f"**{'As you said' if right else 'Not as you said'}:** {truth}",
        icon=":material/check_circle:" if right else ":material/lightbulb:",
    )
