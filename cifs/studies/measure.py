"""What a study measures of a network: levels of attack, each at least as strong as the one before.

natural → unadaptive (PGD-20 on the training's own loss) → adaptive (the strongest PGD-20 of a sweep over β_atk and
through the mask, chosen on validation images) → strongest (what withstands both, and two margin attacks besides).
Every network meets four attacks in all, so that a worst case over them is as hard on one arm as on another. Or what
cifs.verdict leaves, alone or beside the unadaptive level.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cifs.attacks import PGD, GradientAttack, survives
from cifs.data import Images
from cifs.evaluation import pack, settings_to_try
from cifs.models import CNN
from cifs.modes import eval_mode
from cifs.precision import Precision, device_of
from cifs.progress import Progress, Report, unreported
from cifs.selection import mask_matters
from cifs.verdict import MISTAKEN, verdict

LEVELS = ("natural", "unadaptive", "adaptive", "strongest")
VERDICT = "verdict"
VERDICT_LEVELS = ("natural", VERDICT)
BOUNDS = ("natural", "unadaptive", VERDICT)


@dataclass(frozen=True)
class Range:
    """Where attacks on one network are tried: images, batch by batch, with a word to whoever waits."""

    model: CNN
    images: Images
    precision: Precision = "bf16"
    doing: str = ""
    report: Report = unreported
    batch_size: int = 250

    def withstand(self, attack: GradientAttack, among: Tensor | None = None) -> Tensor:
        """Which of the images `among` (N,) bool, by default all, the attack leaves standing, (N,) bool."""
        among = torch.ones(len(self.images), dtype=torch.bool) if among is None else among
        standing = torch.zeros_like(among)
        todo = among.nonzero()[:, 0]
        for index in todo.split(self.batch_size) if len(todo) else ():
            self.report(Progress(f"{self.doing}: attacks", int(index[0]), len(self.images)))
            x, y = (t.to(device_of(self.model)) for t in self.images.batch(index))
            x = x.contiguous(memory_format=torch.channels_last)
            standing[index] = survives(self.model, x, y, attack, precision=self.precision).cpu()
        return standing

    def predicted(self) -> Tensor:
        """Which images the model predicts right, (N,) bool; logits that are no numbers predict nothing."""
        logits = self.logits()
        return (logits.argmax(dim=1) == self.images.labels) & logits.isfinite().all(dim=1)

    @torch.no_grad()
    def logits(self) -> Tensor:
        """(N, K)"""
        logits = []
        with eval_mode(self.model):
            for index in torch.arange(len(self.images)).split(self.batch_size):
                x, _ = self.images.batch(index)
                logits.append(self.model(x.to(device_of(self.model))).cpu())
        return torch.cat(logits)


def sweep(place: Range, eps: float) -> list[tuple[GradientAttack, float]]:
    """The settings of PGD-20 and the share of these (validation) images each leaves, the strongest first."""
    tries = settings_to_try(place.model, PGD(eps=eps, steps=20))
    shares = [place.withstand(attack).float().mean().item() for attack in tries]
    return sorted(zip(tries, shares, strict=True), key=lambda found: found[1])


def measure(place: Range, strongest: GradientAttack) -> dict[str, Any]:
    """What each level leaves of these images, and the settings of the four attacks. `strongest`: of the sweep."""
    unadaptive = PGD(eps=strongest.eps, steps=20)
    again = replace(unadaptive, random_start=True, seed=1)
    second = again if strongest == unadaptive else strongest
    margins = margin_attacks(place.model, unadaptive)
    natural = place.predicted()
    first = place.withstand(unadaptive, natural)
    adaptive = first if strongest == unadaptive else place.withstand(strongest, natural)
    left = place.withstand(second, first)
    for attack in margins:
        left = place.withstand(attack, left)
    standing = {"natural": natural, "unadaptive": first, "adaptive": adaptive, "strongest": left}
    return {
        "n": len(place.images),
        "attacks": [attack.resolved() for attack in (unadaptive, second, *margins)],
        "adaptive": strongest.resolved(),
        "levels": _levels(standing),
    }


def measure_verdict(place: Range, eps: float) -> dict[str, Any]:
    """What the verdict leaves of these images, and whether it is to be trusted.

    A training may collapse to weights whose logits are no numbers. The verdict refuses such a network; it leaves none.
    """
    if not place.logits().isfinite().all():
        levels = _levels({"natural": (natural := place.predicted()), VERDICT: torch.zeros_like(natural)})
        return {"n": len(place.images), "levels": levels, "trusted": False, "indicators": [], "settings": {}}
    x, y = (t.to(device_of(place.model)) for t in place.images.batch(torch.arange(len(place.images))))
    x = x.contiguous(memory_format=torch.channels_last)
    told = partial(_told, place.report, place.doing)
    found = verdict(place.model, x, y, eps=eps, precision=place.precision, report=told)
    measured = found.measurement(place.model.num_classes)
    return {
        "n": len(place.images),
        "levels": _levels({"natural": found.fell != MISTAKEN, VERDICT: found.standing}),
        "trusted": measured.trusted,
        "indicators": [indicator.model_dump() for indicator in measured.indicators or ()],
        "settings": measured.settings,
    }


def measure_bounds(place: Range, eps: float) -> dict[str, Any]:
    """What the verdict leaves, and what the training's own loss does: between them lies what an attack can learn."""
    judged, attack = measure_verdict(place, eps), PGD(eps=eps, steps=20)
    judged["levels"] |= _levels({"unadaptive": place.withstand(attack, place.predicted())})
    return {**judged, "attacks": [attack.resolved()]}


def _told(report: Report, doing: str, progress: Progress) -> None:
    report(replace(progress, doing=f"{doing}: {progress.doing}"))


def _levels(standing: Mapping[str, Tensor]) -> dict[str, Any]:
    """standing: by level, (N,) bool."""
    return {key: {"accuracy": bits.float().mean().item(), "standing": pack(bits)} for key, bits in standing.items()}


def margin_attacks(model: CNN, attack: PGD) -> tuple[GradientAttack, GradientAttack]:
    """On the final output's margin from two random starts, the second through the importance maps if it matters."""
    margin = replace(attack, loss="margin", beta=0.0, random_start=True, seed=2)
    return margin, replace(margin, seed=3, through_mask=mask_matters(model))
