"""Parameters as the backend describes them: JSON Schema → `Parameter` → a checked value.

What the dashboard can ask for is a number, an integer, a fraction such as "8/255", a yes or no, one of a list, or a
text, each possibly absent. A parameter of any other kind keeps the backend's default.
"""

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Literal, NamedTuple

Kind = Literal["integer", "number", "fraction", "boolean", "choice", "text"]
JSON_KINDS: dict[str, Kind] = {"integer": "integer", "number": "number", "boolean": "boolean", "string": "text"}


class Parameter(NamedTuple):
    name: str
    title: str
    description: str
    kind: Kind
    default: Any
    nullable: bool
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False  # the minimum itself is not allowed
    open_maximum: bool = False
    labels: tuple[str, ...] = ()  # of the choices, where they are not their own names


TITLES = {  # as people write them; a title of the schema's own goes first
    "eps": "ε",
    "step_size": "Step size α",
    "random_start": "Random start",
    "loss": "Loss",
    "beta": "β of the joint loss",
    "target": "Target class",
    "through_mask": "Differentiate through the importance map",
    "keep": "Iterate that counts",
    "seed": "Seed of the random start",
    "temperature": "Temperature T",
    "alpha": "α",
    "k": "Classes summed, k",
    "per_channel": "Times the number of channels",
    "n_queries": "Queries",
    "momentum": "Momentum μ",
}


def read_schema(schema: Mapping[str, Any]) -> list[Parameter]:
    """The parameters of a JSON Schema of an object, in its order, without those of a kind no form can show."""
    definitions = schema.get("$defs", {})
    found = (_parameter(name, _expand(spec, definitions)) for name, spec in schema.get("properties", {}).items())
    return [parameter for parameter in found if parameter is not None]


def _expand(spec: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """`spec` with its `$ref` and a lone `allOf` replaced by what they stand for."""
    if "$ref" in spec:
        spec = {**definitions.get(spec["$ref"].rsplit("/", 1)[-1], {}), **_without(spec, "$ref")}
    if len(spec.get("allOf", ())) == 1:
        spec = {**_expand(spec["allOf"][0], definitions), **_without(spec, "allOf")}
    if "anyOf" in spec:
        spec = {**spec, "anyOf": [_expand(option, definitions) for option in spec["anyOf"]]}
    return dict(spec)


def _without(spec: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != key}


def _parameter(name: str, spec: dict[str, Any]) -> Parameter | None:
    options = spec.get("anyOf", [spec])
    real = [option for option in options if option.get("type") != "null"]
    kind = _kind(real)
    if kind is None:
        return None
    merged = {**_merge_bounds(real), **spec}
    return Parameter(
        name=name,
        title=_title(name, spec.get("title")),
        description=spec.get("description", ""),
        kind=kind,
        default=spec.get("default"),
        nullable=len(real) < len(options),
        choices=tuple(value for option in real for value in _values(option)) if kind == "choice" else (),
        minimum=merged.get("minimum", merged.get("exclusiveMinimum")),
        maximum=merged.get("maximum", merged.get("exclusiveMaximum")),
        open_minimum="exclusiveMinimum" in merged and "minimum" not in merged,
        open_maximum="exclusiveMaximum" in merged and "maximum" not in merged,
    )


def _title(name: str, given: str | None) -> str:
    """A title that only repeats the name, as pydantic's do ("Step Size"), in sentence case."""
    if given is None or given.replace(" ", "_").lower() == name:
        return TITLES.get(name, name.replace("_", " ").capitalize())
    return given


def _kind(options: list[dict[str, Any]]) -> Kind | None:
    if options and all(_values(option) for option in options):
        return "choice"
    types = {option.get("type") for option in options if not _values(option)}  # but for a word such as "inf"
    if "string" in types and types & {"number", "integer"}:
        return "fraction"
    if types == {"integer", "number"}:
        return "number"
    return JSON_KINDS.get(str(types.pop())) if len(types) == 1 else None


def _values(option: Mapping[str, Any]) -> list[Any]:
    return [option["const"]] if "const" in option else list(option.get("enum", ()))


def _merge_bounds(options: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    return {name: option[name] for option in options for name in names if name in option}


def check(parameter: Parameter, raw: Any) -> Any:
    """`raw`, from a widget or an address, as the value to send. Raises ValueError with what is allowed."""
    if raw is None or raw == "":
        if parameter.nullable:
            return None
        raise ValueError(f"{parameter.title} needs a value")
    if parameter.kind == "choice":
        return _check_choice(parameter, raw)
    if parameter.kind == "boolean":
        return _check_boolean(parameter, raw)
    if parameter.kind == "text":
        return str(raw)
    return _check_number(parameter, raw)


def _check_choice(parameter: Parameter, raw: Any) -> Any:
    for choice in parameter.choices:
        if str(choice) == str(raw):
            return choice
    allowed = ", ".join(str(choice) for choice in parameter.choices)
    raise ValueError(f"{parameter.title} is {raw!r}; it can be {allowed}")


def _check_boolean(parameter: Parameter, raw: Any) -> bool:
    word = str(raw).lower()
    if word not in ("true", "false"):
        raise ValueError(f"{parameter.title} is {raw!r}; it can be true or false")
    return word == "true"


def _check_number(parameter: Parameter, raw: Any) -> int | float | str:
    try:
        number = float(Fraction(str(raw).strip())) if parameter.kind == "fraction" else float(raw)
    except (ValueError, ZeroDivisionError, OverflowError):
        example = 'a number or a fraction such as "8/255"' if parameter.kind == "fraction" else "a number"
        raise ValueError(f"{parameter.title} is {raw!r}; it has to be {example}") from None
    if number == math.inf and parameter.kind == "number" and parameter.maximum is None:
        return "inf"  # JSON has no number for it
    if not math.isfinite(number) or not _within(parameter, number):
        raise ValueError(f"{parameter.title} is {raw!r}; it has to be {bounds(parameter) or 'finite'}")
    if parameter.kind == "integer":
        if number != int(number):
            raise ValueError(f"{parameter.title} is {raw!r}; it has to be a whole number")
        return int(number)
    return str(raw).strip() if "/" in str(raw) else number


def _within(parameter: Parameter, number: float) -> bool:
    low, high = parameter.minimum, parameter.maximum
    above = low is None or (number > low if parameter.open_minimum else number >= low)
    below = high is None or (number < high if parameter.open_maximum else number <= high)
    return above and below


def bounds(parameter: Parameter) -> str:
    """The allowed range in words, "" where there is none."""
    low, high = parameter.minimum, parameter.maximum
    parts = []
    if low is not None:
        parts.append(f"{'above' if parameter.open_minimum else 'at least'} {low:g}")
    if high is not None:
        parts.append(f"{'below' if parameter.open_maximum else 'at most'} {high:g}")
    return " and ".join(parts)


def defaults(parameters: Iterable[Parameter]) -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in parameters}


def check_all(parameters: Iterable[Parameter], raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values that are fine (the default where one is not, or is not given), and what was wrong with the others."""
    values, complaints = {}, []
    for parameter in parameters:
        values[parameter.name] = parameter.default
        try:
            if parameter.name in raw:
                values[parameter.name] = check(parameter, raw[parameter.name])
        except ValueError as error:
            complaints.append(str(error))
    return values, complaints
