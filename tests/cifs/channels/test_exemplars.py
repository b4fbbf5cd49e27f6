"""Exemplars against sorting everything at once; nearest channels against numpy's correlation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cifs.attacks import PGD, perturb
from cifs.channels import RELEVANCES, view
from cifs.channels.exemplars import NEAREST, TOP, Exemplars, exemplars
from cifs.data import Images
from cifs.errors import CheckpointError, InvalidParameter, UnknownName
from cifs.precision import Precision
from cifs.progress import Cancelled, Progress
from tests.cifs.tiny import K, tiny

N = 60


def data(n: int = N) -> Images:
    random = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (n, 3, 8, 8), generator=random, dtype=torch.uint8)
    return Images(pixels, torch.randint(K, (n,), generator=random))


@pytest.fixture(scope="module")
def found() -> Exemplars:
    images = data()
    return exemplars(tiny("cifs"), [images[:25], images[25:26], images[26:]], dataset="tiny", split="test")


@pytest.mark.parametrize("layer", ["stem", "layer3.0", "layer4.0"])
def test_exemplars_are_the_best_of_all_images(found: Exemplars, layer: str) -> None:
    model, (x, y) = tiny("cifs"), data().batch(slice(None))
    seen = view(model, layer, x, relevance=RELEVANCES["true"](), classes=y)
    for ranking, values in (("activation", seen.activation), ("relevance", seen.relevance * seen.activation)):
        for channel in range(values.shape[1]):
            page = found.page(layer, channel)
            best = values[:, channel].sort(descending=True).values[:TOP]
            assert page.values[ranking] == pytest.approx(best.tolist(), abs=1e-5)
            shown = values[page.images[ranking], channel]
            torch.testing.assert_close(shown, best, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layer", ["stem", "layer4.0"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_attacked_exemplars_are_the_best_of_all_attacked_images(layer: str, precision: Precision) -> None:
    """Attacked all at once and sorted, against a stream of batches that keeps twelve."""
    model, images, attack = tiny("cifs"), data(), PGD(eps=0.05, steps=3)
    cut = [images[:25], images[25:26], images[26:]]
    batches = cut if precision == "float32" else [images]  # a step in bf16 depends on the size of the batch
    found = exemplars(model, batches, dataset="tiny", split="test", attack=attack, precision=precision)
    assert found.attack == attack.resolved()
    x, y = images.batch(slice(None))
    x_adv = perturb(model, x, y, attack, precision=precision)
    seen = view(model, layer, x_adv, relevance=RELEVANCES["true"](), classes=y)
    natural = view(model, layer, x, relevance=RELEVANCES["true"](), classes=y)
    assert not torch.allclose(seen.activation, natural.activation, atol=1e-3)
    for ranking, values in (("activation", seen.activation), ("relevance", seen.relevance * seen.activation)):
        for channel in range(values.shape[1]):
            page = found.page(layer, channel)
            best = values[:, channel].sort(descending=True).values[:TOP]
            assert page.attacked_values[ranking] == pytest.approx(best.tolist(), abs=1e-4)
            torch.testing.assert_close(values[page.attacked_images[ranking], channel], best, atol=1e-4, rtol=1e-3)


def test_without_an_attack_there_are_no_attacked_exemplars(found: Exemplars) -> None:
    page = found.page("layer3.0", 2)
    assert (page.attacked_images, page.attacked_values, found.attack) == ({}, {}, None)


def test_profiles_are_means_by_class(found: Exemplars) -> None:
    model, (x, y) = tiny("cifs"), data().batch(slice(None))
    seen = view(model, "layer3.0", x, relevance=RELEVANCES["true"](), classes=y)
    page = found.page("layer3.0", 5)
    for k in range(K):
        if (y == k).any():
            assert page.activation[k] == pytest.approx(float(seen.activation[y == k, 5].mean()), abs=1e-5)
            assert page.relevance[k] == pytest.approx(float(seen.relevance[y == k, 5].mean()), abs=1e-4)
    assert found.counts.sum() == N


def test_before_a_linear_head_the_weight_in_each_class_is_the_heads() -> None:
    model = tiny()
    found = exemplars(model, [data()], dataset="tiny", split="test")
    weight = model.fc.weight.detach()[:, 7].numpy()
    mean = found.page("layer4.0", 7).relevance
    seen = found.counts > 0
    np.testing.assert_allclose(mean[seen], weight[seen], atol=1e-5)


def test_the_nearest_channels_are_those_of_the_highest_correlation(found: Exemplars) -> None:
    model, (x, _) = tiny("cifs"), data().batch(slice(None))
    a = view(model, "layer3.0", x, relevance=RELEVANCES["true"]()).activation.double().numpy()
    constant = a.std(axis=0) < 1e-9
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(np.corrcoef(a.T))
    for channel in np.flatnonzero(~constant):
        page = found.page("layer3.0", int(channel))
        others = np.delete(expected[channel], channel)
        assert page.correlation == pytest.approx(sorted(others, reverse=True)[:NEAREST], abs=1e-4)
        assert [expected[channel, k] for k in page.nearest] == pytest.approx(page.correlation, abs=1e-4)
        assert channel not in page.nearest


def test_however_the_images_are_cut_into_batches_the_exemplars_are_the_same(found: Exemplars) -> None:
    again = exemplars(tiny("cifs"), [data()], dataset="tiny", split="test")
    for key, array in found.arrays.items():
        np.testing.assert_allclose(array, again.arrays[key], atol=1e-4)


def test_of_fewer_images_than_are_shown_all_are_shown() -> None:
    few = exemplars(tiny(), [data(3)], dataset="tiny", split="test").page("layer4.0", 0)
    assert sorted(few.images["activation"]) == [0, 1, 2]


def test_saved_and_read_again_they_are_the_same(found: Exemplars, tmp_path: Path) -> None:
    found = replace(found, attack=PGD(eps=0.05).resolved())
    found.save(tmp_path / "exemplars.npz")
    again = Exemplars.load(tmp_path / "exemplars.npz")
    assert (again.layers, again.dataset, again.split) == (found.layers, "tiny", "test")
    assert again.attack == found.attack
    assert again.page("layer3.0", 2).images == found.page("layer3.0", 2).images


def test_what_is_not_there_is_refused(found: Exemplars, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="'layer7'"):
        found.page("layer7", 0)
    with pytest.raises(UnknownName, match="0 to 31"):
        found.page("layer4.0", 32)
    (tmp_path / "exemplars.npz").write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match="no exemplars"):
        Exemplars.load(tmp_path / "exemplars.npz")
    with pytest.raises(InvalidParameter, match="no images"):
        exemplars(tiny(), [], dataset="tiny", split="test")


def test_the_stream_can_be_stopped() -> None:
    def report(progress: Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        exemplars(tiny(), [data()], dataset="tiny", split="test", report=report)
