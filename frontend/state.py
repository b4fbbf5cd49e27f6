"""What the reader chose: kept in the address, so that a link shows the same page, and across pages of one session.

An address is input like any other: what it asks for and is not there falls back to the default, with a notice.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st

from backend.schemas import Choice
from frontend.parameters import Parameter, check_all

CHOICES = "choices"


class Recalled(NamedTuple):
    text: str | None
    from_address: bool  # else from earlier in this session


class Resolved(NamedTuple):
    value: Any
    notice: str | None


def recall(key: str) -> Recalled:
    choices = st.session_state.setdefault(CHOICES, {})
    if key in choices:
        return Recalled(choices[key], False)
    return Recalled(st.query_params.get(key), True)


def keep(key: str, value: Any) -> None:
    """Remember a choice; None forgets it."""
    text = None if value is None else str(value)
    st.session_state.setdefault(CHOICES, {})[key] = text
    if text is None:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != text:
        st.query_params[key] = text


def resolve(key: str, recalled: Recalled, options: Sequence[Any], default: Any) -> Resolved:
    """The option that was recalled, else the default."""
    if recalled.text is None:
        return Resolved(default, None)
    for option in options:
        if str(option) == recalled.text:
            return Resolved(option, None)
    return Resolved(default, _notice(f"there is no {key} {recalled.text!r} here", default, recalled))


def _notice(problem: str, instead: Any, recalled: Recalled) -> str | None:
    return f"The address was out of date: {problem}. Showing {instead} instead." if recalled.from_address else None


def resolve_index(recalled: Recalled, size: int | None) -> Resolved:
    """An image's index, below `size` where that is known."""
    if recalled.text is None:
        return Resolved(0, None)
    if recalled.text.isdecimal() and (size is None or int(recalled.text) < size):
        return Resolved(int(recalled.text), None)
    allowed = "a whole number from 0" + ("" if size is None else f" to {size - 1}")
    return Resolved(0, _notice(f"image index {recalled.text!r} is not {allowed}", "image 0", recalled))


def recall_parameters(prefix: str, parameters: Sequence[Parameter]) -> tuple[dict[str, Any], list[str]]:
    """Values kept under `<prefix>.<name>`, defaults for the rest, and a notice for each that was not usable."""
    recalled = {parameter.name: recall(f"{prefix}.{parameter.name}") for parameter in parameters}
    raw = {name: found.text for name, found in recalled.items() if found.text is not None}
    values, complaints = check_all(parameters, raw)
    return values, [f"The address was out of date: {complaint}." for complaint in complaints]


def keep_parameters(prefix: str, parameters: Sequence[Parameter], values: Mapping[str, Any]) -> None:
    """Keep what differs from the defaults; the address stays short."""
    for parameter in parameters:
        value = values.get(parameter.name)
        keep(f"{prefix}.{parameter.name}", None if value == parameter.default else value)


def notify(notices: Sequence[str | None]) -> None:
    for notice in notices:
        if notice:
            st.toast(notice, icon=":material/link_off:", duration="long")


def choose(
    widget: Callable[..., Any], label: str, key: str, options: Sequence[Any], *, default: Any, **looks: Any
) -> Any:
    """`widget` (st.selectbox, st.segmented_control, …) over options, its value kept under `key`."""
    resolved = resolve(key, recall(key), options, default)
    notify([resolved.notice])
    now = st.session_state.get(key)
    st.session_state[key] = now if now in options else resolved.value  # said anew: on another page it is another widget
    value = widget(label, options, key=key, **looks)
    keep(key, value)
    return value


def choice(name: str, values: Mapping[str, Any]) -> Choice:
    """A registered name with those parameters that have a value."""
    return Choice.model_validate({"name": name} | {key: value for key, value in values.items() if value is not None})
