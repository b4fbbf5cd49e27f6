"""A new attack is one class in one file: registered here, it is in the library, on the command line and over HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from pydantic import Field
from torch import Tensor
from typer.testing import CliRunner

from backend.app import create_app
from backend.settings import Settings
from cifs.attacks import ATTACKS, GradientAttack, Run, fooled_at, perturb, survives
from cifs.attacks.norms import within
from cifs.cli import app
from cifs.registry import settings
from cifs.zoo import Info, Zoo
from tests.cifs.tiny import images, tiny


@dataclass
class Alternation(Run):
    even: Tensor = field(init=False)  # (M,) how many steps along rows each image has taken

    def __post_init__(self) -> None:
        super().__post_init__()
        self.even = torch.zeros_like(self.goal)


@pytest.fixture
def toy() -> Iterator[str]:
    @ATTACKS.register("toy")
    @settings
    class Toy(GradientAttack):
        """Toy: moves every other row of pixels uphill, in turns."""

        first: int = Field(default=0, ge=0, le=1, description="row to begin with")

        def begin(self, start: Any) -> Alternation:
            return Alternation(*self.rows(start))

        def advance(self, run: Run, gradient: Tensor, loss: Tensor) -> None:
            assert isinstance(run, Alternation)
            step = torch.zeros_like(gradient)
            for i, parity in enumerate(((run.even + self.first) % 2).tolist()):
                step[i, :, parity::2] = self.alpha * gradient[i, :, parity::2].sign()
            run.even = run.even + 1
            run.x_adv = within(run.x, run.x_adv + step, self.norm, self.eps)

    yield "toy"
    ATTACKS._things.pop("toy")  # type: ignore[attr-defined]


def test_it_perturbs_and_counts_who_survives(toy: str) -> None:
    model, (x, _) = tiny("cifs"), images(24)
    y = model(x).argmax(dim=1)
    attack = ATTACKS[toy](eps=0.1, steps=8)
    one_step = perturb(model, x, y, ATTACKS[toy](eps=0.1, steps=1)) - x
    assert (one_step[:, :, 0::2] != 0).any()
    assert (one_step[:, :, 1::2] == 0).all()
    assert (perturb(model, x, y, attack) - x).abs().max() <= 0.1 + 1e-6
    at = fooled_at(model, x, y, attack)  # images are dropped on the way, with what is remembered of them
    assert 0 < int((at <= 8).sum()) < 24
    assert torch.equal(survives(model, x, y, attack), at > 8)
    for i in (int(at.argmin()), int(at.argmax())):  # alone as in the batch
        assert int(fooled_at(model, x[i : i + 1], y[i : i + 1], attack)) == int(at[i])


def test_it_can_be_asked_for_on_the_command_line_and_over_http(toy: str, tmp_path: Any) -> None:
    model = tiny("cifs", in_channels=1, size=28)
    Zoo(tmp_path).save("one", model, Info(title="CIFS", dataset="fashion_mnist_mini", method="cifs", eps=0.1))
    options = ["--attack", toy, "--set", "eps=0.1", "--set", "first=1", "--checkpoints", str(tmp_path)]
    shown = CliRunner().invoke(app, ["attack", "one", *options])
    assert shown.exit_code == 0, shown.output
    with TestClient(create_app(Settings(checkpoints=tmp_path))) as client:
        described = {attack["name"]: attack for attack in client.get("/attacks").json()}[toy]
        assert described["title"] == "Toy: moves every other row of pixels uphill, in turns"
        assert described["parameters"]["properties"]["first"]["maximum"] == 1
        body = {"model": "one", "images": [{"dataset": "fashion_mnist_mini", "index": 0}]}
        response = client.post("/attack", json=body | {"attack": {"name": toy, "eps": 0.1, "first": 1}}).json()
    assert (response["attack"]["name"], response["attack"]["norm"], response["attack"]["first"]) == (toy, "linf", 1)
    assert response["results"][0]["size"] == pytest.approx(0.1)
