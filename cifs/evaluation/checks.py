"""Gradient-masking checks: is the model robust, or are its gradients merely hard to follow?

After Athalye et al. (arXiv 1802.00420, section 3.1) and Carlini et al. (arXiv 1902.06705): symptoms that an honest
robust model does not show. Passing proves nothing; failing says that the table's attacks are not to be trusted.

Two attacks are compared on the same images, so "by more than the interval" is McNemar's exact test: an attack is
stronger than another if it fools more of the images on which they differ than chance would (5 %).
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cifs import __version__
from cifs.attacks import CW, FGSM, PGD, GradientAttack, Step, perturb, square, survives
from cifs.data import Images
from cifs.errors import InvalidParameter
from cifs.evaluation.evaluate import pack, unpack
from cifs.evaluation.interval import wilson
from cifs.evaluation.paired import mcnemar
from cifs.evaluation.table import settings_to_try
from cifs.files import write_json
from cifs.models import CNN
from cifs.modes import eval_mode, frozen
from cifs.precision import Precision, device_of
from cifs.progress import Progress
from cifs.registry import Registry, described, settings

CHANCE = 0.05


class Finding(NamedTuple):
    """What a check found."""

    passed: bool | None  # None: it does not apply to this model
    statement: str  # one sentence with the figures, for people
    numbers: dict[str, Any]  # JSON-safe


class Checking(NamedTuple):
    """How far a check is."""

    check: str
    doing: str
    done: int
    total: int


Report = Callable[[Checking], None]  # may raise, to stop


class Check(Protocol):
    def run(self, bench: "Bench") -> Finding: ...


CHECKS: Registry[type[Check]] = Registry("check")


def run_checks(
    model: nn.Module,
    images: Images,
    eps: float,
    *,
    checks: Sequence[Check] | None = None,
    about: Mapping[str, Any] | None = None,
    sources: Mapping[str, nn.Module] | None = None,
    reported_through_mask: bool = False,
    partial: Path | None = None,
    precision: Precision = "bf16",
    batch_size: int = 250,
    report: Report = lambda checking: None,
) -> dict[str, Any]:
    """checks.json as a dictionary: every check of one model on these images at ε, with its numbers and settings.

    about: what the result is of (model, data set, split, digests of weights), kept with it. sources: other models, by
    name, for images of this shape and these classes, that attacks are transferred from. reported_through_mask: whether
    the model's published figure is that of an attack through the importance maps. partial: a file that keeps what was
    found so far, from which the same call goes on; the caller removes it. precision: of the white-box gradients;
    success is confirmed in float32, and all else is float32. Raises InvalidParameter without images.
    """
    if len(images) == 0:
        raise InvalidParameter("no images: a check needs at least one")
    bench = Bench(
        model, images, eps, reported_through_mask, precision, batch_size, report, about or {}, sources or {}, partial
    )
    found: dict[str, Any] = {}
    for check in checks or [cls() for cls in CHECKS.values()]:
        name = bench.check = CHECKS.name_of(check)
        parameters = asdict(check)  # type: ignore[call-overload]  # every registered check is a settings class
        key = f"{name} {json.dumps(parameters)}"
        if key not in bench.done:
            title, result = described(check)[0], check.run(bench)
            bench.keep(key, {"title": title, **result._asdict(), "settings": parameters})
        found[name] = bench.done[key]
    return {
        **(about or {}),
        "n": len(images),
        "eps": eps,
        "criterion": f"McNemar's exact test on the same images, two-sided, {CHANCE:g} shared by a check's comparisons",
        "precision": f"white-box gradients in {precision}, success confirmed in float32; all else in float32",
        "natural": figures(bench.natural),
        "white_box": {**figures(bench.white_box[1]), "settings": bench.white_box[0].resolved()},
        "failed": [name for name, result in found.items() if result["passed"] is False],
        "checks": found,
        "batch_size": batch_size,
        "seconds": round(bench.seconds, 1),
        "threads": torch.get_num_threads(),
        "device": str(device_of(model)),
        "versions": {"cifs": __version__, "torch": str(torch.__version__)},
    }


@dataclass
class Bench:
    """A model on images, and what was measured of it so far: checks share their attacks. Memory holds one batch."""

    model: nn.Module
    images: Images
    eps: float
    reported_through_mask: bool
    precision: Precision
    batch_size: int
    report: Report
    about: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, nn.Module] = field(default_factory=dict)
    partial: Path | None = None
    check: str = ""  # which one is running

    def __post_init__(self) -> None:
        kept = json.loads(self.partial.read_text("utf-8")) if self.partial and self.partial.exists() else {}
        if kept.get("identity") != self._identity():
            kept = {"done": {}, "seconds": 0.0}
        self.done: dict[str, Any] = kept["done"]  # what checks found, and (packed) which images withstand what
        self._began = time.monotonic() - kept["seconds"]

    @property
    def seconds(self) -> float:
        """Time spent, before a stop too."""
        return time.monotonic() - self._began

    def keep(self, key: str, value: Any) -> None:
        """A JSON-safe result that need not be found again, now or by the next process."""
        self.done[key] = value
        if self.partial is not None:
            write_json(self.partial, {"identity": self._identity(), "seconds": self.seconds, "done": self.done})

    def _identity(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "n": len(self.images),
            "eps": self.eps,
            "precision": self.precision,
            "reported_through_mask": self.reported_through_mask,
            "sources": list(self.sources),
        }

    @property
    def natural(self) -> Tensor:
        """(N,) bool: which images the model is right about."""
        return self._standing("natural images", "natural", self._right)

    def transferred(self, source: str, attack: GradientAttack) -> Tensor:
        """(N,) bool: which images the model is right about after the attack on that source, in float32."""

        def judge(x: Tensor, y: Tensor) -> Tensor:
            return self._right(perturb(self.sources[source], x, y, attack, precision=self.precision), y)

        return self._standing(f"{_named(attack)} on {source}", f"{source} {json.dumps(attack.resolved())}", judge)

    @property
    def tries(self) -> list[GradientAttack]:
        """PGD-20 in every setting the table tries on this model."""
        attack = PGD(eps=self.eps, steps=20)
        return settings_to_try(self.model, attack) if isinstance(self.model, CNN) else [attack]

    @cached_property
    def pgd(self) -> GradientAttack:
        """The strongest of them."""
        return self.strongest(self.tries)[0]

    @cached_property
    def white_box(self) -> tuple[GradientAttack, Tensor]:
        """The strongest white-box attack, PGD-20 or C&W, and (N,) bool which images withstand it."""
        cw = replace(CW(eps=self.eps), beta=self.pgd.beta, through_mask=self.pgd.through_mask)
        return self.strongest([self.pgd, cw])

    def strongest(self, attacks: Sequence[GradientAttack]) -> tuple[GradientAttack, Tensor]:
        return min(((attack, self.robust(attack)) for attack in attacks), key=lambda pair: int(pair[1].sum()))

    def robust(self, attack: GradientAttack, among: Tensor | None = None) -> Tensor:
        """(N,) bool: which images withstand the attack; of those `among`, the others do not."""
        setting = f"{_named(attack)}, β = {attack.beta:g}, ε = {attack.eps:.4g}"
        key = json.dumps(attack.resolved()) if among is None else None

        def judge(x: Tensor, y: Tensor) -> Tensor:
            return survives(self.model, x, y, attack, precision=self.precision)

        return self._standing(setting, key, judge, among)

    @torch.no_grad()
    def _right(self, x: Tensor, y: Tensor) -> Tensor:
        with eval_mode(self.model):
            return self.model(x).argmax(dim=1) == y

    def _standing(
        self, doing: str, key: str | None, judge: Callable[[Tensor, Tensor], Tensor], among: Tensor | None = None
    ) -> Tensor:
        """(N,) bool: which images, of those `among`, `judge` lets stand; found once for every key."""
        if key not in self.done:
            standing = torch.zeros(len(self.images), dtype=torch.bool)
            for part, x, y in self.batches(doing, among):
                standing[part] = judge(x, y).cpu()
            if key is None:
                return standing
            self.keep(key, pack(standing))
        return unpack(self.done[key], len(self.images))

    def batches(self, doing: str, among: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """indices (n,), x (n, C, H, W) and y (n,) on the model's device; reports before the first and after each."""
        device = device_of(self.model)
        todo = torch.arange(len(self.images)) if among is None else among.nonzero()[:, 0]
        done = 0
        self.note(doing, done, len(todo))
        for part in todo.split(self.batch_size) if len(todo) else ():
            x, y = self.images.batch(part)
            yield part, x.to(device, memory_format=torch.channels_last), y.to(device)
            done += len(part)
            self.note(doing, done, len(todo))

    def note(self, doing: str, done: int, total: int) -> None:
        self.report(Checking(self.check, doing, done, total))


