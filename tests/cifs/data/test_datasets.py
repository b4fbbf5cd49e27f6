"""Data sets: the embedded one is Fashion-MNIST, local files win, and every malformed file is a clear error."""

import gzip
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cifs.data import DATASETS, Images, available, data_dir, dataset, dataset_names, from_arrays, load_images
from cifs.errors import CIFSError, DataError, UnknownName
from tests.cifs.tiny import npz

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("split", "images", "labels", "first"),
    [
        ("train", "31af13ab3663fb9e", "efe2b571641c24fa", [9, 0, 0, 3, 0]),
        ("test", "09bbac78738f0229", "a86243d2b2400909", [9, 2, 1, 1, 6]),
    ],
)
def test_the_embedded_images_stay_the_same(split: Any, images: str, labels: str, first: list[int]) -> None:
    """SHA-256 of the bytes; the first labels are those of Fashion-MNIST's own files."""
    found = load_images("fashion_mnist_mini", split)
    assert found.images.shape == (2000, 1, 28, 28)
    assert found.images.dtype == torch.uint8
    assert hashlib.sha256(found.images.numpy().tobytes()).hexdigest().startswith(images)
    assert hashlib.sha256(found.labels.to(torch.uint8).numpy().tobytes()).hexdigest().startswith(labels)
    assert found.labels[:5].tolist() == first
    assert found.labels.unique().tolist() == list(range(10))


@pytest.mark.usefixtures("data")
@pytest.mark.skipif(not DEBIAN.exists(), reason="Debian's package dataset-fashion-mnist is not installed")
@pytest.mark.parametrize(("split", "stem", "n"), [("train", "train", 60_000), ("test", "t10k", 10_000)])
def test_fashion_mnist_and_its_embedded_part_are_debians(split: Any, stem: str, n: int) -> None:
    with gzip.open(DEBIAN / f"{stem}-images-idx3-ubyte.gz") as file:
        raw = file.read()
    whole, mini = load_images("fashion_mnist", split), load_images("fashion_mnist_mini", split)
    assert [int.from_bytes(raw[i : i + 4], "big") for i in (4, 8, 12)] == [n, 28, 28]
    assert whole.images.numpy().tobytes() == raw[16:]
    assert mini.images.numpy().tobytes() == raw[16 : 16 + 2000 * 784]
    assert torch.equal(mini.labels, whole.labels[:2000])


@pytest.mark.usefixtures("data")
def test_the_drawings_stay_the_same_and_have_every_class_as_often() -> None:
    found = load_images("cifar10_drawn", "test")
    assert found.images.shape == (80, 3, 32, 32)
    assert found.labels.tolist() == 8 * list(range(10))
    assert hashlib.sha256(found.images.numpy().tobytes()).hexdigest().startswith("3c04fa4d018d58ae")
    assert dataset("cifar10_drawn").classes == dataset("cifar10").classes
    assert not available("cifar10_drawn", "train")
    with pytest.raises(DataError, match="'cifar10_drawn' has test images alone"):
        load_images("cifar10_drawn", "train")


@pytest.mark.parametrize("name", DATASETS)
def test_what_is_known_of_a_data_set_fits_together(name: str) -> None:
    spec = dataset(name)
    channels, height, width = spec.image_shape
    assert spec.name == name
    assert len(spec.mean) == len(spec.std) == channels
    assert height == width
    assert len(set(spec.classes)) == len(spec.classes) == {"cifar100": 100}.get(name, 10)
    assert 0 < spec.eps < 0.5


@pytest.mark.usefixtures("data")
def test_the_normalisation_of_fashion_mnist_is_that_of_its_images() -> None:
    x, _ = load_images("fashion_mnist_mini", "train").batch(slice(None))
    spec = dataset("fashion_mnist_mini")
    assert float(x.mean()) == pytest.approx(spec.mean[0], abs=0.01)
    assert float(x.std()) == pytest.approx(spec.std[0], abs=0.01)


