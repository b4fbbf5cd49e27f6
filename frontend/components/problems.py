"""When the backend is down, slow or refuses: a readable panel and a way to try again."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from cifs_client import BackendBusy, BackendError
from frontend.components.lab import forget


@contextmanager
def readable_errors(place: str) -> Iterator[None]:
    """Shows what the backend could not do in place of the rest of the block. `place` is unique on its page."""
    try:
        yield
    except BackendError as error:
        show_problem(error, place)


def show_problem(error: BackendError, place: str) -> None:
    st.error(f"**{error.title}**\n\n{error}", icon=":material/cloud_off:")
    if isinstance(error, BackendBusy) and error.retry_after:
        st.caption(f"It asks to be tried again in {error.retry_after} seconds.")
    st.button("Retry", key=f"retry-{place}", icon=":material/refresh:", on_click=forget)  # and the page runs again
