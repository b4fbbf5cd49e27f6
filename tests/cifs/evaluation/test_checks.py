"""Gradient-masking checks on models whose answer is known: an honest one passes, masked ones fail where they must."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from cifs.cli import app
from cifs.data import Images
from cifs.errors import InvalidParameter
from cifs.evaluation import CHECKS, Checking, digest, run_checks
from cifs.evaluation.checks import Bench, BlackBox, Gradients, LargeEps, MoreSteps, OneStep, ThroughMask, stronger
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
        ThroughMask(),
        Gradients(),
    ]
    images = first_images(N) if images is None else images
    return run_checks(model, images, EPS, **{"checks": quick, "precision": "float32", **options})


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


def test_batches_do_not_change_what_is_found() -> None:
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
    assert {"square", "large_eps", "gradients"} <= set(result["failed"])
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
    bench = Bench(tiny("cifs"), images, EPS, reported, "float32", 40, lambda checking: None)
    for attack in bench.tries:
        bench._measured[attack] = torch.arange(40) < (through if attack.through_mask else 20)
    found = ThroughMask().run(bench)
    assert found.passed is (through >= 20 or reported)
    assert found.numbers["accuracy"]["correct"] == through


@pytest.mark.parametrize("method", METHODS)
def test_the_mask_is_checked_where_it_carries_a_gradient(method: str) -> None:
    x = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    result = checked(tiny(method), Images(x, torch.arange(4)), checks=[ThroughMask()])
    assert (result["checks"]["through_mask"]["passed"] is None) is (method != "cifs")


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
    told: list[Checking] = []

    def report(checking: Checking) -> None:
        told.append(checking)
        if checking.check == "one_step":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checked(tiny(), Images(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2).long()), report=report)
    assert [*dict.fromkeys(checking.check for checking in told)] == ["more_steps", "large_eps", "one_step"]
    assert all(0 <= checking.done <= checking.total <= 2 for checking in told)


# ---- the command ----------------------------------------------------------------------------------------------------


def command(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["check", *map(str, arguments)], env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_writes_checks_json_beside_the_weights(data: Path, tmp_path: Path) -> None:
    npz(data)
    entry = Zoo(tmp_path).save("small", tiny(num_classes=3), Info(title="", dataset="tiny", method="natural"))
    output = command("small", "--checkpoints", tmp_path, "--n", 6, "--queries", 5, "--precision", "float32")
    assert "Square never beats white-box" in output
    written = json.loads((entry.folder / "checks.json").read_text())
    assert written["weights"] == digest(entry.folder / "model.safetensors")
    assert (written["model"], written["dataset"], written["split"], written["n"]) == ("small", "tiny", "test", 6)
    assert written["checks"]["square"]["settings"] == {"queries": 5, "seed": 0}
    assert sorted(path.name for path in entry.folder.iterdir()) == ["checks.json", "config.json", "model.safetensors"]


def test_what_was_checked_on_other_data_is_shown_and_not_kept(data: Path, tmp_path: Path) -> None:
    npz(data)
    npz(data, "other")
    entry = Zoo(tmp_path).save("small", tiny(num_classes=3), Info(title="", dataset="tiny", method="natural"))
    assert "2 test images of other" in command(
        "small", "--checkpoints", tmp_path, "--data", "other", "--n", 2, "--queries", 2
    )
    assert not (entry.folder / "checks.json").exists()