def test_a_batch_is_floats_from_0_to_1_and_its_labels() -> None:
    images = Images(torch.arange(0, 256, dtype=torch.uint8).view(4, 1, 8, 8), torch.arange(4))
    x, y = images.batch(torch.tensor([3, 0]))
    assert x.dtype == torch.float32
    assert float(x.max()) == 1.0
    assert float(x.min()) == 0.0
    torch.testing.assert_close(x[1].flatten(), torch.arange(64) / 255)
    assert y.tolist() == [3, 0]
    assert len(images[1:]) == 3


def test_from_arrays_moves_channels_first() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    found = from_arrays(pixels, np.array([[1], [0]], np.uint8))
    assert found.images.shape == (2, 3, 4, 5)
    assert all(found.images[i, c, h, w] == pixels[i, h, w, c] for i, h, w, c in np.ndindex(2, 4, 5, 3))
    assert found.labels.tolist() == [1, 0]


# ---- $CIFS_DATA -----------------------------------------------------------------------------------------------------


def test_a_file_in_cifs_data_is_a_data_set(data: Path) -> None:
    npz(data, "mine")
    assert dataset_names() == (*DATASETS, "mine")
    assert available("mine")
    spec, images = dataset("mine"), load_images("mine", "train")
    with np.load(data / "mine.npz") as file:
        pixels = file["train_images"] / 255
        np.testing.assert_array_equal(images.images.permute(0, 2, 3, 1).numpy(), file["train_images"])
        np.testing.assert_array_equal(images.labels.numpy(), file["train_labels"])
    assert spec.image_shape == (3, 8, 8)
    assert spec.classes == ("class 0", "class 1", "class 2")
    np.testing.assert_allclose(spec.mean, pixels.mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(spec.std, pixels.std(axis=(0, 1, 2)), rtol=1e-3)
    assert len(load_images("mine", "test")) == 12


def test_a_file_may_name_its_classes(data: Path) -> None:
    npz(data, "mine", class_names=np.array(["dark", "grey", "light"]))
    assert dataset("mine").classes == ("dark", "grey", "light")


def test_images_may_be_grey_and_labels_a_column(data: Path) -> None:
    npz(data, "grey", train_images=np.zeros((6, 8, 8), np.uint8), train_labels=np.arange(6)[:, None] % 3)
    assert load_images("grey", "train").images.shape == (6, 1, 8, 8)
    assert load_images("grey", "train").labels.shape == (6,)


def test_cifs_data_wins_over_the_embedded_images_and_over_a_download(data: Path) -> None:
    white = np.full((2, 28, 28), 255, np.uint8)
    npz(data, "fashion_mnist_mini", test_images=white, test_labels=np.array([1, 2]))
    assert (load_images("fashion_mnist_mini", "test").images == 255).all()
    assert not available("cifar10")
    npz(data, "cifar10", test_images=np.zeros((2, 32, 32, 3), np.uint8), test_labels=np.array([1, 2]))
    assert available("cifar10")
    assert len(load_images("cifar10", "test")) == 2


def test_cifs_data_is_the_folder_the_environment_names(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_dir() == data
    monkeypatch.delenv("CIFS_DATA")
    assert data_dir().is_relative_to(Path.home() / ".cache")


@pytest.mark.parametrize("name", ["nothing", "../secret", "a/b", "/etc/passwd", "", ".", "mine.npz", "a b"])
def test_an_unknown_name_never_reaches_the_file_system(name: str, data: Path) -> None:
    npz(data.parent, "secret")
    npz(data, "a b")
    with pytest.raises(UnknownName, match="choose from: fashion_mnist_mini"):
        load_images(name, "test")


@pytest.mark.usefixtures("data")
def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(UnknownName, match="'validation'.*train, test"):
        load_images("fashion_mnist_mini", "validation")  # type: ignore[arg-type]


# ---- malformed files ------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no images": ({"train_images": None}, "has no train_images; it has train_labels, test_images, test_labels"),
    "no labels": ({"train_labels": None}, "has no train_labels"),
    "floats": ({"train_images": np.zeros((96, 8, 8))}, r"train_images is float64 \(96, 8, 8\), expected uint8"),
    "flat": ({"train_images": np.zeros((96, 64), np.uint8)}, r"uint8 \(96, 64\), expected uint8 \(N, H, W\)"),
    "channels": ({"train_images": np.zeros((96, 8, 8, 4), np.uint8)}, "has 4 channels, expected 1 or 3"),
    "few labels": ({"train_labels": np.arange(95)}, r"train_labels is int64 \(95,\), expected 96 class indices"),
    "float labels": ({"train_labels": np.zeros(96)}, "train_labels is float64"),
    "negative label": ({"train_labels": np.arange(96) - 1}, "expected 96 class indices"),
    "no image": ({"train_images": np.zeros((0, 8, 8), np.uint8), "train_labels": np.zeros(0, int)}, "holds no image"),
    "pickled labels": ({"train_labels": np.array([object()] * 96)}, "no readable .npz.*allow_pickle"),
    "pickled names": ({"class_names": np.array(["a", None, "c"], object)}, "class_names is no array of strings"),
    "few names": ({"class_names": np.array(["a", "b"])}, "2 class_names, but labels up to 2"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_malformed_file_is_a_clear_error(kind: str, data: Path) -> None:
    changed, message = WRONG[kind]
    npz(data, "wrong", **changed)
    with pytest.raises(DataError, match=rf"wrong\.npz.*{message}|wrong\.npz {message}"):
        load_images("wrong", "train")


def test_a_test_label_beyond_the_classes_is_a_clear_error(data: Path) -> None:
    npz(data, "wrong", test_labels=np.arange(12))
    with pytest.raises(DataError, match="test label 11, expected 0 to 2"):
        load_images("wrong", "test")


def test_images_of_another_size_than_known_are_a_clear_error(data: Path) -> None:
    npz(data, "cifar10")
    with pytest.raises(DataError, match=r"images of \(3, 8, 8\), expected \(3, 32, 32\)"):
        load_images("cifar10", "test")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x04\x95"])
def test_what_is_no_npz_is_a_clear_error(content: bytes, data: Path) -> None:
    (data / "wrong.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"wrong\.npz"):
        load_images("wrong", "train")


def test_a_bare_array_is_a_clear_error(data: Path) -> None:
    with (data / "wrong.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=r"wrong\.npz"):
        load_images("wrong", "train")


def test_a_file_damaged_anywhere_is_a_clear_error_or_still_readable(data: Path) -> None:
    path = npz(data, "wrong", train=8, test=4)
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 11):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        os.utime(path, ns=(place, place))  # a clock is too coarse for so quick a change
        try:
            load_images("wrong", "train")
        except CIFSError:
            refused += 1
    assert refused > 20


def test_a_failed_download_says_where_to_put_the_file(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFS_DATA", "/dev/null/nowhere")  # so that nothing can be written, and nothing is fetched
    with pytest.raises(DataError, match=r"'svhn' could not be downloaded.*put svhn\.npz into \$CIFS_DATA"):
        load_images("svhn", "test")


def test_another_folder_or_another_file_brings_other_images(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npz(data, "here", train=8, test=4)
    before = load_images("here", "test")
    assert load_images("here", "test") is before  # read once
    npz(data, "here", train=8, test=6)
    os.utime(path, ns=(1, 1))
    assert len(load_images("here", "test")) == 6
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("CIFS_DATA", str(tmp_path / "other"))
    with pytest.raises(UnknownName):
        load_images("here", "test")
    npz(tmp_path / "other", "here", train=8, test=5)
    assert len(load_images("here", "test")) == 5
