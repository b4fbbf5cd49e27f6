"""Folders of PNG and JPEG files are data sets; what is wrong with one is named with its file."""

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cifs.data import available, dataset, dataset_names, images, load_images
from cifs.data.folder import MOST_PIXELS
from cifs.errors import DataError, UnknownName
from tests.cifs.tiny import npz

SHAPE = (5, 7)  # height, width


def picture(value: int, shape: tuple[int, ...] = (*SHAPE, 3)) -> Image.Image:
    """Pixels that are a function of `value`, so that an image is known by them."""
    return Image.fromarray(np.random.default_rng(value).integers(0, 256, shape, dtype=np.uint8))


def folder(
    root: Path, *, train: int = 10, test: int = 0, classes: Iterable[str] = ("cat", "dog"), top: str = ""
) -> Path:
    """Images of two classes as train/<class>/<i>.png, and as test/<class>/<i>.png where there are any."""
    for split, n in (("train", train), ("test", test)):
        for c, name in enumerate(classes):
            for i in range(n):
                path = root / (top or split) / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture(1000 * c + i + 500 * (split == "test")).save(path)
    return root


def values(name: str, split: str) -> list[bytes]:
    return sorted(image.numpy().tobytes() for image in load_images(name, split).images)  # type: ignore[arg-type]


def pixels(paths: Iterable[Path]) -> list[bytes]:
    return sorted(np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes() for path in paths)


def test_a_folder_with_both_splits_is_read_as_it_stands(data: Path) -> None:
    root = folder(data / "pets", train=6, test=3)
    assert "pets" in dataset_names()
    assert available("pets", "train")
    assert available("pets", "test")
    spec, train = dataset("pets"), load_images("pets", "train")
    assert (spec.classes, spec.image_shape, spec.eps, spec.notes) == (("cat", "dog"), (3, 5, 7), 8 / 255, ())
    assert spec.image_size == [5, 7]
    assert values("pets", "train") == pixels((root / "train").glob("*/*.png"))
    assert values("pets", "test") == pixels((root / "test").glob("*/*.png"))
    for image, label in zip(train.images, train.labels, strict=True):
        of_class = pixels((root / "train" / ("cat", "dog")[int(label)]).glob("*.png"))
        assert image.numpy().tobytes() in of_class
    x = train.images.double() / 255
    assert spec.mean == pytest.approx(x.mean(dim=(0, 2, 3)).tolist(), abs=1e-6)


def test_classes_are_mixed_so_that_the_first_and_the_last_images_are_of_all(data: Path) -> None:
    folder(data / "pets", train=50, test=1)
    labels = load_images("pets", "train").labels
    assert all(len(part.unique()) == 2 for part in labels.split(10))


@pytest.mark.parametrize("top", ["train", "."])
def test_without_a_test_split_a_fifth_of_every_class_is_one_and_it_is_said(top: str, data: Path) -> None:
    root = folder(data / "pets", train=10, top=top)
    train, test = load_images("pets", "train"), load_images("pets", "test")
    assert (train.labels.bincount().tolist(), test.labels.bincount().tolist()) == ([8, 8], [2, 2])
    assert sorted(values("pets", "train") + values("pets", "test")) == pixels(root.rglob("*.png"))
    assert "no test split of its own" in dataset("pets").notes[0]


def test_the_division_is_a_function_of_the_names_alone(data: Path) -> None:
    """Another folder with the same names, written in another order at another time, is divided alike."""
    folder(data / "a", train=10)
    for path in sorted((data / "a").rglob("*.png"), reverse=True):
        copy = data / "b" / path.relative_to(data / "a")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        os.utime(copy, (1, 1))
    for split in ("train", "test"):
        assert torch.equal(load_images("a", split).images, load_images("b", split).images)  # type: ignore[arg-type]
    first = min((data / "a" / "train" / "cat").iterdir(), key=lambda p: sha256(f"cat/{p.name}".encode()).digest())
    assert pixels([first])[0] in values("a", "test")


