"""Gradient-masking checks: is the model robust, or are its gradients merely hard to follow?

After Athalye et al. (arXiv 1802.00420, section 3.1) and Carlini et al. (arXiv 1902.06705): symptoms that an honest
robust model does not show. Passing proves nothing; failing says that the table's attacks are not to be trusted.

Two attacks are compared on the same images, so "by more than the interval" is McNemar's exact test: an attack is
stronger than another if it fools more of the images on which they differ than chance would (5 %).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cifs import __version__
from cifs.attacks import CW, FGSM, PGD, GradientAttack, Square, Step, perturb, survives
from cifs.evaluation.bench import Bench, standing_of, titled
from cifs.evaluation.outcomes import accuracy, percent
from cifs.evaluation.paired import mcnemar
from cifs.evaluation.table import settings_to_try
from cifs.modes import eval_mode, frozen
from cifs.records import CheckFinding, MaskingChecks, Measurement
from cifs.registry import Registry, described, settings

CHANCE = 0.05


class Finding(NamedTuple):
    """What a check came to."""

    passed: bool | None  # None: it does not apply to this model
    statement: str  # one sentence with the figures, for people
    numbers: dict[str, Any]  # JSON-safe


class Check(Protocol):
    def run(self, case: "Case") -> Finding: ...


CHECKS: Registry[type[Check]] = Registry("check")


@dataclass
class Case:
    """A model under examination: checks share its bench, and the attacks measured there.

    sources: other models, by name, for images of this shape and these classes, that attacks are transferred from.
    reported_through_mask: whether the model's published figure is that of an attack through the importance maps.
    """

    bench: Bench
    sources: Mapping[str, nn.Module] = field(default_factory=dict)
    reported_through_mask: bool = False

    @property
    def n(self) -> int:
        return len(self.bench.images)

    @property
    def eps(self) -> float:
        return self.bench.eps

    @property
    def natural(self) -> Tensor:
        """(N,) bool: which images the model is right about."""
        return standing_of(self.bench.natural())

    def robust(self, attack: GradientAttack, among: Measurement | None = None) -> Tensor:
        """(N,) bool: which images withstand the attack; of those `among`, the others do not."""
        return standing_of(self.bench.under(attack, among=among))

    def transferred(self, source: str, attack: GradientAttack) -> Tensor:
        """(N,) bool: which images the model is right about after the attack on that source, in float32."""

        def judge(x: Tensor, y: Tensor) -> Tensor:
            precision, report = self.bench.precision, self.bench.pulse
            x_adv = perturb(self.sources[source], x, y, attack, precision=precision, report=report)
            return self.bench.right(x_adv, y)

        cell = self.bench.cell(f"{titled(attack)} on {source}", judge, settings=attack.resolved())
        return standing_of(cell)

    @property
    def settings(self) -> list[GradientAttack]:
        """PGD-20 in every setting the table has on this model."""
        return settings_to_try(self.bench.model, PGD(eps=self.eps, steps=20))

    @cached_property
    def pgd(self) -> GradientAttack:
        """The strongest of them."""
        return self.strongest(self.settings)[0]

    @cached_property
    def white_box(self) -> tuple[GradientAttack, Tensor]:
        """The strongest white-box attack, PGD-20 or C&W, and (N,) bool which images withstand it."""
        cw = replace(CW(eps=self.eps), beta=self.pgd.beta, through_mask=self.pgd.through_mask)
        return self.strongest([self.pgd, cw])

    def strongest(self, attacks: Sequence[GradientAttack]) -> tuple[GradientAttack, Tensor]:
        return min(((attack, self.robust(attack)) for attack in attacks), key=lambda pair: int(pair[1].sum()))


def run_checks(case: Case, checks: Sequence[Check] | None = None) -> MaskingChecks:
    """Every check of one model, by default all that are registered, each with its numbers and settings.

    White-box gradients have the bench's precision and success is confirmed in float32; all else is float32.
    """
    findings = {CHECKS.name_of(check): _checked(case, check) for check in checks or [cls() for cls in CHECKS.values()]}
    attack, standing = case.white_box
    precision = case.bench.precision
    return MaskingChecks(
        **case.bench.setting,
        criterion=f"McNemar's exact test on the same images, two-sided, {CHANCE:g} shared by a check's comparisons",
        precision=f"white-box gradients in {precision}, success confirmed in float32; all else in float32",
        natural=accuracy(case.natural),
        white_box={**accuracy(standing), "settings": attack.resolved()},
        failed=[name for name, finding in findings.items() if finding.passed is False],
        checks=findings,
        batch_size=case.bench.batch_size,  # carried along, as the versions are
        versions={"cifs": __version__, "torch": str(torch.__version__)},
    )


def _checked(case: Case, check: Check) -> CheckFinding:
    parameters = asdict(check)  # type: ignore[call-overload]  # every registered check is a settings class
    key = f"check {CHECKS.name_of(check)} {json.dumps(parameters)} {sorted(case.sources)} {case.reported_through_mask}"
    result = case.bench.once(key, lambda: check.run(case)._asdict())
    told = {key: result[key] for key in Finding._fields}
    return CheckFinding(title=described(check)[0], **told, settings=parameters)


# ---- the checks -----------------------------------------------------------------------------------------------------


@CHECKS.register("more_steps")
@settings
class MoreSteps:
    """More steps never help the defender.

    Last iterates of one run of PGD, step ε/10, strongest setting: at no number of steps do more images stand than at a
    smaller one. (Counting any iterate, as the table does, would make this true of every model.)
    """

    steps: tuple[int, ...] = Field(default=(1, 5, 10, 20, 50, 100), min_length=2, description="iterates looked at")

    def run(self, case: Case) -> Finding:
        attack = replace(case.pgd, steps=max(self.steps))
        standing = {steps: torch.zeros(case.n, dtype=torch.bool) for steps in sorted(self.steps)}
        for part, x, y in case.bench.batches(f"every step of PGD-{attack.steps}"):

            def note(step: Step, part: Tensor = part, y: Tensor = y) -> None:
                if step.step in standing:
                    standing[step.step][part] = (step.logits.argmax(dim=1) == y).cpu()

            perturb(case.bench.model, x, y, attack, record=note, report=case.bench.pulse)
        ladder = list(standing.items())
        rises = []
        for i, (steps, after) in enumerate(ladder[1:], 1):
            fewer, before = min(ladder[:i], key=lambda pair: int(pair[1].sum()))
            if stronger(before, after, CHANCE / (len(ladder) - 1)):
                rises.append({"from": fewer, "to": steps, "p_value": mcnemar(before, after).p_value})
        shown = ", ".join(f"{steps}: {percent(after)}" for steps, after in ladder)
        return Finding(
            not rises,
            f"accuracy after so many steps: {shown}"
            + "".join(f"; {rise['to']} steps leave more standing than {rise['from']}" for rise in rises),
            {
                "accuracy": [{"steps": steps, **accuracy(after)} for steps, after in ladder],
                "rises": rises,
                "attack": attack.resolved(),
            },
        )


@CHECKS.register("large_eps")
@settings
class LargeEps:
    """A large ε reaches 0 %.

    The strongest white-box attack with ever larger budgets. The balls are nested, so an image that fell within a small
    ε counts as fallen within every larger one.
    """

    factors: tuple[float, ...] = Field(
        default=(0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32),
        min_length=1,
        description="budgets tried, in units of ε, up to 1",
    )
    steps: int = Field(default=50, ge=1, le=10_000, description="steps of ε/10")

    def run(self, case: Case) -> Finding:
        cell, rungs = case.bench.natural(), []
        for eps in sorted({min(1.0, factor * case.eps) for factor in self.factors}):
            attack = replace(case.white_box[0], eps=eps, steps=self.steps)
            cell = case.bench.under(attack, among=cell)
            standing = standing_of(cell)
            rungs.append({"eps": eps, **accuracy(standing)})
            if not standing.any():
                break
        reached = None if standing.any() else rungs[-1]["eps"]
        return Finding(
            reached is not None,
            f"0 % at ε = {reached:.4g}"
            if reached is not None
            else f"{percent(standing)} still stand at ε = {rungs[-1]['eps']:.4g}",
            {"reached": reached, "accuracy": rungs, "attack": {**attack.resolved(), "eps": None, "step_size": "ε/10"}},
        )


@CHECKS.register("one_step")
@settings
class OneStep:
    """One step never beats many.

    FGSM against PGD-20, each in its strongest setting.
    """

    def run(self, case: Case) -> Finding:
        one = [
            replace(FGSM(eps=case.eps), beta=attack.beta, through_mask=attack.through_mask) for attack in case.settings
        ]
        fgsm, after_one = case.strongest(one)
        after_many = case.robust(case.pgd)
        return _compared("FGSM", fgsm.resolved(), after_one, "PGD-20", case.pgd.resolved(), after_many)


@CHECKS.register("square")
@settings
class BlackBox:
    """Square never beats white-box.

    Random search without gradients, against the stronger of PGD-20 and C&W.
    """

    queries: int = Field(default=1000, ge=1, le=1_000_000, description="queries of Square per image")
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="of the random search")

    def run(self, case: Case) -> Finding:
        attack, white = case.white_box
        standing = torch.zeros(case.n, dtype=torch.bool)
        search = Square(eps=case.eps, queries=self.queries)
        for part, x, y in case.bench.batches(f"Square, {self.queries} queries"):
            # In float32: bf16 rounds the margin away on which a random search feeds.
            own = replace(search, seed=self.seed + int(part[0]))
            standing[part] = survives(case.bench.model, x, y, own, report=case.bench.pulse).cpu()
        black = {"name": "square", "eps": case.eps, "queries": self.queries, "p": 0.8, "seed": self.seed}
        return _compared("Square", black, standing, named(attack), attack.resolved(), white)


@CHECKS.register("transfer")
@settings
class Transfer:
    """Transfer from another model never beats white-box.

    Images made adversarial for each source by PGD, step ε/10, against the stronger of PGD-20 and C&W on the model
    itself. Does not apply without sources.
    """

    steps: int = Field(default=20, ge=1, le=10_000, description="steps of PGD on the sources")

    def run(self, case: Case) -> Finding:
        if not case.sources:
            return Finding(None, "no other model to transfer from", {})
        attack, (own, white) = PGD(eps=case.eps, steps=self.steps), case.white_box
        standing = {source: case.transferred(source, attack) for source in case.sources}
        chance = CHANCE / len(standing)
        beaten = [source for source, after in standing.items() if stronger(after, white, chance)]
        shown = ", ".join(f"{source} {percent(after)}" for source, after in standing.items())
        return Finding(
            not beaten,
            f"from {shown}; {named(own)} {percent(white)}"
            + (f"; images from {', '.join(beaten)} fool more" if beaten else ""),
            {
                "sources": [
                    {"source": source, **accuracy(after), "p_value": mcnemar(after, white).p_value}
                    for source, after in standing.items()
                ],
                "rival": accuracy(white),
                "beaten_by": beaten,
                "p_below": chance,
                "attack": attack.resolved(),
                "rival_attack": own.resolved(),
            },
        )


@CHECKS.register("through_mask")
@settings
class ThroughMask:
    """Through the mask never beats detached.

    PGD-20 differentiating through the importance maps of CIFS, against PGD-20 on detached maps, each in its strongest
    setting; passed too if it is the number reported, which then hides nothing. Does not apply where no map carries a
    gradient.
    """

    def run(self, case: Case) -> Finding:
        through = [attack for attack in case.settings if attack.through_mask]
        if not through:
            return Finding(None, "no importance map carries a gradient", {})
        attack, standing = case.strongest(through)
        detached, others = case.strongest([attack for attack in case.settings if not attack.through_mask])
        found = _compared("through the mask", attack.resolved(), standing, "detached", detached.resolved(), others)
        numbers = {**found.numbers, "reported_through_mask": case.reported_through_mask}
        if found.passed or not case.reported_through_mask:
            return found._replace(numbers=numbers)
        return Finding(True, f"{found.statement}, and it is the number reported", numbers)


@CHECKS.register("gradients")
@settings
class Gradients:
    """Input gradients are mostly non-zero.

    Of the cross-entropy of the final logits, in float32.
    """

    images: float = Field(default=0.9, ge=0, le=1, description="share of the images that must have a gradient")
    values: float = Field(default=0.5, ge=0, le=1, description="share of all its values that must not be zero")

    def run(self, case: Case) -> Finding:
        images, values, model = 0, 0.0, case.bench.model
        for _, x, y in case.bench.batches("input gradients"):
            with torch.enable_grad(), eval_mode(model), frozen(model):
                loss = F.cross_entropy(model(x.requires_grad_()), y, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, x)
            share = ((gradient != 0) & gradient.isfinite()).flatten(1).double().mean(dim=1)
            images += int((share > 0).sum())
            values += float(share.sum())
        n = case.n
        return Finding(
            images >= self.images * n and values >= self.values * n,
            f"{images} of {n} images have a gradient; {100 * values / n:.1f} % of all its values are not zero",
            {"images": images / n, "values": values / n},
        )


# ---- what they share ------------------------------------------------------------------------------------------------


def stronger(first: Tensor, second: Tensor, chance: float = CHANCE) -> bool:
    """Whether an attack that leaves `first` (N,) bool standing beats one that leaves `second`, by more than chance."""
    paired = mcnemar(first, second)
    return paired.only_first < paired.only_second and paired.p_value < chance


def _compared(
    name: str, settings: Mapping[str, Any], weaker: Tensor, rival: str, of_rival: Mapping[str, Any], standing: Tensor
) -> Finding:
    """Passed if the attack that should be the weaker one is."""
    paired = mcnemar(weaker, standing)
    return Finding(
        not stronger(weaker, standing),
        f"{name} {percent(weaker)}, {rival} {percent(standing)}; "
        f"{paired.only_second} of {len(weaker)} images fall to the first alone, {paired.only_first} to the second",
        {
            "accuracy": accuracy(weaker),
            "rival": accuracy(standing),
            "only_first": paired.only_second,  # images only the first attack fools are those only the second leaves
            "only_second": paired.only_first,
            "p_value": paired.p_value,
            "attack": dict(settings),
            "rival_attack": dict(of_rival),
        },
    )


def named(attack: GradientAttack) -> str:
    mask = " through the mask" if attack.through_mask else ""
    return f"{attack.resolved()['name'].upper()}-{attack.steps}{mask}"
