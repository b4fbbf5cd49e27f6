"""The backend as pages see it: the client with a bounded memory of its answers."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from backend.schemas import Example
from cifs_client import Client, ClientSettings, send
from frontend.shelf import put_request

ADDRESS: dict[str | type[Any], Callable[[Any], Any]] = {ClientSettings: repr}


class Lab(Client):
    """Asks again after a minute for what may change (models, data sets); an attack with its seed stays the same."""

    def example(self, model: str, dataset: str) -> Example:
        return _example(self.settings, model, dataset)

    def exchange(self, method: str, path: str, body: str | None) -> bytes:
        put_request(method, path, body)
        return (_catalogue if method == "GET" else _computed)(self.settings, method, path, body)


@st.cache_data(ttl=timedelta(minutes=1), max_entries=128, show_spinner=False, hash_funcs=ADDRESS)
def _catalogue(settings: ClientSettings, method: str, path: str, body: str | None) -> bytes:
    return send(settings, method, path, body)


@st.cache_data(ttl=timedelta(minutes=15), max_entries=256, show_spinner=False, hash_funcs=ADDRESS)
def _computed(settings: ClientSettings, method: str, path: str, body: str | None) -> bytes:
    return send(settings, method, path, body)


@st.cache_data(ttl=timedelta(hours=1), max_entries=64, show_spinner=False, hash_funcs=ADDRESS)
def _example(settings: ClientSettings, model: str, dataset: str) -> Example:
    return Client(settings).example(model, dataset)


def forget() -> None:
    """So that a retry asks anew, also where an answer came that nobody could read."""
    _catalogue.clear()
    _computed.clear()
    _example.clear()


def connect() -> Lab:
    """Under a name of this reader's own: the backend is fair to each, though all ask from one address."""
    context = get_script_run_ctx()
    return Lab(replace(ClientSettings.from_environment(), name=context.session_id if context else None))