def test_the_commonest_size_counts_and_how_many_were_changed_is_said(data: Path) -> None:
    root = folder(data / "pets", train=4, test=1)
    Image.new("RGB", (14, 10), (10, 20, 30)).save(root / "train" / "cat" / "large.png")
    assert dataset("pets").image_shape == (3, 5, 7)
    assert dataset("pets").notes == ("images brought to 5 × 7 from another size: 1",)
    flat = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1).expand(3, 5, 7)
    assert any(torch.equal(image, flat) for image in load_images("pets", "train").images)


def test_a_declared_size_title_and_budget_count(data: Path) -> None:
    root = folder(data / "pets", train=4, test=1)
    (root / "dataset.toml").write_text('title = "Pets"\nsize = [40, 64]\neps = "4/255"\n')
    spec = dataset("pets")
    assert (spec.title, spec.image_shape, spec.eps) == ("Pets", (3, 40, 64), 4 / 255)
    (root / "dataset.toml").write_text("size = 8\n")
    os.utime(root / "dataset.toml", (1, 1))
    assert dataset("pets").image_size == 8


def test_grey_images_have_one_channel_unless_one_has_colour(data: Path) -> None:
    root = folder(data / "grey", train=4, test=1)
    for path in root.rglob("*.png"):
        picture(1, SHAPE).save(path)
    assert dataset("grey").image_shape == (1, 5, 7)
    picture(2).save(root / "test" / "cat" / "colour.jpg")
    assert dataset("grey").image_shape == (3, 5, 7)


def test_a_photograph_taken_sideways_is_set_upright(data: Path) -> None:
    root = folder(data / "pets", train=4, test=1)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    lying = picture(3, (7, 5, 3))
    lying.save(root / "test" / "dog" / "lying.png", exif=exif)
    assert np.rot90(np.asarray(lying), -1).transpose(2, 0, 1).tobytes() in values("pets", "test")


