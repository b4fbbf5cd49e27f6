"""The recipes that ship say what PAPER.md, sections 4 and 5, and the issue of the zoo say."""

from pathlib import Path

import pytest
import torch

from cifs.data import dataset
from cifs.errors import InvalidParameter
from cifs.models import CNN, build
from cifs.selection import CAS, LinearProbe, MLPProbe
from cifs.training import Recipe, load_recipe, recipe_names

PAPER = [name for name in recipe_names() if name.startswith("paper/")]
TABLE_1 = [
    *(f"paper/cifar10-resnet18-{m}" for m in ("vanilla", "cas", "cifs-softmax")),
    *(f"paper/cifar10-wrn28-10-{m}" for m in ("vanilla", "cas", "cifs-softmax")),
]
FIGURES = [f"paper/cifar10-resnet18-{m}" for m in ("natural", "cifs-sigmoid", "cifs-softplus")]
OTHER_DATA = [
    f"paper/{net}-{m}"
    for net in ("svhn-resnet18", "fmnist-resnet10")
    for m in ("natural", "vanilla", "cas", "cifs-softmax")
]
CPU = [
    *(
        f"cpu/cifar10-resnet18-w16-{m}"
        for m in ("natural", "vanilla", "cas", "cifs-softmax", "cifs-softplus", "cifs-sigmoid")
    ),
    *(f"cpu/cifar10-wrn28-w16-{m}" for m in ("vanilla", "cas", "cifs-softmax")),
    *(f"cpu/cifar10-resnet18-w64-{m}" for m in ("vanilla", "cifs-softmax")),
]


def narrow(recipe: Recipe) -> CNN:
    """The recipe's model, in a tiny width."""
    spec = dataset(recipe.dataset)
    shape = {"in_channels": spec.image_shape[0], "num_classes": len(spec.classes), "image_size": spec.image_shape[1]}
    return build(**{**shape, **recipe.model, "width": 2})


def test_every_row_has_its_recipe() -> None:
    assert {*TABLE_1, *FIGURES, *OTHER_DATA, *CPU} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_s_model_takes_its_data_set_s_images(name: str) -> None:
    recipe = load_recipe(name)
    spec = dataset(recipe.dataset)
    logits, layers = narrow(recipe).eval().trace(torch.rand(2, *spec.image_shape))
    assert logits.shape == (2, len(spec.classes))
    plain = recipe.method == "vanilla" or recipe.model.get("method", "plain") == "plain"
    assert len(layers) == (0 if plain else len(recipe.model.get("sites", ("both", "blocks"))))


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_settings(name: str) -> None:
    recipe = load_recipe(name)
    cas = recipe.method == "cas"
    assert recipe.epochs == (200 if cas else 120)
    assert [share * recipe.epochs for share in recipe.milestones] == pytest.approx([75, 90])
    rates = [recipe.lr_at(epoch / recipe.epochs) for epoch in (0, 74.9, 75, 89.9, 90, recipe.epochs - 1)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert (recipe.momentum, recipe.nesterov, recipe.batch_size) == (0.9, False, 128)
    assert recipe.weight_decay == (1e-4 if cas else 2e-4)
    assert recipe.beta == 2
    assert recipe.precision == "float32"
    model = narrow(recipe)
    assert set(model.mean.flatten().tolist()) == {0}  # inputs in [0, 1], as they are
    assert set(model.std.flatten().tolist()) == {1}
    # The authors minimise CE + β·mean CE(probe) where there are probes.
    assert recipe.loss_scale == (1 + recipe.beta if model.modified else 1)


@pytest.mark.parametrize("name", [name for name in PAPER if not name.endswith("natural")])
def test_the_paper_s_attacks(name: str) -> None:
    recipe = load_recipe(name)
    training, checking = recipe.training_attack, recipe.checking_attack
    assert training is not None
    assert checking is not None
    assert (training.steps, training.random_start, training.loss, training.beta) == (10, True, "ce", 2)
    assert training.alpha == pytest.approx(training.eps / 4)  # 2/255 of 8/255
    assert (checking.steps, checking.random_start, checking.beta) == (20, False, 2)
    assert checking.alpha == pytest.approx(checking.eps / 10)
    assert training.eps == checking.eps == dataset(recipe.dataset).eps


@pytest.mark.parametrize("name", [name for name in PAPER if load_recipe(name).model.get("method") == "cifs"])
def test_the_paper_s_cifs_nets(name: str) -> None:
    recipe = load_recipe(name)
    model = narrow(recipe)
    generated = {"softmax": {"temperature": 1.0}, "softplus": {"alpha": 5.0}, "sigmoid": {"alpha": 10.0}}
    imgf = next(key for key in generated if f"cifs-{key}" in name)
    assert recipe.model["imgf"] == {"name": imgf, **generated[imgf]}
    first, second = (model.selector(layer) for layer in model.modified)
    assert isinstance(first.probe, MLPProbe)
    assert isinstance(second.probe, LinearProbe)
    assert first.probe.hidden.out_features == (240 if "wrn" in name else 128)
    for selector in (first, second):
        assert (selector.k, selector.label_in_training) == (2, True)


@pytest.mark.parametrize("name", [name for name in PAPER if load_recipe(name).method == "cifs"])
def test_cifs_starts_from_the_same_net_trained_naturally(name: str) -> None:
    recipe, start = load_recipe(name), load_recipe(f"{name}-natural")
    assert recipe.init == Path(f"{name}-natural").name  # the id that `cifs train` gives it
    assert start.model == recipe.model
    assert (start.method, start.attack, start.init, start.dataset) == ("natural", None, None, recipe.dataset)


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).method == "cas"])
def test_cas_nets_are_cas(name: str) -> None:
    model = narrow(load_recipe(name))
    assert all(isinstance(model.selector(layer), CAS) for layer in model.modified)


