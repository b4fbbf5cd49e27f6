"""Every control is told apart from the paper's IMGFs, and leaves out what it says it leaves out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cifs.errors import InvalidParameter
from cifs.registry import configure, described
from cifs.selection import CIFS, IMGFS, is_control
from cifs.selection.probe import LinearProbe

CONTROLS = [name for name in IMGFS if is_control(name)]
CONTROL = pytest.mark.parametrize("name", CONTROLS)
maps = st.integers(0, 2**31 - 1)


def relevance(seed: int = 0) -> torch.Tensor:
    return torch.randn(5, 16, generator=torch.Generator().manual_seed(seed))


def test_the_papers_imgfs_are_no_controls() -> None:
    assert set(IMGFS) - set(CONTROLS) == {"softmax", "softplus", "sigmoid"}


@CONTROL
def test_a_control_says_so_where_people_choose(name: str) -> None:
    assert described(IMGFS[name])[0].startswith("Control: ")


@CONTROL
@given(seed=maps)
def test_importance_of_a_control_averages_to_one_and_is_never_negative(name: str, seed: int) -> None:
    m = configure(IMGFS, name, {})(relevance(seed))
    assert (m >= 0).all()
    torch.testing.assert_close(m.mean(dim=1), torch.ones(5))


@pytest.mark.parametrize("name", ["ones", "fixed"])
def test_a_map_blind_to_relevance_is_the_same_whatever_the_relevance(name: str) -> None:
    imgf = configure(IMGFS, name, {})
    assert torch.equal(imgf(relevance(1)), imgf(relevance(2)))


def test_ones_leave_the_features_as_they_are() -> None:
    z = torch.rand(3, 8, 2, 2)
    selection = CIFS(LinearProbe(8, 10), configure(IMGFS, "ones", {}))(z)
    assert torch.equal(selection.selected, z)


def test_a_fixed_map_is_uneven_and_drawn_by_its_seed_alone() -> None:
    maps = [configure(IMGFS, "fixed", {"seed": seed})(relevance()) for seed in (0, 0, 1)]
    assert torch.equal(maps[0], maps[1])
    assert not torch.allclose(maps[0], maps[2])
    assert maps[0].std(dim=1).min() > 0.1


def test_a_permuted_map_holds_the_softmaxs_values_in_other_places_the_same_for_every_image() -> None:
    g = relevance()
    m, own = configure(IMGFS, "permuted", {})(g), configure(IMGFS, "softmax", {"per_channel": True})(g)
    assert torch.equal(m.sort(dim=1).values, own.sort(dim=1).values)
    places = [[int((own[image] == value).nonzero()) for value in m[image]] for image in range(5)]
    assert places == [places[0]] * 5
    assert places[0] != list(range(16))


@pytest.mark.parametrize("name", ["fixed", "permuted"])
@pytest.mark.parametrize("parameter", [{"temperature": 0}, {"seed": -1}])
def test_a_parameter_out_of_range_is_refused(name: str, parameter: dict[str, float]) -> None:
    with pytest.raises(InvalidParameter, match=next(iter(parameter))):
        configure(IMGFS, name, parameter)
