"""Adversarial training against the loop a user would write: float32, NCHW, weight gradients in the attack too."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.claim import Claim
from benchmarks.turns import Scale, shown
from cifs.attacks import PGD
from cifs.data import load_images
from cifs.training import Run
from cifs.training.recipe import recipe_with

RECIPE = "cpu/fmnist-resnet10-w16-vanilla"
PGD_10 = {"name": "pgd", "eps": 0.1, "steps": 10, "step_size": 0.025, "random_start": True}
BATCHES = {16: 128, 64: 32}  # images in a step, by width


def learner(name: str, **tables: Any) -> Run:
    """A run of a recipe on the embedded images, from scratch, that is never saved."""
    recipe = replace(recipe_with(name, {"dataset": "fashion_mnist_mini", "validation": 0, **tables}), init=None)
    with tempfile.TemporaryDirectory(prefix="cifs-bench-") as folder:
        run = Run(recipe, Path(folder))
    run.model.train()
    return run


def batch(n: int) -> tuple[Tensor, Tensor]:
    x, y = load_images("fashion_mnist_mini", "train")[:n].batch(slice(None))
    return x.contiguous(memory_format=torch.channels_last), y


def users_step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, attack: PGD) -> None:
    """PGD in eval mode and a step on what it makes, as tutorials have it."""
    model.eval()
    eps, alpha = attack.eps, attack.resolved()["step_size"]
    x_adv = (x + torch.empty_like(x).uniform_(-eps, eps)).clamp(0, 1)
    for _ in range(attack.steps):
        x_adv.requires_grad_()
        F.cross_entropy(model(x_adv), y).backward()
        assert x_adv.grad is not None
        x_adv = x_adv.detach() + alpha * x_adv.grad.sign()
        x_adv = torch.min(torch.max(x_adv, x - eps), x + eps).clamp(0, 1)
    model.train()
    optimizer.zero_grad()
    F.cross_entropy(model(x_adv), y).backward()
    optimizer.step()


def claims(scale: Scale) -> Iterator[Claim]:
    for width, n in BATCHES.items():
        yield _claim(scale, width, scale.of(n, 2))


def _claim(scale: Scale, width: int, n: int) -> Claim:
    x, y = batch(n)
    network = {"arch": "resnet18", "width": scale.of(width, 4)}
    run, peer = (learner(RECIPE, model=network, attack=PGD_10, fold=True) for _ in range(2))
    attack = run.recipe.training_attack
    assert isinstance(attack, PGD)
    model, usual = peer.model.to(memory_format=torch.contiguous_format), x.contiguous()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)

    def theirs() -> None:
        users_step(model, optimizer, usual, y, attack)

    seconds = scale.in_turns(lambda: run.train_on(x, y), theirs, rounds=4, seconds=35)
    text = f"step of adversarial training, PGD-10: ResNet-18 width {width}, batch {n}, against a plain loop"
    own, usual_rate = (f"{shown(side)}, {n / side:.0f} images/s" for side in seconds)
    return Claim(f"training/w{width}", text, own, usual_rate, seconds[1] / seconds[0])
