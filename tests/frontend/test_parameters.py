"""A JSON Schema becomes parameters, and what a reader typed becomes a value or a sentence."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, create_model

from frontend.parameters import Parameter, bounds, check, check_all, read_schema


def parameter(annotation: Any, default: Any = ...) -> Parameter:
    """As pydantic, which the backend's schemas come from, describes a field."""
    schema = TypeAdapter(create_model("Settings", value=(annotation, default))).json_schema()
    return read_schema(schema)[0]


FRACTION = Annotated[float, Field(ge=0, le=1)] | str


@pytest.mark.parametrize(
    ("annotation", "kind", "nullable"),
    [
        (int, "integer", False),
        (float, "number", False),
        (bool, "boolean", False),
        (str, "text", False),
        (FRACTION, "fraction", False),
        (FRACTION | None, "fraction", True),
        (int | None, "integer", True),
        (Literal["ce", "margin"], "choice", False),
        (Literal[1], "choice", False),
        (Literal["a"] | None, "choice", True),
        (int | float, "number", False),
    ],
)
def test_kinds_are_recognised(annotation: Any, kind: str, nullable: bool) -> None:
    found = parameter(annotation)
    assert (found.kind, found.nullable) == (kind, nullable)


def test_a_referenced_enum_is_a_choice() -> None:
    schema = {
        "$defs": {"Loss": {"enum": ["ce", "dlr"]}},
        "properties": {"loss": {"$ref": "#/$defs/Loss", "default": "ce"}},
    }
    assert read_schema(schema)[0].choices == ("ce", "dlr")


def test_a_kind_no_form_can_show_is_left_out() -> None:
    assert read_schema({"properties": {"weights": {"type": "array"}, "k": {"type": "integer"}}})[0].name == "k"


@pytest.mark.parametrize(
    ("annotation", "raw", "value"),
    [
        (FRACTION, "8/255", "8/255"),
        (FRACTION, " 0.1 ", 0.1),
        (FRACTION | None, "", None),
        (int, "20", 20),
        (int, 20.0, 20),
        (float, "1e-3", 0.001),
        (float, "inf", "inf"),
        (bool, "true", True),
        (bool, False, False),
        (Literal["ce", "margin"], "margin", "margin"),
        (Literal[1, 2], "2", 2),
    ],
)
def test_values_of_a_form_or_an_address_are_understood(annotation: Any, raw: Any, value: Any) -> None:
    assert check(parameter(annotation), raw) == value


@pytest.mark.parametrize(
    ("annotation", "raw", "message"),
    [
        (FRACTION, "8/0", "a fraction such as"),
        (FRACTION, "300/255", "at least 0 and at most 1"),
        (FRACTION, "abc", "a fraction such as"),
        (FRACTION, "nan", "a fraction such as"),
        (int, "2.5", "whole number"),
        (int, "", "needs a value"),
        (float, "nan", "finite"),
        (Annotated[float, Field(gt=0)], "0", "above 0"),
        (Annotated[int, Field(ge=1, le=9)], "10", "at least 1 and at most 9"),
        (bool, "yes", "true or false"),
        (Literal["ce", "dlr"], "mse", "it can be ce, dlr"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_allowed(annotation: Any, raw: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(parameter(annotation), raw)


def test_titles_that_repeat_the_name_read_as_a_sentence() -> None:
    schema = {
        "properties": {
            "eps": {"type": "number", "title": "Eps"},
            "step_size": {"type": "number", "title": "Step Size"},
            "swap_sides": {"type": "boolean", "title": "Swap Sides"},
            "k": {"type": "integer", "title": "top-k"},
        }
    }
    assert [p.title for p in read_schema(schema)] == ["ε", "Step size α", "Swap sides", "top-k"]


def test_a_wrong_value_falls_back_and_is_told() -> None:
    parameters = [parameter(int, 5)]
    assert check_all(parameters, {"value": "7"}) == ({"value": 7}, [])
    values, complaints = check_all(parameters, {"value": "x"})
    assert values == {"value": 5}
    assert len(complaints) == 1


def test_bounds_are_spelt_out() -> None:
    assert bounds(parameter(Annotated[float, Field(gt=0, lt=1)])) == "above 0 and below 1"
    assert bounds(parameter(float)) == ""
