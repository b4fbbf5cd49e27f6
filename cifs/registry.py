"""Names → things. A registered settings class is a frozen pydantic dataclass: it validates itself and has a schema."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function
from typing_extensions import dataclass_transform

from cifs.errors import InvalidParameter, UnknownName
from cifs.plugins import load_plugins

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A read-only mapping that is filled by decorators and answers a wrong name with the right ones.

    The first time any registry is read, plug-ins fill theirs (cifs.plugins).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[Any], Any]:
        def add(thing: Any) -> Any:
            if name in self._things:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._things[name] = thing
            return thing

        return add

    def _read(self) -> dict[str, T]:
        load_plugins()
        return self._things

    def __getitem__(self, name: str) -> T:
        things = self._read()
        try:
            return things[name]
        except (KeyError, TypeError):
            raise UnknownName(self.kind, name, things) from None

    def __contains__(self, name: object) -> bool:
        return name in self._read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def name_of(self, thing: object) -> str:
        """The name a settings instance's class is registered under."""
        return next(name for name, cls in self._read().items() if type(thing) is cls)


class Named:
    """Annotation of a string that names a thing in a registry: Annotated[str, Named(LOSSES)].

    Its JSON Schema lists the names that are registered when it is asked for.
    """

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self.registry)}

    def _check(self, name: str) -> str:
        if name not in self.registry:
            raise ValueError(f"choose from: {', '.join(self.registry)}")
        return name


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def settings(cls: type[T]) -> type[T]:
    """Frozen, keyword-only, validated: what every registered choice with parameters is."""
    return pydantic_dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))(cls)  # type: ignore[return-value]


def parse_fraction(value: Any) -> Any:
    """'8/255' → 8/255; anything else is left to the type it stands for, but for a boolean, which Python takes for 1."""
    if isinstance(value, bool):
        raise ValueError("no number; write one such as 0.1, or a fraction such as '8/255'")
    if not isinstance(value, str) or "/" not in value:
        return value
    numerator, _, denominator = value.partition("/")
    try:
        return float(numerator) / float(denominator)
    except (ValueError, ZeroDivisionError):
        raise ValueError("no fraction; write a number such as 0.1, or a fraction such as '8/255'") from None


def fraction(*, ge: float, le: float) -> tuple[Any, Any]:
    """Annotations of a number that may be written as a fraction: Annotated[float, *fraction(ge=0, le=1)].

    The schema promises fractions of 255 alone, for it cannot bound others; any other within the bounds is taken too.
    """
    within, of_255 = Field(ge=ge, le=le), Field(pattern="^(1?[0-9]?[0-9]|2[0-4][0-9]|25[0-5])/255$")
    as_json: Any = Annotated[float, within] | Annotated[str, of_255]
    return within, BeforeValidator(parse_fraction, json_schema_input_type=as_json)


def configure(registry: Registry[type[T]], name: str, parameters: Mapping[str, Any], *, strict: bool = False) -> T:
    """The settings registered as `name` with these parameters.

    strict: they are of JSON's own types; else "20" and True are taken for numbers, as a command line writes them.
    Raises UnknownName, or InvalidParameter that names the field, the value and what is allowed.
    """
    cls = TypeAdapter(registry[name])
    try:
        return (
            cls.validate_json(json.dumps(dict(parameters)), strict=True)
            if strict
            else cls.validate_python(dict(parameters))
        )
    except ValidationError as error:
        raise InvalidParameter("; ".join(_explain(registry, name, e) for e in error.errors())) from None


def _explain(registry: Registry[Any], name: str, error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"] if not isinstance(part, type)) or name
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        allowed = ", ".join(json_schema(registry[name]).get("properties", {})) or "none"
        return f"{registry.kind} {name!r} has no parameter {field!r}; it takes: {allowed}"
    reason = error.get("ctx", {}).get("error") or error["msg"]  # a validator's own words, without pydantic's prefix
    return f"{registry.kind} {name!r}: {field} = {_short(error['input'])}: {reason}"


def _short(value: Any, most: int = 100) -> str:
    """A value as it is shown in a message: a huge one would hide what is allowed."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def json_schema(cls: type) -> dict[str, Any]:
    """JSON Schema (2020-12) of a settings class's parameters."""
    return TypeAdapter(cls).json_schema()


def described(thing: Any) -> tuple[str, str]:
    """(title, description): the first line of the docstring, and the whole."""
    text = (thing.__doc__ or "").strip()
    return text.partition("\n")[0].rstrip("."), text
