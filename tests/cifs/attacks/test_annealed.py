"""Annealed ascent against its schedule written out, and against the optimum of a linear model."""

from math import cos, pi

import pytest
import torch
from torch import Tensor, nn

from cifs.attacks import Annealed, AnnealedT, Step, fooled_at, perturb, survives
from cifs.attacks.loop import Pursuit
from cifs.losses import margin_to
from tests.cifs.tiny import images, tiny

EPS = 0.1


class Slope(nn.Module):
    """Three classes over one pixel t: logits 0, t and −t."""

    def forward(self, x: Tensor) -> Tensor:
        t = x.flatten(1).sum(dim=1)
        return torch.stack([torch.zeros_like(t), t, -t], dim=1)


def test_steps_fall_from_twice_eps_to_nothing_along_half_a_cosine() -> None:
    """On a path without bounds: ε is wide enough for the ball never to be reached, and the gradient is always +1."""
    logits: list[Tensor] = []
    attack = Annealed(eps=0.5, steps=8, step_size=0.01, random_start=False)
    perturb(Slope(), torch.full((1, 1, 1, 1), 0.2), torch.tensor([0]), attack, record=lambda s: logits.append(s.logits))
    at = torch.cat(logits)[:, 1]
    expected, velocity = [0.2], 0.0
    for t in range(8):
        stride = 0.01 * (1 + cos(pi * t / 8)) / 2
        velocity = stride if t == 0 else 0.75 * stride + 0.25 * velocity
        expected.append(expected[-1] + velocity)
    torch.testing.assert_close(at, torch.tensor(expected))


@pytest.mark.parametrize("rival", [1, 2])
def test_a_run_that_is_given_rivals_pushes_towards_them(rival: int) -> None:
    x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    attack = AnnealedT(eps=EPS, steps=5, targets=1, random_start=False)
    pursuit = Pursuit(Slope(), attack, "float32", False, None, lambda progress: None)
    moved = pursuit.of(x, y, rivals=torch.tensor([rival])).x_adv - x
    assert float(moved) == pytest.approx(EPS if rival == 1 else -EPS)


def test_each_run_pushes_towards_the_next_likeliest_class() -> None:
    """Logits as recorded at the start of every run tell which margin was its loss."""
    model = tiny()
    x, _ = images(4)
    y = model(x).argmax(dim=1)
    others = model(x).scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True)
    starts: list[Step] = []

    def note(step: Step) -> None:
        if step.step == 0:
            starts.append(step)

    perturb(model, x, y, AnnealedT(eps=1e-5, steps=3, targets=3, random_start=False), record=note)
    assert len(starts) == 3
    for rank, step in enumerate(starts):
        torch.testing.assert_close(step.loss, margin_to(step.logits, y[step.images], others[step.images, rank]))


def test_there_are_no_more_runs_than_other_classes() -> None:
    x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([1])
    attack = AnnealedT(eps=0.01, steps=2, targets=9, random_start=False)
    assert not survives(Slope(), x, torch.tensor([0]), attack)  # t > 0: class 1 is above the label from the start
    assert survives(Slope(), x, y, attack)


class Rounding(nn.Module):
    """A margin that bf16 rounds to nothing: 256 + 1/2 is 256 with eight bits of mantissa."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 2)
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([[0.0], [256.0]]))
            self.linear.bias.copy_(torch.tensor([256.0, 0.5]))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


def test_what_bf16_cannot_decide_is_decided_in_float32() -> None:
    model, x, y = Rounding(), torch.ones(1, 1, 1, 1), torch.tensor([0])
    with torch.autocast("cpu", torch.bfloat16):
        assert model(x).argmax(dim=1) == y  # a tie, which the first class wins
    assert model(x).argmax(dim=1) != y
    attack = Annealed(eps=0.0, steps=3, random_start=False)
    assert fooled_at(model, x, y, attack, precision="bf16") == 0
