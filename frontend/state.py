"""What the reader chose: kept in the address, so that a link shows the same page, and across pages of one session.

The address wins: where it is another than this session wrote (a link, the browser's Back and Forward), its choices
replace the session's. It holds what differs from the defaults, and is written once a run, so that one change is one
step of the browser's history. What it asks for and is not there falls back to the default, with a notice.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any, NamedTuple, NoReturn

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from backend.schemas import Choice
from frontend.parameters import Parameter, check_all

CHOICES = "choices"  # key → text of what was chosen
UNCHECKED = "unchecked choices"  # keys that came with the address and were not resolved yet
WRITTEN = "written address"
REPLACED = "replaced address"  # the one before, and when it was replaced
LATE = 0.5  # seconds; the browser's Back, where it is not told apart, cannot be meant so soon
PAGE = "page shown"
LINKED = "linked address"  # what the links to other pages carry
SHOWN = "shown values"
WIDGETS = "chosen widgets"  # keys of widgets that show a choice
VISIT = "visit"  # counts addresses adopted; a widget with it in its key starts afresh
# While a page runs: choices are written at its end. Not kept in the session, for a run that a click cuts short is still
# ending, in a thread of its own, while the next one begins.
OPEN = ContextVar("address open", default=False)


class Recalled(NamedTuple):
    text: str | None
    from_address: bool  # else from earlier in this session


class Resolved(NamedTuple):
    value: Any
    notice: str | None


@contextmanager
def address(page: str | None = None) -> Iterator[None]:
    """Around a page: its choices are those of the address, and the address is written when all are made.

    page: which one, where there are several. Arriving by a link writes nothing, so that it is one step of the history:
    what a part of the last page, running alone, added since the link was drawn concerns that page alone.
    """
    if OPEN.get():
        yield
        return
    now, moved = st.query_params.to_dict(), page != st.session_state.get(PAGE, page)
    arrived = moved and now == st.session_state.get(LINKED) and not _stepped()
    st.session_state[PAGE] = page
    if arrived:
        st.session_state[WRITTEN] = now
    else:
        _adopt(now)
    within = OPEN.set(True)
    try:
        yield
    finally:
        OPEN.reset(within)
    # Not of a run that was cut short: the browser may have gone to another address meanwhile, and would be called back.
    if not arrived:
        _write()


def _adopt(now: dict[str, str]) -> None:
    """Take the choices of an address this session did not write; widgets that showed others are made anew."""
    if CHOICES in st.session_state and (now == st.session_state.get(WRITTEN) or (_late(now) and not _stepped())):
        return
    st.session_state[CHOICES], st.session_state[UNCHECKED] = dict(now), set(now)
    for key in st.session_state.setdefault(WIDGETS, set()):
        st.session_state.pop(key, None)
    st.session_state[VISIT] = visit() + 1
    st.session_state[WRITTEN] = now


def _stepped() -> bool:
    """Whether the browser's Back or Forward led here."""
    return bool(getattr(get_script_run_ctx(), "is_history_navigation", False))  # older Streamlits do not tell


def _late(now: Mapping[str, str]) -> bool:
    """Whether the browser had not heard of the last address when it sent this: the reader clicked twice, quickly."""
    before, when = st.session_state.get(REPLACED, (None, 0.0))
    return now == before and monotonic() - when < LATE


def _write() -> None:
    chosen = st.session_state.get(CHOICES, {})
    if st.session_state.get(WRITTEN) not in (None, chosen):
        st.session_state[REPLACED] = (st.session_state[WRITTEN], monotonic())
    if st.query_params.to_dict() != chosen:
        _push(chosen)
    st.session_state[WRITTEN] = dict(chosen)


def _push(chosen: Mapping[str, str]) -> None:
    st.query_params.from_dict(chosen)


def rerun() -> NoReturn:
    """`st.rerun` of the whole page: of the address as it is when it is asked for, so that is written first."""
    _write()
    st.rerun()


def link(**also: str) -> dict[str, str]:
    """What a link to another page carries; `also` is chosen with it."""
    st.session_state[CHOICES] = {**st.session_state.get(CHOICES, {}), **also}
    st.session_state[LINKED] = dict(st.session_state[CHOICES])
    return st.session_state[LINKED]


def visit() -> int:
    return int(st.session_state.get(VISIT, 0))


def widget(key: str) -> str:
    """The key of a widget that shows a choice, and is forgotten when the address brings another."""
    st.session_state.setdefault(WIDGETS, set()).add(key)
    return key


