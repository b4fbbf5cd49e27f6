"""Square against its authors' implementation, the optimum of a linear model, and the properties it must have."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cifs.attacks import ATTACKS, Square, Step, perturb, square
from cifs.attacks.square import _side
from cifs.errors import InvalidParameter
from cifs.losses import cw_margin
from cifs.progress import Progress
from cifs.registry import configure
from cifs.zoo import Zoo
from tests.cifs.learned import first, learned
from tests.cifs.tiny import METHODS, images, tiny


def reference(model: nn.Module, x: Tensor, y: Tensor, eps: float, queries: int, seed: int) -> Tensor:
    """Which images withstand the authors' own Square, (N,) bool."""
    peer = pytest.importorskip("pyautoattack.square").SquareAttack(
        model, n_queries=queries, eps=eps, p_init=0.8, resc_schedule=True, seed=seed, device="cpu"
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return model(peer.perturb(x.contiguous(), y)).argmax(dim=1) == y


def linear(size: int = 4) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(size * size, 2))


# ---- against the reference -------------------------------------------------------------------------------------------


def test_as_many_images_stand_as_after_the_reference() -> None:
    x, y = first(200)
    ours = square(learned(), x, y, Square(eps=0.1, queries=100)).robust.double().mean()
    theirs = reference(learned(), x, y, 0.1, 100, 0).double().mean()
    natural = (learned()(x).argmax(dim=1) == y).double().mean()
    assert 0.1 < theirs < natural - 0.1  # neither nothing nor everything falls
    assert abs(ours - theirs) < 0.04


@pytest.mark.slow
def test_as_many_images_of_an_embedded_model_stand_as_after_the_reference() -> None:
    model = Zoo(Path("checkpoints")).load("fmnist-resnet10-w16-natural")
    x, y = first(200)
    ours = square(model, x, y, Square(eps=0.02, queries=300)).robust.double().mean()
    assert float(ours) == pytest.approx(float(reference(model, x, y, 0.02, 300, 0).double().mean()), abs=0.05)


@pytest.mark.parametrize("queries", [100, 1000, 5000])
def test_squares_shrink_as_in_the_reference(queries: int) -> None:
    peer = pytest.importorskip("pyautoattack.square").SquareAttack(None, n_queries=queries, resc_schedule=True)
    batch = (1, 3, 32, 32)
    for done in range(0, queries, 7):
        side = max(round(math.sqrt(peer.p_selection(done) * 32 * 32)), 1)
        assert _side(batch, 0.8, done / queries) == side


# ---- against closed forms --------------------------------------------------------------------------------------------


@given(eps=st.floats(0.01, 0.5), seed=st.integers(0, 1000))
@settings(max_examples=8)
def test_on_a_linear_model_the_search_reaches_the_optimum_and_no_more(eps: float, seed: int) -> None:
    """Two classes: the best x' is clip(x + ε·sign(w_other − w_y)). Single pixels are tried often enough to find it."""
    model, (x, _) = linear(), images(8, size=4, channels=1, seed=seed)
    y = model(x).argmax(dim=1)
    difference = (model[1].weight[1 - y] - model[1].weight[y]).detach().view_as(x)
    optimum = (x + eps * difference.sign()).clamp(0, 1)
    best = cw_margin(model(optimum), y).detach()
    found = square(model, x, y, Square(eps=eps, queries=700, seed=seed))
    clear = best.abs() > 1e-5
    assert torch.equal(found.robust[clear], best[clear] < 0)
    torch.testing.assert_close(found.x_adv[found.robust], optimum[found.robust], atol=1e-6, rtol=0)
    assert (cw_margin(model(found.x_adv), y) <= best + 1e-5).all()


def test_the_first_query_is_vertical_stripes_at_the_edge_of_the_ball() -> None:
    x = torch.full((6, 3, 8, 8), 0.5)
    found = square(tiny(), x, tiny()(x).argmax(dim=1), Square(eps=0.1, queries=1))
    moved = found.x_adv - x
    torch.testing.assert_close(moved.abs(), torch.full_like(x, 0.1))
    assert torch.equal(moved, moved[:, :, :1].expand_as(moved))  # every column of a channel is of one sign
    assert 0.3 < float((moved > 0).double().mean()) < 0.7
    assert found.queries.tolist() == [1] * 6