def test_files_are_decoded_once_and_again_when_they_change(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(data / "pets", train=6, test=2)
    before = load_images("pets", "train")
    assert load_images("pets", "train") is before
    monkeypatch.setattr("cifs.data.datasets._MEMORY", images.Memory())  # as in another process
    monkeypatch.setattr("cifs.data.folder.decoded", None)
    assert torch.equal(load_images("pets", "train").images, before.images)
    monkeypatch.undo()
    monkeypatch.setenv("CIFS_DATA", str(data))
    picture(77).save(root / "train" / "cat" / "new.png")
    assert len(load_images("pets", "train")) == 13
    assert len(list((data / ".cache" / "pets").iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive"])
def test_a_damaged_cache_is_written_anew(damage: bytes, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(data / "pets", train=6, test=2)
    before = load_images("pets", "train")
    (cache,) = (data / ".cache" / "pets").iterdir()
    whole = cache.read_bytes()
    cache.write_bytes(damage)
    monkeypatch.setattr("cifs.data.datasets._MEMORY", images.Memory())
    assert torch.equal(load_images("pets", "train").images, before.images)
    assert len(cache.read_bytes()) == len(whole)


def test_where_no_cache_can_be_written_the_images_are_read_all_the_same(data: Path) -> None:
    root = folder(data / "pets", train=6, test=2)
    (data / ".cache").write_text("in the way")
    assert len(load_images("pets", "test")) == 4
    assert values("pets", "test") == pixels((root / "test").rglob("*.png"))


def test_a_file_wins_over_a_folder(data: Path) -> None:
    folder(data / "pets", train=6, test=2)
    npz(data, "pets")
    assert len(load_images("pets", "train")) == 96


@pytest.mark.parametrize("name", ["empty", "photos", "one_class", ".hidden"])
def test_a_folder_without_two_classes_is_no_data_set(name: str, data: Path) -> None:
    (data / name / "notes").mkdir(parents=True)
    (data / name / "notes" / "a.txt").write_text("no image")
    if name == "photos":
        picture(0).save(data / name / "a.png")
    if name == "one_class":
        folder(data / name, train=3, classes=["cat"])
    assert name not in dataset_names()
    with pytest.raises(UnknownName):
        dataset(name)


# ---- what is wrong is named -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"GIF89a\x01\x00\x01\x00"])
def test_what_is_no_image_is_named(content: bytes, data: Path) -> None:
    (folder(data / "pets", train=4, test=1) / "train" / "cat" / "odd.png").write_bytes(content)
    with pytest.raises(DataError, match=r"cat/odd\.png is no readable PNG or JPEG"):
        load_images("pets", "train")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_image_cut_short_is_named(suffix: str, data: Path) -> None:
    path = folder(data / "pets", train=4, test=1) / "train" / "cat" / f"cut.{suffix}"
    picture(5, (64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=rf"cat/cut\.{suffix} is no readable PNG or JPEG"):
        load_images("pets", "train")


def test_an_image_of_too_many_pixels_is_named_before_it_is_decoded(data: Path) -> None:
    side = int(MOST_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(folder(data / "pets", train=4, test=1) / "train" / "dog" / "huge.png")
    with pytest.raises(DataError, match=rf"dog/huge\.png is {side} × {side}; at most"):
        load_images("pets", "train")


def test_pixels_of_more_than_eight_bits_are_named(data: Path) -> None:
    deep = Image.fromarray(np.full(SHAPE, 40_000, np.uint16))
    deep.save(folder(data / "pets", train=4, test=1) / "test" / "dog" / "deep.png")
    with pytest.raises(DataError, match=r"dog/deep\.png has pixels of mode 'I;16'; give 8-bit"):
        load_images("pets", "train")


def test_more_than_is_held_in_memory_is_refused_before_it_is_decoded(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(data / "pets", train=4, test=1)
    monkeypatch.setattr(images, "LARGEST", 800)
    with pytest.raises(DataError, match=r"8 × 5 × 7 × 3 bytes are .* declare a smaller size in pets/dataset\.toml"):
        load_images("pets", "train")
    npz(data, "file", size=8)
    with pytest.raises(DataError, match=r"file\.npz: train_images: 96 × 8 × 8 × 3 bytes are .* give fewer images"):
        load_images("file", "train")


def test_other_classes_than_those_of_a_known_data_set_are_named(data: Path) -> None:
    """Labels are places in the sorted names, so a folder must name what the data set's own labels stand for."""
    folder(data / "svhn", train=4, test=1, classes=[str(digit) for digit in range(9)])
    (data / "svhn" / "dataset.toml").write_text("size = 32")
    with pytest.raises(DataError, match="svhn names the classes 0, 1, .* 8; expected 0, 1, .* 8, 9"):
        load_images("svhn", "train")
    folder(data / "svhn", train=4, test=1, classes=["9"])
    assert len(load_images("svhn", "test")) == 10


def test_a_test_class_that_training_does_not_know_is_named(data: Path) -> None:
    folder(folder(data / "pets", train=4, test=1), train=0, test=1, classes=["horse"])
    with pytest.raises(DataError, match="pets/test has a class 'horse' that is none of cat, dog"):
        load_images("pets", "train")


def test_a_class_of_one_image_cannot_be_divided(data: Path) -> None:
    folder(folder(data / "pets", train=4), train=1, classes=["horse"])
    with pytest.raises(DataError, match="class 'horse' has one image; the tests need one as well"):
        load_images("pets", "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [("size = 0", "size"), ("colour = 1", "colour"), ("eps = 2", "eps"), ("size = ", "Invalid value")],
)
def test_a_wrong_declaration_is_named(text: str, message: str, data: Path) -> None:
    (folder(data / "pets", train=4, test=1) / "dataset.toml").write_text(text)
    with pytest.raises(DataError, match=rf"pets/dataset\.toml: .*{message}"):
        load_images("pets", "train")


def test_memory_forgets_what_was_used_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LARGEST", 250)
    memory = images.Memory()
    hundred = images.Images(torch.zeros(1, 1, 10, 10, dtype=torch.uint8), torch.zeros(1))
    for key in "ab":
        memory.remember(key, hundred)
    memory.recall("a")
    memory.remember("c", hundred)
    assert [key for key in "abc" if memory.recall(key) is not None] == ["a", "c"]