def recall(key: str) -> Recalled:
    text = st.session_state.setdefault(CHOICES, {}).get(key)
    return Recalled(text, key in st.session_state.get(UNCHECKED, set()))


def keep(key: str, value: Any) -> None:
    """Remember a choice; None forgets it."""
    choices = st.session_state.setdefault(CHOICES, {})
    st.session_state.setdefault(UNCHECKED, set()).discard(key)
    if value is None:
        choices.pop(key, None)
    else:
        choices[key] = str(value)
    if not OPEN.get():  # in a callback, or where a part of the page runs alone
        _write()


def recalled_keys(prefix: str) -> list[str]:
    return [key for key in st.session_state.get(CHOICES, {}) if key.startswith(prefix)]


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


def resolve_index(recalled: Recalled, size: int | None, default: int = 0) -> Resolved:
    """An image's index, below `size` where that is known."""
    if recalled.text is None:
        return Resolved(default, None)
    if recalled.text.isdecimal() and (size is None or int(recalled.text) < size):
        return Resolved(int(recalled.text), None)
    allowed = "a whole number from 0" + ("" if size is None else f" to {size - 1}")
    return Resolved(default, _notice(f"image index {recalled.text!r} is not {allowed}", f"image {default}", recalled))


def recall_parameters(prefix: str, parameters: Sequence[Parameter]) -> tuple[dict[str, Any], list[str]]:
    """Values kept under `<prefix>.<name>`, defaults for the rest, and a notice for each that was not usable."""
    recalled = {parameter.name: recall(f"{prefix}.{parameter.name}") for parameter in parameters}
    raw = {name: asked.text for name, asked in recalled.items() if asked.text is not None}
    values, complaints = check_all(parameters, raw)
    return values, [f"The address was out of date: {complaint}." for complaint in complaints]


def keep_parameters(prefix: str, parameters: Sequence[Parameter], values: Mapping[str, Any]) -> None:
    """Keep what differs from the defaults; the address stays short."""
    for parameter in parameters:
        keep_unless_default(f"{prefix}.{parameter.name}", values.get(parameter.name), parameter.default)


def keep_unless_default(key: str, value: Any, default: Any) -> None:
    keep(key, None if value == default else value)


def notify(notices: Sequence[str | None]) -> None:
    for notice in notices:
        if notice:
            st.toast(notice, icon=":material/link_off:", duration="long")


def choose(
    widget_of: Callable[..., Any], label: str, key: str, options: Sequence[Any], *, default: Any, **looks: Any
) -> Any:
    """`widget_of` (st.selectbox, st.segmented_control, …) over options, its value kept under `key`.

    What the reader just picked comes first, then what was chosen before, then the default, which may be another now.
    """
    picked = st.session_state.get(key)
    value = picked if picked in options and picked != shown().get(key) else chosen(key, options, default)
    return show(widget_of, label, key, value, default, options=options, **looks)


def chosen(key: str, options: Sequence[Any], default: Any) -> Any:
    """What was chosen before, else the default, which may be another now; no widget shows it."""
    value, notice = resolve(key, recall(key), options, default)
    notify([notice])
    keep_unless_default(key, value, default)
    return value


def choose_number(widget_of: Callable[..., Any], label: str, key: str, *, default: Any, **looks: Any) -> Any:
    """`widget_of` (st.slider, st.pagination, …) over the numbers it allows; `default` says of which kind they are."""
    picked = st.session_state.get(key)
    value = picked if picked is not None and picked != shown().get(key) else _number(recall(key).text, default, looks)
    return show(widget_of, label, key, value, default, **looks)


def _number(text: str | None, default: Any, looks: Mapping[str, Any]) -> Any:
    try:
        number = type(default)(text)
    except (TypeError, ValueError):
        return default
    return number if looks["min_value"] <= number <= looks["max_value"] else default


def show(widget_of: Callable[..., Any], label: str, key: str, value: Any, default: Any, **looks: Any) -> Any:
    """A widget with this value, kept where it differs from the default."""
    st.session_state[key] = value  # said anew: on another page it is another widget
    shown()[key] = value = widget_of(label, key=widget(key), **looks)
    keep_unless_default(key, value, default)
    return value


def shown() -> dict[str, Any]:
    """What each widget showed last: where its state is another now, the reader picked it since."""
    values: dict[str, Any] = st.session_state.setdefault(SHOWN, {})
    return values


def choice(name: str, values: Mapping[str, Any]) -> Choice:
    """A registered name with those parameters that have a value."""
    return Choice.model_validate({"name": name} | {key: value for key, value in values.items() if value is not None})
