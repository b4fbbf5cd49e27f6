"""The backend as pages see it: the client with a bounded memory of its answers."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from backend.schemas import Example
from cifs_client import Client, ClientSettings, parse, send
from frontend.shelf import put_request

T = TypeVar("T")
Answer = Callable[..., Any]


class Lab(Client):
    """Asks again after a minute for what may change (models, data sets); an attack with its seed stays the same.

    `words` are shown while an answer is awaited that is not remembered.
    """

    def __init__(self, settings: ClientSettings | None = None, words: str | None = None):
        super().__init__(settings)
        self.words = words

    def waiting(self, words: str) -> "Lab":
        return Lab(self.settings, words)

    def example(self, model: str, dataset: str) -> Example:
        return _example(self.words)(self.settings, model, dataset)

    def ask(self, method: str, path: str, body: str | None, answer: type[T]) -> T:
        if method != "GET":
            return super().ask(method, path, body, answer)
        put_request(method, path, body)
        return _catalogue(self.words)(self.settings, path, answer)

    def exchange(self, method: str, path: str, body: str | None) -> bytes:
        if method == "GET":
            return self.ask(method, path, body, bytes)
        put_request(method, path, body)
        return _computed(self.words)(self.settings, method, path, body)


def _remembered(ask: Answer, memory: Any, **limits: Any) -> Callable[[str | None], Answer]:
    """`ask` once it is told which words to show: it shows them where it does not remember the answer."""

    @lru_cache(maxsize=64)  # all of them share one memory
    def saying(words: str | None) -> Answer:
        address = {ClientSettings: repr}
        return memory(ask, **limits, show_spinner=words or False, show_time=True, hash_funcs=address)

    return saying


def _listed(settings: ClientSettings, path: str, _answer: Any) -> Any:
    """As it was read, which takes longer than to fetch it; pages change nothing of it. The path says what is read."""
    content = send(settings, "GET", path, None)
    return content if _answer is bytes else parse(content, _answer)


def _chosen(settings: ClientSettings, model: str, dataset: str) -> Example:
    return Client(settings).example(model, dataset)


_catalogue = _remembered(_listed, st.cache_resource, ttl=timedelta(minutes=1), max_entries=128)
_computed = _remembered(send, st.cache_data, ttl=timedelta(minutes=15), max_entries=256)
_example = _remembered(_chosen, st.cache_data, ttl=timedelta(hours=1), max_entries=64)


def forget() -> None:
    """So that a retry asks anew, also where an answer came that nobody could read."""
    for remembered in (_catalogue, _computed, _example):
        remembered(None).clear()  # type: ignore[attr-defined]


def connect() -> Lab:
    """Under a name of this reader's own: the backend is fair to each, though all ask from one address."""
    context = get_script_run_ctx()
    return Lab(replace(ClientSettings.from_environment(), name=context.session_id if context else None))
