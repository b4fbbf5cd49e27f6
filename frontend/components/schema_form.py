"""A form for whatever the backend registers: one widget a parameter of its JSON Schema."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st

from backend.schemas import Choice, Described, ModelInfo
from cifs.plot.labels import eps_text
from frontend import state
from frontend.captions import attack_title
from frontend.parameters import Parameter, bounds, check_all, read_schema
from frontend.style import close_sidebar_on_phones

USUAL = "pgd"
SAFE_INTEGER = 2**53 - 1  # a browser's numbers hold no more
FIRST = ("eps", "steps")  # shown at once, the others under "All settings"
OF_PROBES = ("beta", "through_mask")  # mean nothing where a model has none
SLIDER_HALF = 20  # positions on either side of the default
NAME, SETTINGS = "attack-name", "all-settings"
DRAFT = "attack draft"  # what was typed and is not applied yet, by parameter
ATTACKED = "attacked"


class AttackForm(NamedTuple):
    """The registered attacks as they suit one model."""

    by_name: dict[str, Described]
    model: ModelInfo

    @property
    def usual(self) -> str:
        return USUAL if USUAL in self.by_name else next(iter(self.by_name))

    def parameters(self, name: str) -> list[Parameter]:
        """Defaults suit the model; classes have names; what its network has no use for is left out."""
        parameters = read_schema(self.by_name[name].parameters)
        if norm_of(parameters) == "linf":  # the model's usual budget is of that norm
            text = eps_text(self.model.default_eps)
            parameters = overridden(parameters, {"eps": text if "/" in text else self.model.default_eps})
        if not any(layer.modified for layer in self.model.layers):
            parameters = [parameter for parameter in parameters if parameter.name not in OF_PROBES]
        return [_by_class_name(p, self.model.classes) if p.name == "target" else p for p in parameters]


def norm_of(parameters: Sequence[Parameter]) -> Any:
    return next((p.default for p in parameters if p.name == "norm"), "linf")


def _by_class_name(parameter: Parameter, classes: Sequence[str]) -> Parameter:
    return parameter._replace(
        kind="choice", title="Towards which class", choices=tuple(range(len(classes))), labels=tuple(classes)
    )


def overridden(parameters: Sequence[Parameter], overrides: Mapping[str, Any]) -> list[Parameter]:
    """The parameters with defaults that suit the model; its ε is of ℓ∞ and suits no other norm."""
    if any(p.name == "norm" and p.default != "linf" for p in parameters):
        return list(parameters)
    return [p._replace(default=overrides[p.name]) if p.name in overrides else p for p in parameters]


def attack_form(attacks: Sequence[Described], model: ModelInfo) -> Choice:
    """The attack in force; changed by the form's button, not by every keystroke."""
    form = AttackForm({attack.name: attack for attack in attacks}, model)
    in_force = recall_attack(form)
    if st.session_state.pop(ATTACKED, False):
        close_sidebar_on_phones()
    _edit(form, in_force)
    return in_force


def recall_attack(form: AttackForm) -> Choice:
    """The attack of the address or of this session; PGD with what suits the model for who comes first."""
    resolved = state.resolve("attack", state.recall("attack"), list(form.by_name), form.usual)
    parameters = form.parameters(resolved.value)
    values, notices = state.recall_parameters("attack", parameters)
    state.notify([resolved.notice, *notices])
    _keep(form, resolved.value, values)
    return state.choice(resolved.value, values)


def _keep(form: AttackForm, name: str, values: Mapping[str, Any]) -> None:
    state.keep_unless_default("attack", name, form.usual)
    state.keep_parameters("attack", form.parameters(name), values)


def apply_attack(form: AttackForm, attack: Choice) -> None:
    """Put another attack in force, and into the form."""
    for key in state.recalled_keys("attack."):
        state.keep(key, None)
    _keep(form, attack.name, attack.parameters)


class Draft(NamedTuple):
    """What the form holds and the page does not show yet; it starts from the attack in force."""

    of: str  # the attack in force, the model and the address it was begun with
    chosen: dict[tuple[Any, str], Any]  # by norm and parameter, what is no default: another attack begins with it too


def _draft(form: AttackForm, in_force: Choice) -> Draft:
    of = f"{form.model.id}, {in_force.model_dump_json()}, {state.visit()}"
    draft: Draft | None = st.session_state.get(DRAFT)
    if draft is None or draft.of != of:
        draft = st.session_state[DRAFT] = Draft(of, {})
        st.session_state.pop(NAME, None)
        _note(draft, form.parameters(in_force.name), in_force.parameters)
    return draft


