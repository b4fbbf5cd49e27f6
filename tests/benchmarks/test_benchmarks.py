"""Every benchmark runs, its claims have their bars, and what decides whether they hold is right."""

from itertools import count

import pytest

from benchmarks import TOPICS, claims_of
from benchmarks.__main__ import main
from benchmarks.bars import BARS
from benchmarks.claim import Bar, Claim
from benchmarks.memory import Sampled
from benchmarks.pages import find_browser
from benchmarks.turns import Scale

NEEDS_CIFAR10 = {key for key in BARS if key.startswith("attacks/cifar10")}


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is embedded."""
    monkeypatch.setenv("CIFS_DATA", "/nonexistent")


@pytest.mark.slow
def test_every_benchmark_runs_and_every_bar_is_one_of_its_claims(recwarn: pytest.WarningsRecorder) -> None:
    claims = [claim for topic in TOPICS for claim in claims_of(topic, Scale(tiny=True))]
    assert all(claim.ours for claim in claims)
    measured = {claim.key for claim in claims if claim.figure is not None}
    needs_browser = set() if find_browser() else {"pages/slowest"}
    assert set(BARS) - NEEDS_CIFAR10 - needs_browser - {"cifs/forward resnet18 w64"} <= measured
    assert not list(recwarn)


@pytest.mark.parametrize(
    ("bar", "clears", "misses"), [(Bar("≥", 2), 2.0, 1.99), (Bar("≤", 1.05), 1.05, 1.06), (Bar("±", 0.2), -0.2, -0.21)]
)
def test_a_bar_is_cleared_up_to_its_value_and_not_beyond(bar: Bar, clears: float, misses: float) -> None:
    assert Claim("key", "text", "ours", figure=clears, bar=bar).holds
    missed = Claim("key", "text", "ours", figure=misses, bar=bar)
    assert not missed.holds
    assert missed.cells[-1] == "NO"


def test_without_its_data_a_claim_is_skipped_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tiny", "--only", "attacks"]) == 0
    assert "skipped: there is no cifar10.npz in $CIFS_DATA (/nonexistent)" in capsys.readouterr().out


def test_a_missed_bar_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    for figure, code in ((1.0, 1), (3.0, 0)):
        claim = Claim("training/w16", "text", "ours", figure=figure)
        monkeypatch.setattr("benchmarks.__main__.claims_of", lambda topic, scale, claim=claim: iter([claim]))
        monkeypatch.setitem(BARS, "training/w16", Bar("≥", 2))
        assert main(["--only", "training"]) == code


def test_sides_are_measured_in_turns_and_no_round_begins_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    ticks = count()
    monkeypatch.setattr("benchmarks.turns.time.perf_counter", lambda: next(ticks))  # a second a look
    Scale().in_turns(lambda: ran.append("a"), lambda: ran.append("b"), rounds=3, seconds=1000)
    assert ran == ["a", "b"] * 4
    ran.clear()
    Scale().in_turns(lambda: ran.append("a"), lambda: ran.append("b"), rounds=3, seconds=6)
    assert ran == ["a", "b"]


def test_memory_s_slope_is_of_what_grows_once_buffers_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    sampled = Sampled()
    sampled.points = [(n, 10**6 * min(n, 3) + 7 * n) for n in range(12)]
    assert sampled.slope == pytest.approx(7)
