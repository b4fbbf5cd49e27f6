"""What a study costs, against counts made by hand."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cifs.cli import app
from cifs.studies import costs, load_study, throughput
from cifs.studies.cost import cost_of
from cifs.studies.plan import Cell, parse_study

# Multiply-adds of a ResNet-10 of width 4 on 32×32×3: the stem, then four stages of one block of two convolutions, with
# a shortcut where the shape changes; then the linear head.
STEM = 32 * 32 * 4 * 27
STAGE1 = 2 * 32 * 32 * 4 * 36
LATER = [side**2 * c * (9 * c // 2 + 9 * c + c // 2) for side, c in ((16, 8), (8, 16), (4, 32))]
FORWARD = 2 * (STEM + STAGE1 + sum(LATER) + 320)


def study(**changes: Any) -> Any:
    common = {"model": {"arch": "resnet10", "width": 4}, "images": 100, "batch_size": 30, "epochs": 6}
    return parse_study(
        "x",
        {
            "title": "Tiny", "question": "?", "recipe": "cpu/cifar10-500-resnet10-w16", "test_images": 200,
            "common": {**common, "validation": 50, "validate_every": 4, "further_attacks": ()},
            "regimes": {"r": {"title": "r"}}, "arms": {"vanilla": {"title": "Vanilla"}},
            "blocks": [{"regime": "r", "arms": ["vanilla"], "seeds": [1, 2]}], **changes,
        },
    )  # fmt: skip


def test_vanilla_costs_what_its_passes_come_to() -> None:
    plan = study()
    cost = cost_of(plan, Cell("r", "vanilla", 1))
    assert cost.training == FORWARD * 6 * 90 * (2 + 1) * 3  # three full batches of 30 an epoch, PGD-2 and a step
    assert cost.validating == FORWARD * 2 * 50 * (1 + 10 * 3 + 1)  # after epochs 4 and 6; PGD-10
    assert cost.measuring == FORWARD * 2 * (200 + (50 + 4 * 200) * 20 * 3)  # best and last; PGD-20, one setting
    assert cost.total == cost.training + cost.validating + cost.measuring
    assert [c.cell for c in costs(plan)] == ["r-vanilla-1", "r-vanilla-2"]


def test_images_that_fall_cost_less_and_training_the_same() -> None:
    whole, half = (cost_of(study(), Cell("r", "vanilla", 1), standing=share) for share in (1.0, 0.5))
    assert half.training == whole.training
    assert half.measuring == whole.measuring / 2


def test_a_method_that_compares_with_natural_images_pays_for_them() -> None:
    arms = {
        name: {"title": name, "recipe": {"method": "cifs", "model": {"method": "cifs", "consistency": weight}}}
        for name, weight in (("with", 1.0), ("without", 0.0))
    }
    plan = study(arms=arms, blocks=[{"regime": "r", "arms": ["with", "without"], "seeds": [1]}])
    with_pairs, without = (cost_of(plan, Cell("r", name, 1)).training for name in ("with", "without"))
    assert with_pairs / without == pytest.approx(4 / 3)


def test_a_machine_s_throughput_is_flops_over_seconds() -> None:
    ticks = count()
    plan = study()
    recipe = plan.recipe_of(next(plan.cells()))
    # The clock is read at the start, after the first step, and at the end: one second for two steps of 64 images.
    assert throughput(recipe, clock=lambda: float(next(ticks)), steps=2) == FORWARD * 2 * 64 * 3


@pytest.mark.parametrize("name", ["paper-resnet18", "paper-wrn28-10"])
def test_the_paper_s_studies_have_every_defence_on_three_seeds_at_its_width(name: str) -> None:
    plan = load_study(name)
    seeds: dict[str, set[int]] = {}
    for cell in plan.cells():
        seeds.setdefault(cell.arm, set()).add(cell.seed)
        recipe = plan.recipe_of(cell)
        assert recipe.epochs == (200 if cell.arm == "cas" else 120)
        assert recipe.model["width"] == (64 if name.endswith("resnet18") else 160)
        assert len(recipe.further_checking_attacks) == 2
    assert {"vanilla", "cifs-softmax", "probes", "permuted", "cas", "fsr"} <= seeds.keys()
    assert all(len(own) >= 3 for own in seeds.values())
    assert all(cost.total > 1e17 for cost in costs(plan))  # and every network can be built


def test_the_command_divides_by_the_throughput_that_is_stated(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["study", "estimate", "paper-resnet18", "--tflops", "40", "--price", "2"])
    assert done.exit_code == 0, done.output
    total = sum(cost.total for cost in costs(load_study("paper-resnet18"))) / 40e12 / 3600
    assert f"{total:,.1f}" in done.output
    assert f"{2 * total:,.2f}" in done.output
    assert "stated" in done.output
