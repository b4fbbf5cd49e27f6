"""The embedded models are what their evaluation.json says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cifs.attacks import ATTACKS, PGD, survives
from cifs.channels import ChannelStatistics
from cifs.data import available, load_images
from cifs.evaluation import COLUMNS, TABLE, settings_to_try, unpack, wilson
from cifs.registry import configure
from cifs.zoo import Zoo

ZOO = Zoo(Path(__file__).parents[2] / "checkpoints")
EVALUATED = [model_id for model_id in ZOO.ids() if ZOO.entry(model_id).evaluation_path.exists()]
NATURAL = [model_id for model_id in ZOO.ids() if ZOO.entry(model_id).info.method == "natural"]
WITH_STATISTICS = [model_id for model_id in ZOO.ids() if ZOO.entry(model_id).statistics_path.exists()]


def evaluation(model_id: str) -> dict[str, Any]:
    found = ZOO.entry(model_id).evaluation()
    assert found is not None
    return found.as_json()


def images(model_id: str, n: int) -> tuple[Tensor, Tensor]:
    """The first test images of the model's data set. CIFAR-10 is not embedded; with $CIFS_DATA it is there."""
    name = {"fashion_mnist": "fashion_mnist_mini"}.get(ZOO.entry(model_id).info.dataset, "cifar10")
    if not available(name):
        pytest.skip(f"{name} is not on this machine")
    return load_images(name, "test").batch(slice(0, n))


def agreement(model_id: str, key: str, n: int) -> float:
    """Share of the first n test images, of those it was measured on, on which the cell is what is measured now."""
    cell = evaluation(model_id)["cells"][key]
    n = min(n, cell["n"])
    model, (x, y) = ZOO.load(model_id), images(model_id, n)
    if cell["settings"] is None:
        with torch.no_grad():
            robust = torch.cat([model(part).argmax(dim=1) for part in x.split(500)]) == y
    else:
        settings = dict(cell["settings"])
        attack = configure(ATTACKS, settings.pop("name"), settings)
        robust = survives(model, x.to(memory_format=torch.channels_last), y, attack, precision="bf16")
    return float((robust == unpack(cell["robust"], cell["n"])[:n]).float().mean())


def test_there_is_a_natural_model_to_be_fooled() -> None:
    assert NATURAL


@pytest.mark.parametrize("model_id", EVALUATED)
def test_an_evaluation_is_of_these_weights(model_id: str) -> None:
    found = evaluation(model_id)
    assert found["weights"] == ZOO.entry(model_id).digests()["weights"]
    assert found["model"] == model_id
    assert (found["dataset"], found["split"]) == (ZOO.entry(model_id).info.dataset, "test")
    assert set(found["cells"]) >= set(TABLE)


@pytest.mark.parametrize("model_id", EVALUATED)
def test_an_evaluation_fits_together(model_id: str) -> None:
    found = evaluation(model_id)
    cells = found["cells"]
    for key, cell in cells.items():
        standing = unpack(cell["robust"], cell["n"])
        assert cell["correct"] == int(standing.sum())
        assert cell["accuracy"] == cell["correct"] / cell["n"]
        assert (cell["low"], cell["high"]) == pytest.approx(wilson(cell["correct"], cell["n"]))
        if key == "autoattack":
            assert not (standing & ~unpack(cells["worst"]["robust"], found["n"])[: cell["n"]]).any()
            continue
        if key == "verdict":
            both = min(cell["n"], found["n"])  # images that were swept and judged
            swept = unpack(cells["worst"]["robust"], found["n"])[:both]
            assert (standing[:both] & ~swept).sum() <= 0.003 * both  # images the table fools and the verdict does not
            continue
        assert cell["n"] == found["n"]
        assert len(cell["by_class"]) == len(found["class_counts"])
        assert sum(cell["by_class"]) == cell["correct"]
        assert not (unpack(cells["worst"]["robust"], cell["n"]) & ~standing).any(), key
        swept = [entry for entry in found["sweep"] if entry["column"] == key and entry["n"] == cell["n"]]
        if swept:
            assert cell["accuracy"] == min(entry["accuracy"] for entry in swept)
            assert sum(entry["counted"] for entry in swept) == 1
    attacks = {key: cell["accuracy"] for key, cell in cells.items() if COLUMNS[key].attack is not None}
    assert attacks[found["strongest"]] == min(attacks.values())
    assert cells["natural"]["accuracy"] >= max(attacks.values())


