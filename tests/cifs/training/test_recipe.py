"""Recipes: what ships loads and builds, overrides and extensions merge, and what is wrong is named."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from cifs.data import dataset
from cifs.errors import CIFSError, InvalidParameter, UnknownName
from cifs.models import build
from cifs.training import Recipe, load_recipe, recipe_diff, recipe_names

Load = Callable[..., Recipe]


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_loads_and_describes_a_model(name: str) -> None:
    recipe = load_recipe(name)
    channels = dataset(recipe.dataset).image_shape[0]
    model = build(**{"in_channels": channels, **recipe.model, "width": 4, "image_size": 8})
    assert (
        model.method == {"natural": "plain", "vanilla": "plain"}.get(recipe.method, recipe.method)
        or recipe.method == "natural"
    )
    assert (recipe.training_attack is None) == (recipe.method == "natural")
    if recipe.training_attack is not None:
        assert recipe.training_attack.random_start or recipe.noise
        assert recipe.checking_attack is not None
        assert recipe.checking_attack.eps == recipe.training_attack.eps


def test_overrides_reach_every_depth(recipe: Load) -> None:
    found = recipe(
        "epochs=7",
        "attack.steps=3",
        'attack.eps="4/255"',
        "model.imgf.name=softplus",
        "model.imgf.per_channel=false",
        "title=Mine",
    )
    assert (found.epochs, found.title) == (7, "Mine")
    assert found.training_attack is not None
    assert (found.training_attack.steps, found.training_attack.eps, found.training_attack.random_start) == (
        3,
        4 / 255,
        True,
    )
    assert found.model["imgf"] == {"name": "softplus", "per_channel": False}
    assert found.model["width"] == 4


def test_a_recipe_may_extend_another_table_by_table(recipe_file: Path) -> None:
    child = recipe_file.with_name("child.toml")
    child.write_text(
        f'extends = "{recipe_file}"\nlr = 0.3\n[attack]\nsteps = 9\n[model]\nwidth = 8\n', encoding="utf-8"
    )
    found, parent = load_recipe(str(child)), load_recipe(str(recipe_file))
    assert found.lr == 0.3
    assert found.attack == {**(parent.attack or {}), "steps": 9}
    assert found.model == {**parent.model, "width": 8}
    assert found.validation_attack == parent.validation_attack


def test_a_table_that_names_another_choice_drops_the_parameters_of_the_former(recipe_file: Path) -> None:
    child = recipe_file.with_name("child.toml")
    child.write_text(f'extends = "{recipe_file}"\nattack = {{ name = "fgsm" }}\n', encoding="utf-8")
    assert load_recipe(str(child)).attack == {"name": "fgsm"}


def test_an_override_that_names_another_function_drops_the_parameters_of_the_former(recipe: Load) -> None:
    assert recipe("model.imgf.name=softplus").model["imgf"] == {"name": "softplus"}
    for order in ((0, 1), (1, 0)):
        given = ["model.imgf.name=softplus", "model.imgf.alpha=3"]
        assert recipe(*(given[i] for i in order)).model["imgf"] == {"name": "softplus", "alpha": 3}
    assert recipe("attack.name=fgsm").attack == {"name": "fgsm"}
    assert recipe("validation_attack.name=cw").validation_attack == {"name": "cw"}
    assert recipe("model.imgf.name=softmax").model["imgf"] == {"name": "softmax", "per_channel": True}


def test_an_override_reaches_into_a_site_and_drops_a_former_probe_s_parameters(recipe: Load) -> None:
    probe = '{layer="layer3.0", probe={name="mlp", hidden=8}}'
    sites = f'model.sites=[{probe}, {{layer="layer4.0", probe={{name="linear"}}}}]'
    first = {"layer": "layer3.0", "probe": {"name": "linear"}}
    assert recipe(sites, "model.sites.0.probe.name=linear").model["sites"][0] == first  # type: ignore[index]
    with pytest.raises(InvalidParameter, match=r"model\.sites has items 0 to 1, not 2"):
        recipe(sites, "model.sites.2.layer=stem")


def test_a_diff_names_what_overrides_change_and_nothing_else(recipe_file: Path) -> None:
    given = ["epochs=7", "batch_size=16", "model.imgf.name=softplus", "attack.steps=3", "momentum=0.5"]
    assert recipe_diff(str(recipe_file), given) == {
        "epochs": (2, 7),
        "model.imgf.name": ("softmax", "softplus"),
        "model.imgf.per_channel": (True, None),
        "attack.steps": (2, 3),
        "momentum": (0.9, 0.5),
    }
    assert recipe_diff(str(recipe_file), []) == {}


def test_a_recipe_that_extends_itself_is_refused(recipe_file: Path) -> None:
    a, b = recipe_file.with_name("a.toml"), recipe_file.with_name("b.toml")
    a.write_text(f'extends = "{b}"', encoding="utf-8")
    b.write_text(f'extends = "{a}"', encoding="utf-8")
    with pytest.raises(InvalidParameter, match="extends itself"):
        load_recipe(str(a))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "write key=value"),
        ("epochs=0", "epochs = 0"),
        ("epochs=many", "epochs = 'many'"),
        ("batch_size=1", "batch_size = 1"),
        ("lr=-1", "lr = -1"),
        ("lr=nan", "lr = nan"),
        ("method=cas", "method = 'cas', but model.method = 'cifs'; expected 'cas'"),
        ("method=magic", "unknown method 'magic'.*natural, vanilla, cas, cifs"),
        ("learning_rate=0.1", "learning_rate = 0.1"),
        ("title.x=1", "'title' is no table"),
        ("attack.eps=2", "eps = 2"),
        ("attack.epsilon=0.1", "'epsilon'.*it takes: eps"),
        ("attack.name=deepfool", "'deepfool'.*fgsm, pgd, cw"),
        ("validation_attack.steps=3", "steps = 3"),
        ("schedule=linear", "schedule = 'linear'"),
    ],
)
def test_a_wrong_override_is_named(override: str, message: str, recipe: Load) -> None:
    with pytest.raises(CIFSError, match=message):
        recipe(override)


def test_an_attack_without_a_name_is_refused(recipe_file: Path) -> None:
    recipe_file.write_text(recipe_file.read_text().replace('name = "pgd", ', ""), encoding="utf-8")
    with pytest.raises(InvalidParameter, match="name"):
        load_recipe(str(recipe_file))


def test_noise_without_an_attack_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="noise = 2 goes with an attack, and there is none"):
        load_recipe("cpu/fmnist-resnet10-w16-natural", ["noise=2"])


def test_an_unknown_recipe_is_answered_with_the_nearest_of_the_known_ones() -> None:
    nearest = "did you mean 'cpu/cifar10-resnet18-w16-cas'"
    for wrong in ("cpu/cifar10-resnet18-w16-csa", "cifar10-resnet18-w16-cas"):
        with pytest.raises(
            UnknownName, match=f"unknown recipe '{wrong}'; {nearest}.*{len(recipe_names())} names in all"
        ):
            load_recipe(wrong)
    with pytest.raises(UnknownName, match=f"'cpu/nothing'; choose from {len(recipe_names())} names") as refusal:
        load_recipe("cpu/nothing")
    assert len(str(refusal.value)) < 600
    with pytest.raises(UnknownName):
        load_recipe("../recipes/cpu/fmnist-resnet10-w16-cas")


@pytest.mark.parametrize("content", ["title = ", None])
def test_an_unreadable_recipe_is_a_clear_error(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidParameter, match=r"wrong\.toml' cannot be read"):
        load_recipe(str(path))


def test_the_rate_rises_to_its_peak_and_falls_to_nothing_by_half_a_cosine(recipe: Load) -> None:
    plan = recipe("schedule=one_cycle", "lr=0.4", "warm_up=0.2")
    assert plan.lr_at(0) == 0
    assert plan.lr_at(0.1) == pytest.approx(0.2)
    assert plan.lr_at(0.2) == pytest.approx(0.4)
    assert plan.lr_at(0.4) == pytest.approx(0.4 * math.cos(math.pi / 8) ** 2)  # (1 + cos 2a)/2 = cos² a
    assert plan.lr_at(0.6) == pytest.approx(0.2)
    assert plan.lr_at(1) == pytest.approx(0, abs=1e-9)
    shares = [i / 200 for i in range(201)]
    rates = [plan.lr_at(share) for share in shares]
    assert rates.index(max(rates)) == 40
    assert all(a <= b for a, b in pairwise(rates[:41]))
    assert all(a >= b for a, b in pairwise(rates[40:]))


def test_a_run_others_start_from_ends_at_the_rate_they_go_on_with(recipe: Load) -> None:
    plan = recipe("schedule=one_cycle", "lr=0.4", "warm_up=0.2", "lr_end=0.1")
    assert plan.lr_at(0.2) == pytest.approx(0.4)
    assert plan.lr_at(0.6) == pytest.approx(0.25)  # half way between
    assert plan.lr_at(1) == pytest.approx(0.1)
    rates = [plan.lr_at(0.2 + 0.8 * i / 20) for i in range(21)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("warm_up", [0, 1])
def test_the_rate_is_finite_without_warm_up_and_with_nothing_else(warm_up: int, recipe: Load) -> None:
    plan = recipe(f"warm_up={warm_up}", "lr=0.4")
    assert all(0 <= plan.lr_at(i / 10) <= 0.4 for i in range(11))


def test_the_papers_schedule_falls_tenfold_at_epochs_75_and_90_of_120(recipe: Load) -> None:
    plan = recipe("schedule=multistep", "lr=0.1", "milestones=[0.625, 0.75]")
    rates = [plan.lr_at(epoch / 120) for epoch in (0, 74, 75, 89, 90, 119)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