def _note(draft: Draft, parameters: Sequence[Parameter], values: Mapping[str, Any]) -> None:
    for parameter in parameters:
        place = norm_of(parameters), parameter.name
        value = values.get(parameter.name)
        if value == parameter.default:
            draft.chosen.pop(place, None)
        else:
            draft.chosen[place] = value


@st.fragment
def _edit(form: AttackForm, in_force: Choice) -> None:
    """Runs alone, so that typing costs nothing; what it comes to takes effect with the button."""
    draft, names = _draft(form, in_force), list(form.by_name)
    name = st.selectbox(
        "Attack", names, index=names.index(in_force.name), key=NAME,
        format_func=lambda name: form.by_name[name].title.partition(":")[0],
        help=form.by_name[st.session_state.get(NAME, in_force.name)].title,
    )  # fmt: skip
    parameters = form.parameters(name)
    start = {p.name: draft.chosen.get((norm_of(parameters), p.name), p.default) for p in parameters}
    values, complaints = check_all(parameters, _fields(parameters, start, f"attack-{name}-{hash(draft.of)}"))
    _note(draft, parameters, values)
    drafted = state.choice(name, values)
    # The button first: words above would move it while it is pressed, for a field is read when the mouse leaves it.
    pressed = st.button("Attack", type="primary", icon=":material/bolt:", width="stretch")
    for complaint in complaints:
        st.error(complaint)
    if drafted != in_force and not complaints:
        shown = attack_title(in_force, form.model.classes)
        st.caption(f":material/pending: Not applied yet: the page shows {shown}.")
    if pressed and not complaints:
        apply_attack(form, drafted)
        st.session_state[ATTACKED] = True
        state.rerun()


def _fields(parameters: Sequence[Parameter], start: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    free = [parameter for parameter in parameters if len(parameter.choices) != 1]
    first = [parameter for parameter in free if parameter.name in FIRST]
    rest = [parameter for parameter in free if parameter.name not in FIRST]
    raw = {p.name: field(p, start[p.name], key=f"{prefix}.{p.name}") for p in first}
    if rest:
        with st.expander("All settings", key=SETTINGS, on_change="rerun") as box:  # closed, it is not written
            raw |= {
                p.name: field(p, start[p.name], key=f"{prefix}.{p.name}") if box.open else start[p.name] for p in rest
            }
    return raw


def field(parameter: Parameter, value: Any, *, key: str) -> Any:
    """The widget for one parameter; its answer is checked by `parameters.check`."""
    tip = ". ".join(part for part in (parameter.description, bounds(parameter).capitalize()) if part) or None
    if parameter.kind == "choice":
        return _select(parameter, value, key=key, tip=tip)
    if parameter.kind == "boolean":
        return st.toggle(parameter.title, value=bool(value), key=key, help=tip)
    if parameter.kind == "integer" and not parameter.nullable:
        low, high = (_safe(parameter.minimum, -1), _safe(parameter.maximum, 1))
        return st.number_input(parameter.title, low, high, int(value), step=1, key=key, help=tip)
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    placeholder = "default" if parameter.nullable else None
    return st.text_input(parameter.title, text, key=key, help=tip, placeholder=placeholder)


def _select(parameter: Parameter, value: Any, *, key: str, tip: str | None) -> Any:
    options = [None, *parameter.choices] if parameter.nullable else list(parameter.choices)
    names = dict(zip(parameter.choices, parameter.labels or map(str, parameter.choices), strict=True))
    index = options.index(value) if value in options else 0
    return st.selectbox(
        parameter.title, options, index=index, key=key, help=tip, format_func=lambda k: names.get(k, "any other")
    )


def _safe(bound: float | None, sign: int) -> int:
    return sign * SAFE_INTEGER if bound is None else int(max(-SAFE_INTEGER, min(SAFE_INTEGER, bound)))


def sliders(prefix: str, described: Described) -> Choice:
    """The parameters as live sliders, spread geometrically around their defaults; kept under `<prefix>.<name>`."""
    parameters = read_schema(described.parameters)
    values, notices = state.recall_parameters(prefix, parameters)
    state.notify(notices)
    for parameter in parameters:
        key = f"{prefix}-{described.name}-{state.visit()}.{parameter.name}"
        values[parameter.name] = _slider(parameter, values[parameter.name], key=key)
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