# ---- the checks -----------------------------------------------------------------------------------------------------


@CHECKS.register("more_steps")
@settings
class MoreSteps:
    """More steps never help the defender.

    Last iterates of one run of PGD, step ε/10, strongest setting: at no number of steps do more images stand than at a
    smaller one. (Counting any iterate, as the table does, would make this true of every model.)
    """

    steps: tuple[int, ...] = Field(default=(1, 5, 10, 20, 50, 100), min_length=2, description="iterates looked at")

    def run(self, bench: Bench) -> Finding:
        attack = replace(bench.pgd, steps=max(self.steps))
        standing = {steps: torch.zeros(len(bench.images), dtype=torch.bool) for steps in sorted(self.steps)}
        for part, x, y in bench.batches(f"PGD-{attack.steps}, every step"):

            def note(step: Step, part: Tensor = part, y: Tensor = y) -> None:
                if step.step in standing:
                    standing[step.step][part] = (step.logits.argmax(dim=1) == y).cpu()

            perturb(bench.model, x, y, attack, record=note)
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
                "accuracy": [{"steps": steps, **figures(after)} for steps, after in ladder],
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

    def run(self, bench: Bench) -> Finding:
        standing, rungs = bench.natural, []
        for eps in sorted({min(1.0, factor * bench.eps) for factor in self.factors}):
            attack = replace(bench.white_box[0], eps=eps, steps=self.steps)
            standing = bench.robust(attack, among=standing)
            rungs.append({"eps": eps, **figures(standing)})
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

    def run(self, bench: Bench) -> Finding:
        one = [
            replace(FGSM(eps=bench.eps), beta=attack.beta, through_mask=attack.through_mask) for attack in bench.tries
        ]
        fgsm, after_one = bench.strongest(one)
        after_many = bench.robust(bench.pgd)
        return _compared("FGSM", fgsm.resolved(), after_one, "PGD-20", bench.pgd.resolved(), after_many)


