"""Streaming statistics: the same answer in one batch or many, by the definition, and back from their file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cifs.attacks import PGD, perturb
from cifs.channels import ChannelStatistics, ClassMeans, capture, channel_statistics
from cifs.data import Images
from cifs.errors import CheckpointError, UnknownName
from cifs.models import CNN
from cifs.progress import Progress
from tests.cifs.tiny import K, images, tiny

ATTACK = PGD(eps=0.05, steps=2)


def labelled(n: int = 24) -> Images:
    x, y = images(n, seed=3)
    return Images((x * 255).byte(), y % 4)  # classes 4 to 9 have no images


@pytest.fixture(scope="module")
def model() -> CNN:
    return tiny("cifs")


@pytest.fixture(scope="module")
def statistics(model: CNN) -> ChannelStatistics:
    return channel_statistics(model, [labelled()], ATTACK, dataset="tiny", split="test")


def test_a_class_is_parted_by_what_its_nr_channels_rise_more_than_its_pr_channels() -> None:
    """Two NR channels go from 1 to 3, two PR ones from 3 to 2: 2 − (−1), in units of 2."""
    known = {
        "natural/activation": [1, 3, 1, 3],
        "adversarial/activation": [3, 2, 3, 2],
        "natural/relevance": [-1, 1, 0, 2],
    }
    rows = {f"conv/{key}": np.array([values, [np.nan] * 4], dtype=np.float32) for key, values in known.items()}
    partings = ChannelStatistics(rows, np.array([7, 0]), "tiny", "test", {}).partings("conv")
    assert partings[0] == pytest.approx(1.5)
    assert np.isnan(partings[1])


cuts = st.lists(st.integers(0, 30), max_size=6).map(sorted)


@given(cuts=cuts, seed=st.integers(0, 1000))
def test_class_means_are_the_same_in_any_partition(cuts: list[int], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    rows, labels = torch.randn(30, 5, generator=random), torch.randint(0, 4, (30,), generator=random)
    means = ClassMeans(6)
    for start, end in zip([0, *cuts], [*cuts, 30], strict=True):
        means.add(rows[start:end], labels[start:end])
    for label in range(6):
        chosen = rows[labels == label].double()
        if len(chosen):
            torch.testing.assert_close(means.mean()[label], chosen.mean(dim=0), atol=1e-12, rtol=1e-12)
        else:
            assert means.mean()[label].isnan().all()
    assert means.counts.tolist() == [int((labels == label).sum()) for label in range(6)]


def test_class_means_do_not_lose_small_values_among_many_large_ones() -> None:
    means = ClassMeans(1)
    means.add(torch.tensor([[2.0**24]]), torch.tensor([0]))
    for _ in range(100):
        means.add(torch.ones(100, 1), torch.zeros(100, dtype=torch.long))
    assert float(means.mean()[0, 0]) == pytest.approx((2.0**24 + 10_000) / 10_001, rel=1e-12)


@pytest.mark.parametrize("size", [1, 5, 23])
def test_channel_statistics_are_the_same_in_one_batch_or_many(
    model: CNN, statistics: ChannelStatistics, size: int
) -> None:
    reported: list[Progress] = []
    parts = (labelled()[index] for index in torch.arange(24).split(size))
    found = channel_statistics(model, parts, ATTACK, dataset="tiny", split="test", total=24, report=reported.append)
    assert [*dict.fromkeys(progress.done for progress in reported)] == [*range(0, 24, size), 24]
    assert {progress.total for progress in reported} == {24}
    assert (found.counts == statistics.counts).all()
    assert found.arrays.keys() == statistics.arrays.keys()
    for key, array in statistics.arrays.items():
        np.testing.assert_allclose(found.arrays[key], array, atol=1e-4, rtol=1e-4, err_msg=key)


def test_channel_statistics_are_means_over_the_images_of_a_class(model: CNN, statistics: ChannelStatistics) -> None:
    """Every quantity at a modified layer, an image at a time."""
    x, y = labelled().batch(slice(None))
    for inputs, data in (("natural", x), ("adversarial", perturb(model, x, y, ATTACK))):
        for layer in ("stem", "layer4.0"):
            with torch.no_grad(), capture(model, layer) as captured:
                traced = model.trace(data)
            a = captured.features.flatten(2).sum(dim=2).numpy() / captured.features[0, 0].numel()
            for label in range(4):
                chosen = [i for i in range(24) if int(y[i]) == label]
                found = statistics.of(layer, inputs, label)
                np.testing.assert_allclose(found["activation"], np.mean([a[i] for i in chosen], axis=0), atol=1e-5)
                frequency = np.mean([[value > max(a[i]) / 100 for value in a[i]] for i in chosen], axis=0)
                np.testing.assert_allclose(found["frequency"], frequency, atol=1e-6)
                if layer == "stem":
                    assert set(found) == {"activation", "frequency", "relevance"}
                    continue
                m = traced.layers[layer].importance.detach().numpy()
                z = traced.layers[layer].selected.detach().flatten(2).mean(dim=2).numpy()
                np.testing.assert_allclose(found["importance"], np.mean([m[i] for i in chosen], axis=0), atol=1e-5)
                np.testing.assert_allclose(found["selected"], np.mean([z[i] for i in chosen], axis=0), atol=1e-5)


def test_relevance_at_the_penultimate_layer_is_the_weight_row_of_the_class() -> None:
    model = tiny()
    found = channel_statistics(model, [labelled()], ATTACK, dataset="tiny", split="test")
    for label in range(4):
        for inputs in ("natural", "adversarial"):
            row = found.of("layer4.0", inputs, label)["relevance"]
            np.testing.assert_allclose(row, model.fc.weight[label].detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("label", [None, 0, 3])
def test_the_shift_at_the_penultimate_layer_is_told_by_the_weight_row(label: int | None) -> None:
    model = tiny()
    x, y = labelled().batch(slice(None))
    found = channel_statistics(model, [labelled()[:10], labelled()[10:]], ATTACK, dataset="tiny", split="test")
    a = []
    for data in (x, perturb(model, x, y, ATTACK)):
        with torch.no_grad(), capture(model, "layer4.0") as captured:
            model(data)
        a.append(captured.features.mean(dim=(2, 3)))
    pr = model.fc.weight[y] > 0
    nr_shifts, pr_shifts = [], []
    for i in range(24):
        if label is None or y[i] == label:
            grown = a[1][i] - a[0][i]
            nr_shifts.append(float(grown[~pr[i]].mean()))
            pr_shifts.append(-float(grown[pr[i]].mean()))
    shift = found.shift("layer4.0", label)
    assert shift is not None
    assert shift.mean_activation == pytest.approx(float(a[0].mean()), rel=1e-5)
    for estimate, expected in ((shift.nr_over_activation, nr_shifts), (shift.pr_under_activation, pr_shifts)):
        assert estimate is not None
        assert estimate.n == len(expected)
        assert estimate.mean == pytest.approx(np.mean(expected), abs=1e-5)


def test_a_class_without_images_has_no_shift(statistics: ChannelStatistics) -> None:
    shift = statistics.shift("layer4.0", K - 1)
    assert shift is not None
    assert (shift.nr_over_activation, shift.pr_under_activation) == (None, None)


def test_a_file_of_before_the_shift_was_kept_still_loads(statistics: ChannelStatistics, tmp_path: Path) -> None:
    path = tmp_path / "old.npz"
    replace(statistics, labels=None, shifts=None).save(path)
    with np.load(path) as file:
        assert not {"labels", "shifts"} & set(file.files)
    back = ChannelStatistics.load(path)
    assert back.shift("layer4.0") is None
    assert back.arrays.keys() == statistics.arrays.keys()


def test_statistics_come_back_from_their_file(statistics: ChannelStatistics, tmp_path: Path) -> None:
    path = tmp_path / "m" / "channel_statistics.npz"
    statistics.save(path)
    back = ChannelStatistics.load(path)
    assert (back.dataset, back.split, back.attack) == ("tiny", "test", ATTACK.resolved())
    assert back.layers == statistics.layers == ("stem", "layer1.0", "layer2.0", "layer3.0", "layer4.0")
    assert back.counts.tolist() == statistics.counts.tolist()
    assert back.counts.tolist()[4:] == [0] * (K - 4)
    assert back.arrays.keys() == statistics.arrays.keys()
    for key, array in statistics.arrays.items():
        np.testing.assert_array_equal(back.arrays[key], array)
    assert back.shift("layer2.0", 1) == statistics.shift("layer2.0", 1)
    assert list(path.parent.iterdir()) == [path]


def test_an_unknown_layer_or_class_is_refused(statistics: ChannelStatistics) -> None:
    for ask in (lambda: statistics.of("layer9", "natural", 0), lambda: statistics.shift("layer9")):
        with pytest.raises(UnknownName, match=r"'layer9'.*layer4\.0"):
            ask()
    for label in (-1, K):
        with pytest.raises(UnknownName, match=f"class {label}"):
            statistics.of("stem", "natural", label)
        with pytest.raises(UnknownName, match=f"class {label}"):
            statistics.shift("stem", label)


def foreign(path: Path) -> None:
    np.savez(path, weights=np.zeros(3))


def about_nothing(path: Path) -> None:
    np.savez(path, counts=np.zeros(3), about=np.array("[]"))


def pickled(path: Path) -> None:
    np.savez(path, counts=np.array([object()]), about=np.array("{}"))


def bare_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


WRONG = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a zip"),
    "foreign": foreign,
    "about nothing": about_nothing,
    "pickled": pickled,
    "bare array": bare_array,
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_is_a_clear_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m" / "channel_statistics.npz"
    path.parent.mkdir()
    WRONG[kind](path)
    with pytest.raises(CheckpointError, match=r"m/channel_statistics\.npz"):
        ChannelStatistics.load(path)


def test_a_file_damaged_anywhere_is_a_clear_error_or_still_whole(statistics: ChannelStatistics, tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    statistics.save(path)
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), len(whole) // 150):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            ChannelStatistics.load(path)
        except CheckpointError:
            refused += 1
    assert refused > 50
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError):
        ChannelStatistics.load(path)
