"""Gradient-masking checks on models whose answer is known: an honest one passes, masked ones fail where they must."""

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from cifs.attacks import PGD, GradientAttack, perturb
from cifs.cli import app
from cifs.data import Images
from cifs.errors import InvalidParameter
from cifs.evaluation import CHECKS, Bench, Case, run_checks, wilson
from cifs.evaluation.checks import (
    BlackBox,
    Gradients,
    LargeEps,
    MoreSteps,
    OneStep,
    ThroughMask,
    Transfer,
    stronger,
)
from cifs.progress import Cancelled, Progress
from cifs.records import Measurement
from cifs.registry import json_schema
from cifs.zoo import Info, Zoo
from tests.cifs.learned import first_images, learned
from tests.cifs.tiny import METHODS, npz, tiny

EPS = 0.1
N = 40


def checked(model: nn.Module, images: Images | None = None, **options: Any) -> dict[str, Any]:
    quick = [
        MoreSteps(steps=(1, 5, 20)),
        LargeEps(steps=20),
        OneStep(),
        BlackBox(queries=60),
        Transfer(),
        ThroughMask(),
        Gradients(),
    ]
    images = first_images(N) if images is None else images
    sources, chosen = options.pop("sources", {"unmasked": learned()}), options.pop("checks", quick)
    bench = Bench(model, images, EPS, **{"precision": "float32", **options})
    return run_checks(Case(bench, sources), chosen).as_json()


def passed(result: Mapping[str, Any]) -> dict[str, bool | None]:
    return {name: check["passed"] for name, check in result["checks"].items()}


@cache
def honest() -> dict[str, Any]:
    return checked(learned())


# ---- an honest model ------------------------------------------------------------------------------------------------


def test_an_honest_model_passes_every_check_that_applies() -> None:
    assert passed(honest()) == {name: None if name == "through_mask" else True for name in CHECKS}
    assert honest()["failed"] == []


def test_figures_are_those_of_the_model() -> None:
    x, y = first_images(N).batch(torch.arange(N))
    right = learned()(x).argmax(dim=1) == y
    assert honest()["n"] == N
    assert honest()["natural"]["correct"] == int(right.sum())
    with torch.enable_grad():
        x = x.requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(learned()(x), y), x)
    share = float((gradient != 0).double().mean())
    assert honest()["checks"]["gradients"]["numbers"]["values"] == pytest.approx(share, abs=0.01)


def test_the_smallest_budget_that_leaves_nothing_is_reported() -> None:
    numbers = honest()["checks"]["large_eps"]["numbers"]
    assert [rung["correct"] == 0 for rung in numbers["accuracy"]] == [False] * (len(numbers["accuracy"]) - 1) + [True]
    assert numbers["reached"] == numbers["accuracy"][-1]["eps"]


def test_the_result_is_json_and_every_check_says_what_it_is() -> None:
    assert json.loads(json.dumps(honest(), allow_nan=False))["checks"].keys() == CHECKS.keys()
    for check in honest()["checks"].values():
        assert check["title"]
        assert check["statement"]


def test_batches_do_not_change_what_comes_out() -> None:
    some = [MoreSteps(steps=(1, 5)), LargeEps(steps=5), OneStep(), Gradients()]
    whole, parts = (checked(learned(), checks=some, batch_size=size)["checks"] for size in (N, 7))
    assert whole == parts


# ---- masked models --------------------------------------------------------------------------------------------------


class Quantised(nn.Module):
    """Rounds its inputs: gradients are zero, and the model underneath is as weak as ever."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = learned()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner((12 * x).round() / 12)


class Saturated(nn.Module):
    """Huge logits: the cross-entropy of what it is sure of has no gradient left, the margin has."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = learned()

    def forward(self, x: Tensor) -> Tensor:
        return 1e4 * self.inner(x)


