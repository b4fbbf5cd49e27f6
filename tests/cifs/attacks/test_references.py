"""Every registered attack against an implementation of others, image for image. One without an entry here fails."""

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from cifs.attacks import ATTACKS, NORMS, Attack, fools, perturb, survives
from cifs.registry import configure
from tests.cifs.learned import first, learned

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # their imports use what numpy and torch deprecate
    import eagerpy as ep
    import foolbox
    import torchattacks
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
    from pyautoattack.square import SquareAttack

EPS = 0.03
STEPS = 20


class Reference(NamedTuple):
    settings: dict[str, Any]  # ours
    attack: Callable[[nn.Module, Tensor, Tensor], Tensor]  # theirs, of x and y
    pixels: float  # largest difference of any value of x', on `share` of the images
    share: float = 1.0


def theirs(peer: str, **settings: Any) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    return lambda model, x, y: getattr(torchattacks, peer)(model, **settings)(x, y)


class FoolboxMargin(foolbox.attacks.LinfBasicIterativeAttack):
    """foolbox's gradient ascent on the logits' margin, which it has for ℓ2 only."""

    def get_loss_fn(self, model: Any, labels: Any) -> Callable[[Any], Any]:
        def loss(x: Any) -> Any:
            logits = model(x)
            rows = range(len(logits))
            others = foolbox.attacks.carlini_wagner.best_other_classes(logits, labels)
            return (logits[rows, others] - logits[rows, labels]).sum()

        return loss


def foolbox_margin(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    attack = FoolboxMargin(abs_stepsize=EPS / 10, steps=STEPS, random_start=False)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device)
    return ep.astensor(attack.run(bounded, x, y, epsilon=EPS)).raw


def authors_apgd(loss: str) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """APGD of its authors from the images themselves: the iterate of largest loss."""

    def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        peer = (
            APGDAttack_targeted(model, n_iter=STEPS, eps=EPS, device="cpu")
            if loss == "dlr-targeted"
            else APGDAttack(model, n_iter=STEPS, eps=EPS, loss=loss, device="cpu")
        )
        peer.init_hyperparam(x)
        peer.y_target = model(x).argsort(dim=1)[:, -2]  # for APGD-T: the likeliest wrong class
        with torch.random.fork_rng(devices=[]):
            best: Tensor = peer.attack_single_run(x, y, x_init=x)[0]
        return best.detach()

    return attack


def climbed(model: nn.Module, image: Tensor, label: int, rivals: list[int]) -> Tensor:
    """Annealed ascent written from its formula, on the margin of the best of the rivals; the best iterate."""
    at, before, best, highest = image, image, image, -math.inf
    for t in range(STEPS + 1):
        z = at.clone().requires_grad_()
        logits = model(z)[0]
        margin = logits[rivals].max() - logits[label]
        if margin.item() > highest:
            best, highest = at, margin.item()
        (slope,) = torch.autograd.grad(margin, z)
        stride = EPS * (1 + math.cos(math.pi * t / STEPS)) * slope.sign()
        ahead = (at + stride).clamp(image - EPS, image + EPS).clamp(0, 1)
        move = ahead - at if t == 0 else 0.75 * (ahead - at) + 0.25 * (at - before)
        at, before = (at + move).clamp(image - EPS, image + EPS).clamp(0, 1), at
    return best


def annealed(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return torch.cat([climbed(model, x[[i]], c, [r for r in range(10) if r != c]) for i, c in enumerate(y.tolist())])


def annealed_to_likeliest(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    rivals = model(x).scatter(1, y[:, None], -torch.inf).argmax(dim=1).tolist()
    return torch.cat([climbed(model, x[[i]], c, [rivals[i]]) for i, c in enumerate(y.tolist())])


APGD = {"steps": STEPS, "random_start": False}
FROM_THE_IMAGE: dict[str, Reference] = {
    "fgsm": Reference({}, theirs("FGSM", eps=EPS), 0),
    "pgd": Reference({}, theirs("PGD", eps=EPS, alpha=EPS / 10, steps=20, random_start=False), 0),
    "cw": Reference({"steps": STEPS}, foolbox_margin, 1e-6),
    "mifgsm": Reference({}, theirs("MIFGSM", eps=EPS, alpha=EPS / 10, steps=10, decay=1.0), 0),
    "pgd_l2": Reference({"eps": 0.5}, theirs("PGDL2", eps=0.5, alpha=0.05, steps=20, random_start=False), 1e-5),
    "apgd_ce": Reference(APGD, authors_apgd("ce"), 1e-5, 0.95),
    "apgd_dlr": Reference(APGD, authors_apgd("dlr"), 1e-5, 0.95),
    "annealed": Reference(APGD, annealed, 1e-5, 0.95),
    "annealed_t": Reference(APGD | {"targets": 1}, annealed_to_likeliest, 1e-5, 0.95),
    "apgd_t": Reference(APGD | {"targets": 1}, authors_apgd("dlr-targeted"), 1e-5, 0.95),
}


def right(n: int) -> tuple[Tensor, Tensor]:
    """Images the model is right about, with a batch of other sizes than those of the layers."""
    x, y = first(2 * n)
    chosen = (learned()(x).argmax(dim=1) == y).nonzero()[:n, 0]
    return x[chosen].contiguous(), y[chosen]


def square_survivors(model: nn.Module, x: Tensor, y: Tensor, attack: Attack) -> tuple[Tensor, Tensor]:
    peer = SquareAttack(model, n_queries=attack.length, eps=attack.eps, p_init=0.8, resc_schedule=True, device="cpu")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        expected = model(peer.perturb(x, y)).argmax(dim=1) == y
    return survives(model, x, y, attack), expected


@pytest.mark.parametrize("name", ATTACKS)
def test_every_registered_attack_equals_its_reference(name: str) -> None:
    model = learned()
    if name == "square":  # another generator draws its squares: as many images stand, within 4 points
        x, y = right(160)
        ours, expected = square_survivors(model, x, y, configure(ATTACKS, name, {"eps": 0.1, "queries": 100}))
        assert 0.1 < float(expected.double().mean()) < 0.9
        assert abs(float(ours.double().mean() - expected.double().mean())) < 0.04
        return
    reference = FROM_THE_IMAGE[name]
    x, y = right(40)
    attack = configure(ATTACKS, name, {"eps": EPS, **reference.settings})
    x_adv, expected = perturb(model, x, y, attack), reference.attack(model, x, y)
    moved = NORMS[attack.norm].size(expected - x)
    assert float(moved.median()) > 0.9 * attack.eps
    difference = (x_adv - expected).abs().amax(dim=(1, 2, 3))
    assert float((difference <= reference.pixels).double().mean()) >= reference.share
    assert torch.equal(fools(model, x_adv, y, attack), fools(model, expected, y, attack))
