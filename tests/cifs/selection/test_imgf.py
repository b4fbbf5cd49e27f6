"""Every registered IMGF: its formula in numpy, and the properties the paper asks of it."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cifs.errors import InvalidParameter
from cifs.registry import configure, json_schema
from cifs.selection import IMGFS, is_control

Array = NDArray[np.float64]


def softmax(g: Array, *, temperature: float, scale: float, per_channel: bool) -> Array:
    powers = np.exp(g / temperature - (g / temperature).max(axis=1, keepdims=True))
    return scale * powers / powers.sum(axis=1, keepdims=True) * (g.shape[1] if per_channel else 1)


def softplus(g: Array, *, alpha: float) -> Array:
    return np.logaddexp(0, alpha * g) / alpha


def sigmoid(g: Array, *, alpha: float) -> Array:
    return np.exp(-np.logaddexp(0, -alpha * g))


FORMULAS = {"softmax": softmax, "softplus": softplus, "sigmoid": sigmoid}
OF_THE_PAPER = [name for name in IMGFS if not is_control(name)]  # controls: test_controls.py
IMGF = pytest.mark.parametrize("name", OF_THE_PAPER)


def properties(name: str) -> dict[str, Any]:
    return json_schema(IMGFS[name])["properties"]


def parameters(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any parameters, by the schema the dashboard's forms are made of."""
    kinds = {"boolean": st.booleans(), "number": st.floats(0.05, 20)}
    return st.fixed_dictionaries({key: kinds[schema["type"]] for key, schema in properties(name).items()})


relevances = st.lists(st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4), min_size=1, max_size=3).map(
    torch.tensor
)
CASE = given(data=st.data(), g=relevances)


def test_every_imgf_has_a_formula_here() -> None:
    assert set(FORMULAS) == set(OF_THE_PAPER)


@IMGF
@CASE
def test_imgf_equals_its_formula(name: str, data: st.DataObject, g: torch.Tensor) -> None:
    chosen = data.draw(parameters(name))
    expected = FORMULAS[name](g.double().numpy(), **chosen)
    found = configure(IMGFS, name, chosen)(g)
    assert found.shape == g.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


@IMGF
@CASE
def test_importance_is_never_negative(name: str, data: st.DataObject, g: torch.Tensor) -> None:
    assert (configure(IMGFS, name, data.draw(parameters(name)))(g) >= 0).all()


@IMGF
@CASE
def test_importance_never_falls_as_relevance_rises(name: str, data: st.DataObject, g: torch.Tensor) -> None:
    m = configure(IMGFS, name, data.draw(parameters(name)))(g)
    rising = m.gather(1, g.argsort(dim=1))
    assert (rising.diff(dim=1) >= -1e-6 * rising[:, 1:]).all()


@IMGF
def test_importance_tells_channels_apart(name: str) -> None:
    m = configure(IMGFS, name, {})(torch.tensor([[-0.2, -0.1, 0.0, 0.1, 0.2]]))
    assert (m.diff() > 0).all()


@IMGF
def test_strongly_negative_relevance_is_sent_near_zero(name: str) -> None:
    m = configure(IMGFS, name, {})(torch.tensor([[-20.0, 0.0, 1.0]]))[0]
    assert m[0] < 1e-6
    assert m[2] > 0.5


@CASE
def test_softmax_sums_to_scale_or_averages_to_it(data: st.DataObject, g: torch.Tensor) -> None:
    chosen = data.draw(parameters("softmax"))
    total = chosen["scale"] * (g.shape[1] if chosen["per_channel"] else 1)
    sums = configure(IMGFS, "softmax", chosen)(g).sum(dim=1)
    torch.testing.assert_close(sums, torch.full_like(sums, total), rtol=1e-5, atol=1e-6)


@IMGF
@pytest.mark.parametrize("value", [0, -1.5, float("nan"), float("inf"), 1e9, "much"])
def test_a_parameter_out_of_range_is_refused_by_name_and_value(name: str, value: object) -> None:
    for parameter, schema in properties(name).items():
        if schema["type"] == "number":
            with pytest.raises(InvalidParameter) as refusal:
                configure(IMGFS, name, {parameter: value})
            assert parameter in str(refusal.value)
            assert repr(value) in str(refusal.value)


@IMGF
def test_an_unknown_parameter_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(InvalidParameter, match="'warmth'") as refusal:
        configure(IMGFS, name, {"warmth": 1.0})
    assert all(parameter in str(refusal.value) for parameter in properties(name))