@CHECKS.register("square")
@settings
class BlackBox:
    """Square never beats white-box.

    Random search without gradients, against the stronger of PGD-20 and C&W.
    """

    queries: int = Field(default=1000, ge=1, le=1_000_000, description="queries of Square per image")
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="of the random search")

    def run(self, bench: Bench) -> Finding:
        attack, white = bench.white_box
        standing = torch.zeros(len(bench.images), dtype=torch.bool)
        doing = f"Square, {self.queries} queries"
        for part, x, y in bench.batches(doing):

            def note(progress: Progress, first: int = int(part[0])) -> None:
                if progress.done % 20 == 0:  # often enough to be stopped by, seldom enough to cost nothing
                    bench.note(f"{doing}: {progress.done}", first, len(bench.images))

            # In float32: bf16 rounds the margin away on which a random search feeds.
            standing[part] = square(
                bench.model, x, y, eps=bench.eps, queries=self.queries, seed=self.seed + int(part[0]), report=note
            ).robust.cpu()
        black = {"name": "square", "eps": bench.eps, "queries": self.queries, "p": 0.8, "seed": self.seed}
        return _compared("Square", black, standing, _named(attack), attack.resolved(), white)


@CHECKS.register("transfer")
@settings
class Transfer:
    """Transfer from another model never beats white-box.

    Images made adversarial for each source by PGD, step ε/10, against the stronger of PGD-20 and C&W on the model
    itself. Does not apply without sources.
    """

    steps: int = Field(default=20, ge=1, le=10_000, description="steps of PGD on the sources")

    def run(self, bench: Bench) -> Finding:
        if not bench.sources:
            return Finding(None, "no other model to transfer from", {})
        attack, (own, white) = PGD(eps=bench.eps, steps=self.steps), bench.white_box
        standing = {source: bench.transferred(source, attack) for source in bench.sources}
        chance = CHANCE / len(standing)
        beaten = [source for source, after in standing.items() if stronger(after, white, chance)]
        shown = ", ".join(f"{source} {percent(after)}" for source, after in standing.items())
        return Finding(
            not beaten,
            f"from {shown}; {_named(own)} {percent(white)}"
            + (f"; images from {', '.join(beaten)} fool more" if beaten else ""),
            {
                "sources": [
                    {"source": source, **figures(after), "p_value": mcnemar(after, white).p_value}
                    for source, after in standing.items()
                ],
                "rival": figures(white),
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

    def run(self, bench: Bench) -> Finding:
        through = [attack for attack in bench.tries if attack.through_mask]
        if not through:
            return Finding(None, "no importance map carries a gradient", {})
        attack, standing = bench.strongest(through)
        detached, others = bench.strongest([attack for attack in bench.tries if not attack.through_mask])
        found = _compared("through the mask", attack.resolved(), standing, "detached", detached.resolved(), others)
        numbers = {**found.numbers, "reported_through_mask": bench.reported_through_mask}
        if found.passed or not bench.reported_through_mask:
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

    def run(self, bench: Bench) -> Finding:
        images, values = 0, 0.0
        for _, x, y in bench.batches("input gradients"):
            with torch.enable_grad(), eval_mode(bench.model), frozen(bench.model):
                loss = F.cross_entropy(bench.model(x.requires_grad_()), y, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, x)
            share = ((gradient != 0) & gradient.isfinite()).flatten(1).double().mean(dim=1)
            images += int((share > 0).sum())
            values += float(share.sum())
        n = len(bench.images)
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
            "accuracy": figures(weaker),
            "rival": figures(standing),
            "only_first": paired.only_second,  # images only the first attack fools are those only the second leaves
            "only_second": paired.only_first,
            "p_value": paired.p_value,
            "attack": dict(settings),
            "rival_attack": dict(of_rival),
        },
    )


def figures(standing: Tensor) -> dict[str, float]:
    """Accuracy with its 95 % Wilson interval."""
    correct, n = int(standing.sum()), len(standing)
    low, high = wilson(correct, n)
    return {"accuracy": correct / n, "low": low, "high": high, "correct": correct}


def percent(standing: Tensor) -> str:
    return f"{100 * float(standing.double().mean()):.1f} %"


def _named(attack: GradientAttack) -> str:
    mask = " through the mask" if attack.through_mask else ""
    return f"{attack.resolved()['name'].upper()}-{attack.steps}{mask}"
