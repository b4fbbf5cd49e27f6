"""Plug-ins: what another installed package registers is everywhere, and one that is broken harms no other."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "plugin_example"


def python(code: str, *arguments: object, path: Path, warnings: str = "error") -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter says that has this folder among its installed packages."""
    environment = os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", warnings, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


# ---- loading, with a registry that needs no torch -------------------------------------------------------------------

HOUSE = """
from cifs.registry import Registry

THINGS = Registry("thing")
THINGS.register("own")(0)
"""
ADDS = "from house import THINGS\nTHINGS.register('{0}')('{0}')\n"
NAMES = "import json; from house import THINGS; print(json.dumps(list(THINGS))); len(THINGS)"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "house.py").write_text(HOUSE)
    return tmp_path


def installed(folder: Path, name: str, module: str) -> None:
    """The least that makes a package with an entry point: its module and its metadata."""
    (folder / f"{name}.py").write_text(module)
    info = folder / f"{name}-0.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.9\n")
    (info / "entry_points.txt").write_text(f"[cifs.plugins]\n{name} = {name}\n")


def test_every_plug_in_is_loaded_once_when_a_registry_is_first_read(house: Path) -> None:
    for name in ("second", "first"):
        installed(house, name, f"print('loading {name}')\n{ADDS.format(name)}")
    done = python(f"import house; print('imported'); {NAMES}; {NAMES}", path=house)
    names = '["own", "first", "second"]'
    assert done.stdout.splitlines() == ["imported", "loading first", "loading second", names, names], done.stderr


def test_a_plug_in_may_read_a_registry_while_it_is_loaded(house: Path) -> None:
    installed(house, "reader", f"from house import THINGS\nassert list(THINGS) == ['own']\n{ADDS.format('mine')}")
    assert json.loads(python(NAMES, path=house).stdout) == ["own", "mine"]


def test_a_broken_plug_in_is_named_with_its_package_and_harms_no_other(house: Path) -> None:
    broken = {
        "absent": ("import a_package_nobody_has\n", "ModuleNotFoundError: No module named 'a_package_nobody_has'"),
        "doubled": (ADDS.format("own"), "ValueError: thing 'own' is registered twice"),
        "faulty": ("1 / 0\n", "ZeroDivisionError: division by zero"),
    }
    for name, (module, _) in broken.items():
        installed(house, name, module)
    installed(house, "whole", ADDS.format("whole"))
    done = python(NAMES, path=house, warnings="default")
    assert json.loads(done.stdout) == ["own", "whole"]
    assert done.stderr.count("PluginWarning") == len(broken)
    for name, (_, said) in broken.items():
        assert f"plug-in '{name}' of {name} 0.9 could not be loaded: {said}" in done.stderr


# ---- the example, as pip installs it --------------------------------------------------------------------------------

USES = """
import importlib, json, pkgutil, sys
from pathlib import Path

import cifs

for module in pkgutil.walk_packages(cifs.__path__, "cifs."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert "cifs_example" not in sys.modules, "importing cifs loaded a plug-in"

import backend.app

from fastapi.testclient import TestClient
from typer.testing import CliRunner

from backend.settings import Settings
from cifs.attacks import ATTACKS
from cifs.channels import RELEVANCES
from cifs.cli import app
from cifs.data import DATASETS
from cifs.evaluation import CHECKS
from cifs.losses import LOSSES
from cifs.methods import METHODS
from cifs.models import MODELS, build
from cifs.selection import IMGFS
from cifs.zoo import Info, Zoo

zoo = Zoo(Path(sys.argv[1]))
model = build("example-cnn", width=4, in_channels=1, image_size=8, num_classes=2, method="cifs",
              imgf={"name": "example-relu", "alpha": 2})
zoo.save("mine", model, Info(title="M", dataset="example-stripes", method="natural"))
given = ["--attack", "example-gentle", "--data", "example-stripes", "--checkpoints", zoo.root]
result = CliRunner().invoke(app, ["attack", "mine", *map(str, given)], env={"COLUMNS": "200"})
assert result.exit_code == 0, result.output

recipe = zoo.root / "trained.toml"
recipe.write_text('''
title = "T"
method = "example-method"
dataset = "example-stripes"
epochs = 1
batch_size = 8
validation = 8
model = { arch = "example-cnn", width = 4, method = "example-method" }
attack = { name = "example-gentle", loss = "example-score" }
''')
places = ["--checkpoints", zoo.root, "--runs", zoo.root.parent / "runs"]
trained = CliRunner().invoke(app, ["train", str(recipe), *map(str, places)])
assert trained.exit_code == 0, trained.output
client = TestClient(backend.app.create_app(Settings(checkpoints=zoo.root, device="cpu")))
print(json.dumps({
    "library": [list(r)[-1] for r in (IMGFS, ATTACKS, RELEVANCES, LOSSES, CHECKS, METHODS, MODELS, DATASETS)],
    "attacked": result.output,
    "trained": [zoo.entry("trained").info.method, (zoo.root / "trained" / "README.md").read_text()],
    "loaded": type(zoo.load("mine").selector("stem").imgf).__name__,
    "served": {kind: {d["name"]: d for d in client.get(f"/{kind}").json()}
               for kind in ("attacks", "imgfs", "relevances", "datasets")},
}))
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What USES says where the example is installed; from a copy, for building leaves files behind."""
    site, source = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("source") / "example"
    shutil.copytree(EXAMPLE, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", site, source], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    done = python(USES, tmp_path_factory.mktemp("zoo"), path=site, warnings="default")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_all_that_the_example_registers_is_in_the_library(example: Any) -> None:
    kinds = ("relu", "gentle", "absolute", "score", "count", "method", "cnn", "stripes")
    assert example["library"] == [f"example-{kind}" for kind in kinds]


@pytest.mark.slow
def test_the_command_line_attacks_by_the_example_on_its_data_and_its_architecture(example: Any) -> None:
    assert "steps 3" in " ".join(example["attacked"].split())
    assert example["loaded"] == "Relu"


@pytest.mark.slow
def test_a_recipe_trains_by_the_example_s_method_attack_and_loss(example: Any) -> None:
    method, card = example["trained"]
    assert method == "example-method"
    assert "adversarially trained by an example" in card


@pytest.mark.slow
def test_rest_serves_the_example_with_the_schema_that_forms_are_made_of(example: Any) -> None:
    served = example["served"]
    assert served["imgfs"]["example-relu"]["title"] == "relu: m_i = max(α g_i, 0)"
    alpha = served["imgfs"]["example-relu"]["parameters"]["properties"]["alpha"]
    assert (alpha["default"], alpha["exclusiveMinimum"], alpha["maximum"]) == (1.0, 0, 100)
    assert served["attacks"]["example-gentle"]["parameters"]["properties"]["steps"]["default"] == 3
    assert "example-absolute" in served["relevances"]
    assert served["datasets"]["example-stripes"]["sizes"] == {"train": 24, "test": 24}