class Path1D(nn.Module):
    """Its margin at t, the mean move of the pixels in units of ε, runs through these points (t, margin).

    Every step of PGD moves t by 0.1 and FGSM by 1, so what each finds can be read off the points.
    """

    def __init__(self, *points: tuple[float, float]) -> None:
        super().__init__()
        t, margin = (np.array(axis) for axis in zip(*points, strict=True))
        slopes = np.diff(margin) / np.diff(t)
        self.start = nn.Parameter(torch.tensor([t[0], margin[0]], dtype=torch.float32))
        self.register_buffer("knots", torch.tensor(t[:-1], dtype=torch.float32))
        self.register_buffer("bends", torch.tensor(np.diff(slopes, prepend=0), dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        t = (x - 128 / 255).mean(dim=(1, 2, 3)) / EPS
        margin = self.start[1] + (self.bends * (t[:, None] - self.knots).relu()).sum(dim=1)
        return torch.stack([margin, torch.zeros_like(margin)], dim=1)


def grey(n: int = 20) -> Images:
    return Images(torch.full((n, 1, 4, 4), 128, dtype=torch.uint8), torch.zeros(n, dtype=torch.int64))


def test_rounded_inputs_are_found_out() -> None:
    result = checked(Quantised())
    assert result["white_box"]["correct"] == result["natural"]["correct"]  # PGD and C&W see nothing
    assert {"square", "transfer", "large_eps", "gradients"} <= set(result["failed"])
    assert result["checks"]["gradients"]["numbers"] == {"images": 0, "values": 0}
    assert result["checks"]["square"]["numbers"]["only_first"] > 5
    assert result["checks"]["large_eps"]["numbers"]["reached"] is None


def test_a_saturated_softmax_is_found_out_and_the_margin_sees_through_it() -> None:
    result = checked(Saturated())
    assert result["failed"] == ["gradients"]
    assert result["white_box"]["settings"]["name"] == "cw"


def test_a_well_in_which_pgd_is_caught_is_found_out_by_one_step() -> None:
    model = Path1D((-1, -1), (-0.5, 2), (-0.25, 1), (0.05, 2), (1, 3))
    result = checked(model, grey(), checks=[OneStep()])
    assert passed(result) == {"one_step": False}
    assert result["checks"]["one_step"]["numbers"]["accuracy"]["correct"] == 0
    assert result["checks"]["one_step"]["numbers"]["rival"]["correct"] == 20


def test_steps_that_lead_out_of_a_hole_again_are_found_out() -> None:
    model = Path1D((-1, 3), (-0.45, 0.5), (-0.18, 2), (-0.12, -0.6), (0.05, 1.5), (1, 3))
    result = checked(model, grey(), checks=[MoreSteps(steps=(1, 5, 10))])
    assert passed(result) == {"more_steps": False}
    numbers = result["checks"]["more_steps"]["numbers"]
    assert [rung["correct"] for rung in numbers["accuracy"]] == [0, 20, 20]
    assert [(rise["from"], rise["to"]) for rise in numbers["rises"]] == [(1, 5), (1, 10)]


# ---- through the mask -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reported", [False, True])
@pytest.mark.parametrize("through", [0, 3, 20, 40])
def test_a_mask_that_hides_a_path_fails_unless_that_path_is_reported(through: int, reported: bool) -> None:
    """Outcomes given, not measured: 20 of 40 images stand when maps are detached, `through` when they are not."""
    images = Images(torch.zeros(40, 3, 8, 8, dtype=torch.uint8), torch.zeros(40, dtype=torch.int64))

    class Given(Case):
        def robust(self, attack: GradientAttack, among: Measurement | None = None) -> Tensor:
            return torch.arange(40) < (through if attack.through_mask else 20)

    found = ThroughMask().run(Given(Bench(tiny("cifs"), images, EPS), reported_through_mask=reported))
    assert found.passed is (through >= 20 or reported)
    assert found.numbers["accuracy"]["correct"] == through


@pytest.mark.parametrize("method", METHODS)
def test_the_mask_is_checked_where_it_carries_a_gradient(method: str) -> None:
    x = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    result = checked(tiny(method), Images(x, torch.arange(4)), checks=[ThroughMask()])
    assert (result["checks"]["through_mask"]["passed"] is None) is (method != "cifs")


# ---- transfer from another model ------------------------------------------------------------------------------------


def test_transfer_shows_the_model_what_was_made_for_the_source() -> None:
    x, y = first_images(N).batch(torch.arange(N))
    for_source = PGD(eps=EPS)
    shown = perturb(learned(), x, y, for_source)
    after = int((Quantised()(shown).argmax(dim=1) == y).sum())
    numbers = checked(Quantised(), checks=[Transfer()])["checks"]["transfer"]["numbers"]
    (source,) = numbers["sources"]
    assert (source["source"], source["correct"]) == ("unmasked", after)
    assert (source["low"], source["high"]) == wilson(after, N)
    assert numbers["beaten_by"] == ["unmasked"]


def test_without_sources_transfer_does_not_apply() -> None:
    assert passed(checked(learned(), checks=[Transfer()], sources={})) == {"transfer": None}


@pytest.mark.parametrize(("standing", "passes"), [([0], False), ([0, 40], True), ([40, 40], True), ([0, 0], True)])
def test_many_sources_share_one_chance(standing: list[int], passes: bool) -> None:
    """Outcomes given: 6 of 40 images withstand the white box, so a source that leaves none has p = 2/64."""
    images = Images(torch.zeros(40, 3, 8, 8, dtype=torch.uint8), torch.zeros(40, dtype=torch.int64))
    sources = {f"source-{i}": tiny() for i in range(len(standing))}
    counts = dict(zip(sources, standing, strict=True))

    class Given(Case):
        white_box = PGD(eps=EPS), torch.arange(40) < 6

        def transferred(self, source: str, attack: GradientAttack) -> Tensor:
            return torch.arange(40) < counts[source]

    assert Transfer().run(Given(Bench(tiny(), images, EPS), sources)).passed is passes


# ---- a stopped run --------------------------------------------------------------------------------------------------

SOME = [MoreSteps(steps=(1, 5)), OneStep(), Transfer(steps=5), Gradients()]


def told_by(partial: Path, *, stop_in: str = "", **options: Any) -> tuple[dict[str, Any], set[str]]:
    """The result of a few checks, nothing if stopped, and what was worked on."""
    told: set[str] = set()

    def report(progress: Progress) -> None:
        if progress.doing == stop_in and progress.done:
            raise Cancelled
        told.add(progress.doing)

    with suppress(Cancelled):
        return checked(learned(), checks=SOME, partial=partial, report=report, **options), told
    return {}, told


def test_a_stopped_run_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    partial = tmp_path / "checks.partial.json"
    stopped, before = told_by(partial, stop_in="input gradients")
    assert not stopped
    resumed, after = told_by(partial)
    assert before >= {"every step of PGD-5", "PGD-5, β = 2, ε = 0.1 on unmasked"}
    assert after == {"input gradients", "natural"}  # the last of all
    whole = checked(learned(), checks=SOME)
    assert resumed.pop("seconds") > 0
    del whole["seconds"]
    assert resumed == json.loads(json.dumps(whole))


@pytest.mark.parametrize("changed", [{"subject": {"weights": "other"}}, {"images": first_images(N - 1)}])
def test_what_was_measured_of_something_else_is_not_used(changed: dict[str, Any], tmp_path: Path) -> None:
    partial = tmp_path / "checks.partial.json"
    _, before = told_by(partial, stop_in="input gradients")
    _, after = told_by(partial, **changed)
    assert after == before | {"input gradients", "natural"}


# ---- what they share ------------------------------------------------------------------------------------------------


def test_an_attack_is_stronger_only_by_more_than_chance() -> None:
    """Of 6 images on which two attacks differ, all on one side: p = 2/64 < 5 %; of 5: 2/32 > 5 %."""
    none, some = torch.zeros(20, dtype=torch.bool), torch.arange(20)
    assert stronger(none, some < 6)
    assert not stronger(none, some < 5)
    assert not stronger(some < 6, none)
    assert not stronger(none, none)


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_defaults_and_a_schema(name: str) -> None:
    assert CHECKS.name_of(CHECKS[name]()) == name
    assert json_schema(CHECKS[name])["type"] == "object"


def test_without_images_nothing_is_checked() -> None:
    with pytest.raises(InvalidParameter, match="no images"):
        checked(learned(), first_images(0))


def test_progress_is_told_and_may_stop_the_work() -> None:
    told: list[Progress] = []

    def report(progress: Progress) -> None:
        told.append(progress)
        if progress.doing.startswith("FGSM"):
            raise Cancelled

    with pytest.raises(Cancelled):
        checked(tiny(), Images(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2).long()), report=report)
    assert told[0].doing.startswith("PGD-20")
    assert all(progress.total is not None and 0 <= progress.done <= progress.total <= 2 for progress in told)


# ---- the command ----------------------------------------------------------------------------------------------------


FILES = ("config.json", "model.safetensors")


def command(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["check", *map(str, arguments)], env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_writes_checks_json_beside_the_weights(data: Path, tmp_path: Path) -> None:
    npz(data)
    entry = Zoo(tmp_path).save("small", tiny(num_classes=3), Info(title="", dataset="tiny", method="natural"))
    output = command("small", "--checkpoints", tmp_path, "--n", 6, "--queries", 5, "--precision", "float32")
    assert "Square never beats white-box" in output
    written = entry.checks()
    assert written is not None
    assert {"weights": written.weights, "configuration": written.configuration} == entry.digests()
    assert (written.model, written.dataset, written.split, written.n) == ("small", "tiny", "test", 6)
    assert written.checks["square"].settings == {"queries": 5, "seed": 0}
    assert written.checks["transfer"].passed is None
    assert {path.name for path in entry.folder.iterdir()} == {*FILES, "checks.json", "README.md"}
    assert written.checks["square"].statement in (entry.folder / "README.md").read_text()
    fewer = command("small", "--checkpoints", tmp_path, "--n", 3, "--queries", 5, "--precision", "float32")
    assert "is of 6 images; what is measured on 3 is not saved" in fewer
    assert entry.checks() == written


def test_attacks_are_transferred_from_all_others_of_the_data_set_that_fit_or_from_those_chosen(
    data: Path, tmp_path: Path
) -> None:
    npz(data)
    zoo = Zoo(tmp_path / "zoo")
    own, foreign = (Info(title="", dataset=name, method="natural") for name in ("tiny", "fashion_mnist_mini"))
    for model_id in ("small", "other", "corrupt"):
        zoo.save(model_id, tiny(num_classes=3), own)
    zoo.save("larger", tiny(num_classes=3, size=16), own)
    zoo.save("foreign", tiny(num_classes=3), foreign)
    (zoo.root / "corrupt" / "model.safetensors").write_bytes(b"")

    def sources(*options: object) -> list[str]:
        command("small", "--checkpoints", zoo.root, "--n", 6, "--queries", 2, *options)
        written = zoo.entry("small").checks()
        assert written is not None
        names = [source["source"] for source in written.checks["transfer"].numbers["sources"]]
        assert written.sources == {name: zoo.entry(name).digests()["weights"] for name in names}
        return names

    assert sources() == ["other"]
    assert sources("--source", "other", "--source", "small") == ["other", "small"]


def test_what_was_checked_on_other_data_is_shown_and_not_saved(data: Path, tmp_path: Path) -> None:
    npz(data)
    npz(data, "other")
    entry = Zoo(tmp_path).save("small", tiny(num_classes=3), Info(title="", dataset="tiny", method="natural"))
    assert "2 test images of other" in command(
        "small", "--checkpoints", tmp_path, "--data", "other", "--n", 2, "--queries", 2
    )
    assert {path.name for path in entry.folder.iterdir()} == set(FILES)