@pytest.mark.parametrize(
    ("name", "arch", "width"),
    [
        ("paper/cifar10-resnet18-cifs-softmax", "resnet18", 64),
        ("paper/cifar10-wrn28-10-cas", "wrn28", 160),
        ("paper/cifar10-wrn28-10-cifs-softmax", "wrn28", 160),
        ("paper/cifar10-wrn28-10-cifs-softmax-natural", "wrn28", 160),
        ("paper/svhn-resnet18-cifs-softmax", "resnet18", 64),
        ("paper/fmnist-resnet10-cas", "resnet10", 64),
        ("cpu/cifar10-resnet18-w16-cifs-sigmoid", "resnet18", 16),
        ("cpu/cifar10-wrn28-w16-cifs-softmax", "wrn28", 16),
        ("cpu/cifar10-resnet18-w64-cifs-softmax", "resnet18", 64),
    ],
)
def test_architecture_and_width_come_down_the_lineage(name: str, arch: str, width: int) -> None:
    model = load_recipe(name).model
    assert (model["arch"], model["width"]) == (arch, width)


@pytest.mark.parametrize("name", OTHER_DATA)
def test_the_other_data_sets_come_down_the_lineage(name: str) -> None:
    recipe = load_recipe(name)
    assert (recipe.dataset, recipe.flip, recipe.padding) == (
        ("svhn", False, 4) if "svhn" in name else ("fashion_mnist", True, 2)
    )


@pytest.mark.parametrize("name", CPU)
def test_the_rows_on_two_cores_share_budget_and_schedule(name: str) -> None:
    recipe = load_recipe(name)
    family = name.removeprefix("cpu/").partition("w16" if "w16" in name else "w64")
    assert (recipe.batch_size, recipe.weight_decay) == (128, 5e-4)
    assert (recipe.schedule, recipe.precision, recipe.loss_scale, recipe.lr_end) == ("one_cycle", "bf16", 1, 0)
    if recipe.method == "natural":
        assert (recipe.epochs, recipe.lr, recipe.init) == (13, 0.2, None)
        return
    if "w64" in name:
        assert (recipe.noise, recipe.ema, recipe.label_smoothing) == (2.0, 0.997, 0.1)
        parts = (("-epoch11", 4, 0.1, 1), ("-epoch10", 1, 0.02, 2), ("-epoch5", 5, 0.1, 1))
        for part, epochs, lr, steps in parts:
            assert recipe.init == f"{name.removeprefix('cpu/')}{part}"
            assert (recipe.epochs, recipe.lr, recipe.keep) == (epochs, lr, "best")
            assert (attack := recipe.training_attack) is not None
            # Before N-FGSM the image moves by noise of the recipe's own.
            assert (attack.steps, attack.eps, attack.random_start) == (steps, 8 / 255, recipe.noise == 0)
            before = load_recipe(f"{name}{part}")
            assert before.model == recipe.model
            recipe = before
    start = load_recipe(f"cpu/{family[0]}{family[1]}-start")
    assert recipe.init == f"{family[0]}{family[1]}-start"
    assert (start.epochs + recipe.epochs, start.lr, start.lr_end) == (
        (13, 0.2, 0.1) if "w16" in name else (5, 0.1, 0.04)
    )
    assert recipe.lr == start.lr_end  # they go on at the rate the start ends with
    assert (start.method, start.keep, start.model) == (
        "vanilla",
        "last",
        {k: recipe.model[k] for k in ("arch", "width")},
    )
    attack = recipe.training_attack
    assert attack == start.training_attack is not None
    assert (attack.steps, attack.random_start) == (1, True)
    assert (attack.eps, attack.alpha) == (8 / 255, 10 / 255)
    if recipe.method == "cifs":
        assert not recipe.model["label_in_training"]
        assert recipe.model["imgf"].get("per_channel", False) == name.endswith("softmax")


def test_on_few_images_the_rows_differ_in_the_method_alone() -> None:
    vanilla, cifs = (load_recipe(f"cpu/cifar10-5k-resnet18-w16-{m}").as_dict() for m in ("vanilla", "cifs-softmax"))
    assert {key for key in vanilla if vanilla[key] != cifs[key]} == {"title", "method", "model"}
    assert cifs["model"] == load_recipe("cpu/cifar10-resnet18-w16-cifs-softmax").model
    assert (cifs["images"], cifs["epochs"]) == (5000, 60)


def test_a_recipe_is_read_once_however_often_it_is_extended(tmp_path: Path) -> None:
    """In a diamond what the left branch changes is not taken back by the right one's parent."""
    texts = {
        "top": 'title = "T"\nmethod = "natural"\ndataset = "svhn"\nmodel = { arch = "wrn16", width = 2 }\nlr = 0.1',
        "left": "extends = '{top}'\nlr = 0.2\nepochs = 1",
        "right": "extends = '{top}'\nepochs = 2",
        "bottom": "extends = ['{left}', '{right}']",
    }
    paths = {name: str(tmp_path / f"{name}.toml") for name in texts}
    for name, text in texts.items():
        Path(paths[name]).write_text(text if name == "top" else text.format(**paths))
    recipe = load_recipe(paths["bottom"])
    assert (recipe.lr, recipe.epochs) == (0.2, 2)


@pytest.mark.parametrize("extends", ["3", "['cpu/fmnist-resnet10-w16-cas', 3]", "{}"])
def test_extends_is_a_name_or_names(extends: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f"extends = {extends}")
    with pytest.raises(InvalidParameter, match="extends = .*: a name, or a list of names"):
        load_recipe(str(path))
