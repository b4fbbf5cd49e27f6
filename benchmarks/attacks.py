"""Robust accuracy under PGD-20 against the libraries people use: the same model, images, ε and step."""

import warnings
from collections.abc import Iterator

import torch
import torchattacks

from benchmarks.claim import Claim, skipped
from benchmarks.subjects import EMBEDDED, NARROW, WIDE, Subject, missing, subject
from benchmarks.turns import Scale, shown
from cifs.attacks import PGD, survives

with warnings.catch_warnings():  # it imports from where SciPy no longer wants to be imported from
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox

STEPS, BATCH = 20, 250
IMAGES = {NARROW: 1000, EMBEDDED: 1000, WIDE: 32}
SECONDS = {NARROW: 120, EMBEDDED: 60, WIDE: 60}


def ours(given: Subject) -> float:
    attack, parts = PGD(eps=given.eps, steps=STEPS), zip(given.x.split(BATCH), given.y.split(BATCH), strict=True)
    return sum(int(survives(given.model, x, y, attack, precision="bf16").sum()) for x, y in parts) / len(given.y)


def of_torchattacks(given: Subject) -> float:
    """Accuracy on the last iterates."""
    attack = torchattacks.PGD(given.model, eps=given.eps, alpha=given.eps / 10, steps=STEPS, random_start=False)
    right = 0
    for x, y in zip(given.x.split(BATCH), given.y.split(BATCH), strict=True):
        adversarial = attack(x, y)
        with torch.no_grad():
            right += int((given.model(adversarial).argmax(dim=1) == y).sum())
    return right / len(given.y)


def of_foolbox(given: Subject) -> float:
    """Accuracy on the last iterates."""
    model = foolbox.PyTorchModel(given.model, bounds=(0, 1), device=given.x.device)
    attack = foolbox.attacks.LinfPGD(abs_stepsize=given.eps / 10, steps=STEPS, random_start=False)
    parts = zip(given.x.split(BATCH), given.y.split(BATCH), strict=True)
    fooled = sum(int(attack(model, x, y, epsilons=given.eps)[2].sum()) for x, y in parts)
    return 1 - fooled / len(given.y)


def claims(scale: Scale) -> Iterator[Claim]:
    for name, images in IMAGES.items():
        text = f"PGD-20 robust accuracy of `{name}`"
        if why := missing(name):
            yield skipped(f"attacks/{name}", text, why)
        else:
            yield from _claims(scale, subject(name, scale.of(images, 4)), text)


def _claims(scale: Scale, given: Subject, text: str) -> Iterator[Claim]:
    sides = {"ours": ours, "torchattacks": of_torchattacks, "foolbox": of_foolbox}
    accuracy: dict[str, float] = {}
    runs = [lambda name=name, of=of: accuracy.update({name: of(given)}) for name, of in sides.items()]
    seconds = dict(zip(sides, scale.in_turns(*runs, rounds=3, seconds=SECONDS[given.name]), strict=True))
    versions = {"torchattacks": torchattacks.__version__, "foolbox": foolbox.__version__}
    for peer, version in versions.items():
        yield Claim(
            f"attacks/{given.name}/{peer}",
            f"{text}, {len(given.y):,} images, against {peer} {version}",
            shown(seconds["ours"]),
            shown(seconds[peer]),
            seconds[peer] / seconds["ours"],
        )
    percent = {side: f"{100 * value:.2f} %" for side, value in accuracy.items()}
    difference = 100 * (accuracy["ours"] - accuracy["torchattacks"])
    peers = f"{percent['torchattacks']}, {percent['foolbox']}"
    yield Claim(f"attacks/{given.name}/same", "… with the same outcome", percent["ours"], peers, difference, " points")
