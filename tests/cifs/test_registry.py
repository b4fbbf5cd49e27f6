"""Registries, settings and their messages."""

import re
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from cifs.attacks import ATTACKS, PGD
from cifs.channels import RELEVANCES
from cifs.errors import CIFSError, InvalidParameter, UnknownName
from cifs.registry import Registry, configure, described, json_schema, parse_fraction, settings
from cifs.selection import IMGFS, PROBES

SETTINGS = [(registry, name) for registry in (ATTACKS, IMGFS, PROBES, RELEVANCES) for name in registry]
EVERY = pytest.mark.parametrize(("registry", "name"), SETTINGS, ids=[f"{r.kind} {n}" for r, n in SETTINGS])


@settings
class Sample:
    """First line.

    The rest.
    """

    size: int = Field(default=3, ge=1, le=9)


def sample() -> Registry[type[Sample]]:
    registry: Registry[type[Sample]] = Registry("sample")
    registry.register("one")(Sample)
    return registry


def test_a_registry_maps_names_to_things_in_their_order() -> None:
    registry: Registry[int] = Registry("number")
    registry.register("b")(2)
    registry.register("a")(1)
    assert dict(registry) == {"b": 2, "a": 1}
    assert list(registry) == ["b", "a"]
    assert len(registry) == 2
    assert "a" in registry
    assert "c" not in registry


@pytest.mark.parametrize("name", ["two", None, ["one"], {}])
def test_an_unknown_name_is_answered_with_the_choices(name: object) -> None:
    with pytest.raises(UnknownName, match="unknown sample .*; choose from: one") as refusal:
        sample()[name]  # type: ignore[index]
    assert (refusal.value.kind, refusal.value.name, refusal.value.choices) == ("sample", name, ("one",))
    assert isinstance(refusal.value, CIFSError)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("sofmax", "'softmax'"), ("SOFTMAX", "'softmax'"), ("softpls", "'softplus'"), ("sigmoit", "'sigmoid'")],
)
def test_a_misspelt_name_is_answered_with_the_nearest_first(name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown IMGF '{name}'; did you mean {nearest}.*choose from: softmax, "):
        IMGFS[name]


def test_of_many_names_only_the_nearest_are_said_or_else_some_and_how_many_there_are() -> None:
    names = [f"cpu/net-{i:02}" for i in range(40)] + ["paper/net-99"]
    message = str(UnknownName("recipe", "paper/net-98", names))
    assert "did you mean 'paper/net-99' or " in message
    assert message.endswith("(41 names in all)")
    assert message.count("net-") == 4  # the name itself and the nearest three
    far = str(UnknownName("recipe", "zzz", names))
    assert "choose from 41 names, among them: cpu/net-00, " in far
    assert far.count("net-") == 12


def test_an_empty_registry_says_so() -> None:
    with pytest.raises(UnknownName, match="choose from: none"):
        Registry("thing")["x"]


def test_a_name_is_registered_once() -> None:
    registry = sample()
    with pytest.raises(ValueError, match="'one' is registered twice"):
        registry.register("one")(Sample)


@EVERY
def test_the_defaults_are_settings_that_are_frozen_described_and_named(registry: Registry[type], name: str) -> None:
    found = configure(registry, name, {})
    assert registry.name_of(found) == name
    assert all(described(registry[name]))
    with pytest.raises(AttributeError):
        found.anything = 1
    schema = json_schema(registry[name])
    assert all("default" in field for field in schema["properties"].values()), "a form needs a value to start with"
    assert configure(registry, name, {key: field["default"] for key, field in schema["properties"].items()}) == found


@EVERY
def test_an_unknown_parameter_is_answered_with_the_known_ones(registry: Registry[type], name: str) -> None:
    with pytest.raises(InvalidParameter, match="has no parameter 'colour'; it takes: ") as refusal:
        configure(registry, name, {"colour": 1})
    assert all(key in str(refusal.value) for key in json_schema(registry[name])["properties"])


def test_every_wrong_parameter_is_named_with_its_value() -> None:
    with pytest.raises(InvalidParameter, match=r"sample 'one': size = 10: .*less than or equal to 9"):
        configure(sample(), "one", {"size": 10})
    with pytest.raises(InvalidParameter) as refusal:
        configure(sample(), "one", {"size": "x" * 10_000, "shape": 1})
    assert len(str(refusal.value)) < 500
    assert "'shape'" in str(refusal.value)


def test_a_description_is_the_docstring_and_its_first_line() -> None:
    title, text = described(Sample)
    assert title == "First line"
    assert text.startswith("First line.")
    assert text.endswith("The rest.")


@given(a=st.integers(0, 1000), b=st.integers(1, 1000))
def test_a_fraction_is_its_quotient(a: int, b: int) -> None:
    assert parse_fraction(f"{a}/{b}") == a / b


@pytest.mark.parametrize("text", ["1/0", "a/b", "/", "1/", "/2", "1/2/3"])
def test_what_is_no_fraction_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="8/255"):
        parse_fraction(text)


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_no_number(value: bool) -> None:
    with pytest.raises(InvalidParameter, match=rf"'fgsm': eps = {value}: no number; .*8/255"):
        configure(ATTACKS, "fgsm", {"eps": value})


@given(value=st.one_of(st.floats(), st.integers(), st.none(), st.text(alphabet="0123456789.x")))
def test_what_is_not_written_as_a_fraction_is_left_alone(value: object) -> None:
    assert parse_fraction(value) is value


@pytest.mark.parametrize("value", ["5", True, 5.5])
def test_strictly_only_json_s_own_types_are_taken(value: object) -> None:
    with pytest.raises(InvalidParameter, match=f"steps = {value!r}"):
        configure(ATTACKS, "pgd", {"steps": value}, strict=True)
    assert configure(ATTACKS, "pgd", {"eps": "8/255", "beta": "inf", "steps": 5}, strict=True) == PGD(
        eps=8 / 255, beta=inf, steps=5
    )


def test_the_fractions_a_schema_promises_are_those_of_255_within_its_bounds() -> None:
    promised = json_schema(PGD)["properties"]["eps"]["anyOf"][1]["pattern"]
    fits = [n for n in range(1200) if re.search(promised, f"{n}/255")]
    assert fits == list(range(256))