# ---- properties ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@given(eps=st.floats(0, 1), queries=st.integers(1, 30), seed=st.integers(0, 2**63 - 1))
@settings(max_examples=6)
def test_images_stay_in_the_ball_and_say_what_is_claimed_of_them(
    method: str, eps: float, queries: int, seed: int
) -> None:
    model, (x, y) = tiny(method), images(8)
    y[:6] = model(x).argmax(dim=1)[:6]
    right = model(x).argmax(dim=1) == y
    found = square(model, x, y, Square(eps=eps, queries=queries, seed=seed))
    assert (found.x_adv - x).abs().max() <= eps + 1e-6
    assert found.x_adv.min() >= 0
    assert found.x_adv.max() <= 1
    assert torch.equal(model(found.x_adv).argmax(dim=1) == y, found.robust)
    assert (found.queries[found.robust] == queries).all()
    assert (found.queries[~right] == 0).all()
    assert torch.equal(found.x_adv[~right], x[~right])


def test_what_comes_back_is_the_query_of_the_largest_margin() -> None:
    x, y = first(40)
    queries: list[Step] = []
    x_adv = perturb(learned(), x, y, Square(eps=0.03, queries=60), record=queries.append)
    highest = torch.full(y.shape, -math.inf)
    for query in queries[1:]:  # 0 is the image itself
        highest[query.images] = highest[query.images].maximum(query.loss)
    attacked = highest > -math.inf
    assert attacked.any()
    assert (highest[attacked] > queries[1].loss).any()
    torch.testing.assert_close(highest[attacked], cw_margin(learned()(x_adv), y).detach()[attacked])


def test_every_query_is_reported_with_how_many_images_are_left() -> None:
    x, y = first(40)
    reports: list[Progress] = []
    square(learned(), x, y, Square(eps=0.05, queries=20), report=reports.append)
    assert [(report.done, report.total) for report in reports] == [(query, 20) for query in range(20)]
    left = [report.metrics["left"] for report in reports]
    assert left == sorted(left, reverse=True)
    assert left[0] == 40 > left[-1]


def test_an_image_s_luck_does_not_hang_on_which_others_are_left() -> None:
    x, y = first(20)
    y = learned()(x).argmax(dim=1)
    alone = y.clone()
    alone[:10] = (alone[:10] + 1) % 10  # these fall before the first query
    together, apart = (square(learned(), x, labels, Square(eps=0.05, queries=40)) for labels in (y, alone))
    assert torch.equal(together.x_adv[10:], apart.x_adv[10:])
    assert torch.equal(together.queries[10:], apart.queries[10:])


def test_images_are_tried_with_different_squares() -> None:
    x = torch.full((2, 3, 8, 8), 0.5)
    found = square(tiny(), x, tiny()(x).argmax(dim=1), Square(eps=0.01, queries=10))
    assert not torch.equal(found.x_adv[0], found.x_adv[1])


def test_a_seed_repeats_itself_and_another_does_not() -> None:
    x, y = first(8)
    runs = [square(learned(), x, y, Square(eps=0.02, queries=20, seed=seed)).x_adv for seed in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_the_model_is_attacked_in_eval_mode_and_left_as_it_was() -> None:
    model, (x, _) = tiny("cifs"), images(4)
    y = model(x).argmax(dim=1)
    expected = square(model, x, y, Square(eps=0.05, queries=10))
    model.train()
    next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d)).eval()
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert torch.equal(square(model, x, y, Square(eps=0.05, queries=10)).x_adv, expected.x_adv)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_of_bf16_only_what_float32_confirms_counts() -> None:
    class Wavering(nn.Module):
        """Says 0 in float32, 1 in bf16."""

        def forward(self, x: Tensor) -> Tensor:
            said = int(torch.is_autocast_enabled("cpu"))
            return torch.eye(2)[said].expand(len(x), 2) + 0 * x.mean(dim=(1, 2, 3))[:, None]

    x, y = images(4)
    found = square(Wavering(), x, torch.zeros_like(y), Square(eps=0.1, queries=5), precision="bf16")
    assert found.robust.all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"eps": 1.5}, "eps = 1.5"),
        ({"eps": math.nan}, "eps = nan"),
        ({"queries": 0}, "queries = 0"),
        ({"p": 0}, "p = 0"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        configure(ATTACKS, "square", {"eps": 0.1, **wrong})
