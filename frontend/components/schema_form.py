"""A form for whatever the backend registers: one widget a parameter of its JSON Schema."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from backend.schemas import Choice, Described, ModelInfo
from cifs.plot.labels import eps_text
from frontend import state
from frontend.parameters import Parameter, bounds, check_all, read_schema

USUAL = "pgd"
SAFE_INTEGER = 2**53 - 1  # a browser's numbers hold no more
FIRST = ("eps", "steps")  # shown at once, the others under "all settings"
SLIDER_HALF = 20  # positions on either side of the default


def attack_form(attacks: Sequence[Described], model: ModelInfo) -> Choice:
    """The attack in force; changed by the form's button, not by every keystroke."""
    by_name = {attack.name: attack for attack in attacks}
    text = eps_text(model.default_eps)
    suited = {"eps": text if "/" in text else model.default_eps}  # 8/255, as people write it
    in_force = recall_attack(by_name, suited)
    name = st.selectbox(
        "Attack", list(by_name), index=list(by_name).index(in_force.name), key="attack-name",
        format_func=lambda name: by_name[name].title.partition(":")[0],
    )  # fmt: skip
    st.caption(by_name[name].title.partition(":")[2].strip())
    parameters = overridden(read_schema(by_name[name].parameters), suited)
    start = in_force.parameters if name == in_force.name else {}
    with st.form(f"attack-{name}-{model.default_eps}", border=False):
        raw = _fields(parameters, start, prefix=f"attack-{name}-{model.default_eps}")
        attacked = st.form_submit_button("Attack", type="primary", icon=":material/bolt:", width="stretch")
    if not attacked:
        return in_force
    values, complaints = check_all(parameters, raw)
    if complaints:
        st.error("\n\n".join(complaints))
        return in_force
    for forgotten in in_force.parameters:
        state.keep(f"attack.{forgotten}", None)
    return _keep_attack(name, parameters, values)


def recall_attack(by_name: Mapping[str, Described], suited: Mapping[str, Any]) -> Choice:
    """The attack of the address or of this session; PGD with what suits the model for who comes first."""
    usual = USUAL if USUAL in by_name else next(iter(by_name))
    resolved = state.resolve("attack", state.recall("attack"), list(by_name), usual)
    parameters = overridden(read_schema(by_name[resolved.value].parameters), suited)
    values, notices = state.recall_parameters("attack", parameters)
    state.notify([resolved.notice, *notices])
    return _keep_attack(resolved.value, parameters, values)


def _keep_attack(name: str, parameters: Sequence[Parameter], values: Mapping[str, Any]) -> Choice:
    state.keep("attack", name)
    state.keep_parameters("attack", parameters, values)
    return state.choice(name, values)


def overridden(parameters: Sequence[Parameter], overrides: Mapping[str, Any]) -> list[Parameter]:
    """The parameters with defaults that suit the model; its ε is of ℓ∞ and suits no other norm."""
    if any(p.name == "norm" and p.default != "linf" for p in parameters):
        return list(parameters)
    return [p._replace(default=overrides[p.name]) if p.name in overrides else p for p in parameters]


def _fields(parameters: Sequence[Parameter], start: Mapping[str, Any], *, prefix: str) -> dict[str, Any]:
    free = [parameter for parameter in parameters if len(parameter.choices) != 1]
    first = [parameter for parameter in free if parameter.name in FIRST]
    rest = [parameter for parameter in free if parameter.name not in FIRST]
    raw = {p.name: field(p, start.get(p.name, p.default), key=f"{prefix}.{p.name}") for p in first}
    if rest:
        with st.expander("All settings"):
            raw |= {p.name: field(p, start.get(p.name, p.default), key=f"{prefix}.{p.name}") for p in rest}
    return raw


def field(parameter: Parameter, value: Any, *, key: str) -> Any:
    """The widget for one parameter; its answer is checked by `parameters.check`."""
    tip = ". ".join(part for part in (parameter.description, bounds(parameter).capitalize()) if part) or None
    if parameter.kind == "choice":
        index = parameter.choices.index(value) if value in parameter.choices else 0
        return st.selectbox(parameter.title, parameter.choices, index=index, key=key, help=tip)
    if parameter.kind == "boolean":
        return st.toggle(parameter.title, value=bool(value), key=key, help=tip)
    if parameter.kind == "integer" and not parameter.nullable:
        low, high = (_safe(parameter.minimum, -1), _safe(parameter.maximum, 1))
        return st.number_input(parameter.title, low, high, int(value), step=1, key=key, help=tip)
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    placeholder = "default" if parameter.nullable else None
    return st.text_input(parameter.title, text, key=key, help=tip, placeholder=placeholder)


def _safe(bound: float | None, sign: int) -> int:
    return sign * SAFE_INTEGER if bound is None else int(max(-SAFE_INTEGER, min(SAFE_INTEGER, bound)))


def sliders(prefix: str, described: Described) -> Choice:
    """The parameters as live sliders, spread geometrically around their defaults; kept under `<prefix>.<name>`."""
    parameters = read_schema(described.parameters)
    values, notices = state.recall_parameters(prefix, parameters)
    state.notify(notices)
    for parameter in parameters:
        values[parameter.name] = _slider(
            parameter, values[parameter.name], key=f"{prefix}-{described.name}.{parameter.name}"
        )
    state.keep_parameters(prefix, parameters, values)
    return state.choice(described.name, values)


def _slider(parameter: Parameter, value: Any, *, key: str) -> Any:
    if parameter.kind != "number" or not parameter.default:
        return field(parameter, value, key=key)
    positions = slider_positions(parameter)
    nearest = min(positions, key=lambda position: abs(position - value))
    return st.select_slider(parameter.title, positions, nearest, key=key, help=parameter.description or None)


def slider_positions(parameter: Parameter) -> list[float]:
    """From a hundredth of the default to a hundred times it, the default in the middle, inside the bounds."""
    spread = [float(f"{parameter.default * 10 ** (i / 10):.3g}") for i in range(-SLIDER_HALF, SLIDER_HALF + 1)]
    low = -float("inf") if parameter.minimum is None else parameter.minimum
    high = float("inf") if parameter.maximum is None else parameter.maximum
    return [position for position in spread if low <= position <= high]