@pytest.mark.parametrize("model_id", EVALUATED)
def test_every_setting_of_the_sweep_was_tried(model_id: str) -> None:
    found, model = evaluation(model_id), ZOO.load(model_id)
    for key in ("fgsm", "pgd20", "cw"):
        attack = COLUMNS[key].attack
        assert attack is not None
        norm = {"norm": "linf"}  # which files of earlier versions do not say
        tried = [norm | entry["settings"] for entry in found["sweep"] if entry["column"] == key]
        expected = [settings.resolved() for settings in settings_to_try(model, attack(found["eps"]))]
        assert tried == (expected if len(expected) > 1 else [])
        assert norm | found["cells"][key]["settings"] in expected


@pytest.mark.slow
@pytest.mark.parametrize("model_id", EVALUATED)
def test_natural_accuracy_is_reproduced_image_by_image(model_id: str) -> None:
    """The embedded test images are the first 2,000 of the 10,000."""
    assert agreement(model_id, "natural", 2000) >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize("model_id", EVALUATED)
def test_robustness_is_reproduced_image_by_image(model_id: str) -> None:
    """Of the counted setting; another machine's bf16 may decide a few images differently."""
    assert agreement(model_id, "pgd20", 100) >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("model_id", NATURAL)
def test_the_natural_model_falls_under_pgd20(model_id: str) -> None:
    model, (x, y) = ZOO.load(model_id), images(model_id, 200)
    eps = evaluation(model_id)["eps"]
    assert survives(model, x, y, PGD(eps=eps, steps=20)).float().mean() <= 0.01
    with torch.no_grad():
        assert (model(x).argmax(dim=1) == y).float().mean() > 0.8


@pytest.mark.parametrize("model_id", [model_id for model_id in EVALUATED if model_id not in NATURAL])
def test_robust_models_stay_far_above_the_natural_one(model_id: str) -> None:
    data = ZOO.entry(model_id).info.dataset
    natural = next(evaluation(i)["cells"]["pgd20"]["accuracy"] for i in NATURAL if ZOO.entry(i).info.dataset == data)
    assert natural <= 0.01
    assert evaluation(model_id)["cells"]["pgd20"]["accuracy"] > natural + 0.3


@pytest.mark.parametrize("model_id", WITH_STATISTICS)
def test_channel_statistics_are_of_these_weights(model_id: str) -> None:
    """At the penultimate layer of an unmodified model, relevance is the weight row of the class."""
    model, found = ZOO.load(model_id), ChannelStatistics.load(ZOO.entry(model_id).statistics_path)
    assert found.layers == model.layers
    assert (found.counts > 0).all()
    if model.modified:
        weights = {layer: model.selector(layer).probe for layer in model.modified}
        assert all(f"{layer}/natural/importance" in found.arrays for layer in weights)
        return
    for inputs in ("natural", "adversarial"):
        np.testing.assert_allclose(
            found.arrays[f"{model.layers[-1]}/{inputs}/relevance"], model.fc.weight.detach(), atol=1e-5
        )


@pytest.mark.parametrize("model_id", ZOO.ids())
def test_a_card_speaks_of_the_figures_of_its_evaluation(model_id: str) -> None:
    entry = ZOO.entry(model_id)
    text = (entry.folder / "README.md").read_text(encoding="utf-8")
    assert entry.info.title in text
    found = entry.evaluation()
    for key, cell in (found.cells if found else {}).items():
        assert f"| {COLUMNS[key].title} | {100 * cell.accuracy:.2f} |" in text
