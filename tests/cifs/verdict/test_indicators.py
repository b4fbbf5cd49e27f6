"""Indicators on networks made to deceive: each is either broken, refused, or said not to be trusted."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import nn

from cifs.attacks import Annealed, AnnealedT
from cifs.verdict import INDICATORS, STAGES, Count, Stage, Trial, verdict
from cifs.verdict.indicators import count_all, judged
from tests.cifs.learned import first, learned
from tests.cifs.tiny import images, tiny
from tests.cifs.verdict.deceiving import Detached, Quantised, Saturated, Shattered, WinnersOnly

EPS = 0.05
SOME = (STAGES[0], Stage("probes", Annealed(beta=2.0, steps=10)), Stage("last", AnnealedT(steps=10, targets=1)))


Outcome = tuple[set[str], float]  # the signs that failed, and the accuracy


@cache
def outcome(cls: Callable[[], nn.Module]) -> Outcome:
    x, y = first(60)
    result = verdict(cls(), x, y, eps=EPS)
    return {sign.name for sign in judged(result.counts) if not sign.passed}, float(result.standing.float().mean())


@pytest.fixture
def honest() -> Outcome:
    return outcome(learned)


def test_an_honest_network_is_trusted(honest: Outcome) -> None:
    assert honest[0] == set()
    assert 0.1 < honest[1] < 0.6


def test_a_saturated_network_is_measured_as_the_one_inside(honest: Outcome) -> None:
    signs, accuracy = outcome(Saturated)
    assert signs == set()
    assert accuracy == pytest.approx(honest[1], abs=0.02)


@pytest.mark.parametrize("cls", [Quantised, Shattered, WinnersOnly])
def test_a_network_that_hides_its_gradients_is_broken_or_not_trusted(cls: type[nn.Module], honest: Outcome) -> None:
    signs, accuracy = outcome(cls)
    assert signs or accuracy <= honest[1] + 0.02


def test_rounded_activations_have_no_gradient(honest: Outcome) -> None:
    signs, accuracy = outcome(Quantised)
    assert {"gradient", "ascent"} <= signs
    assert accuracy > honest[1] + 0.1  # what would have been believed


@pytest.mark.parametrize("cls", [Quantised, Shattered, WinnersOnly, Detached])
def test_gradients_that_do_not_keep_their_promise_are_noticed_with_a_margin(cls: type[nn.Module]) -> None:
    """Counted of who is right without any attack, so that it does not matter how many an attack leaves."""
    assert promises(cls()) >= 2 * INDICATORS["promise"].limit
    assert promises(learned()) == promises(Saturated()) == 0


def promises(model: nn.Module) -> float:
    """Share of 100 images, of those the model is right about, on which its gradient breaks its promise."""
    x, y = first(100)
    showing, of = count_all(Trial(model, x, y, EPS), ["promise"])["promise"]
    return showing / of


@pytest.mark.parametrize("method", ["cas", "cifs"])
def test_probes_are_no_reason_for_distrust(method: str) -> None:
    model = tiny(method)
    x, _ = images(20)
    result = verdict(model, x, model(x).argmax(dim=1), eps=0.01, stages=SOME)
    assert {sign.name for sign in judged(result.counts) if not sign.passed} <= {"budget"}  # three stages are few


def test_limits_are_shares_of_all_batches_and_one_image_proves_nothing() -> None:
    counts = {name: Count(1, 10) + Count(0, 10) for name in INDICATORS}
    assert all(sign.passed for sign in judged(counts))
    for name, indicator in INDICATORS.items():
        limit = int(1000 * indicator.limit)
        passed = {sign.name: sign.passed for sign in judged(counts | {name: Count(limit, 400) + Count(0, 600)})}
        assert passed[name]
        passed = {sign.name: sign.passed for sign in judged(counts | {name: Count(limit + 1, 400) + Count(0, 600)})}
        assert not passed[name]


def test_a_network_that_does_not_look_at_the_image_is_not_trusted() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.eye(10)[:1].expand(len(x), 10) + 0 * x.flatten(1).sum(dim=1, keepdim=True)

    signs, _ = outcome(Constant)
    assert {"gradient", "ascent", "everywhere"} <= signs
