"""Files a person brings: what is usable is taken, and each of the others is told why it is not."""

import base64
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from frontend.batch import LARGEST_FILE, MOST, label_of, read

CLASSES = ["T-shirt/top", "Trouser", "Ankle boot"]


def picture(kind: str = "PNG", size: tuple[int, int] = (9, 7), level: int = 120) -> bytes:
    out = io.BytesIO()
    Image.new("L", size, level).save(out, kind)
    return out.getvalue()


def array(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def archive(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def pixels(png: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def test_pictures_are_taken_as_they_are() -> None:
    png, jpeg = picture(), picture("JPEG")
    batch = read([("a.png", png), ("b.jpg", jpeg)], CLASSES)
    assert [base64.b64decode(p.png) for p in batch.pictures] == [png, jpeg]
    assert batch.problems == []


@pytest.mark.parametrize("shape", [(6, 5), (1, 6, 5), (6, 5, 1)])
def test_an_array_is_a_picture_of_its_values(shape: tuple[int, ...]) -> None:
    values = np.linspace(0, 1, 30, dtype=np.float32).reshape(6, 5)
    batch = read([("x.npy", array(values.reshape(shape)))], CLASSES)
    np.testing.assert_array_equal(pixels(batch.pictures[0].png), (255 * values).round().astype(np.uint8))
    colour = np.arange(3 * 6 * 5, dtype=np.uint8).reshape(3, 6, 5)
    batch = read([("x.npy", array(colour))], CLASSES)
    np.testing.assert_array_equal(pixels(batch.pictures[0].png), colour.transpose(1, 2, 0))


def test_folders_of_an_archive_are_labels() -> None:
    members = {
        "mine/Trouser/1.png": picture(), "mine/tshirt_top/2.png": picture(), "2/3.png": picture(),
        "mine/4.png": picture(), "__MACOSX/._1.png": b"x", "mine/.DS_Store": b"x",
    }  # fmt: skip
    batch = read([("all.zip", archive(**members))], CLASSES)
    assert [p.label for p in batch.pictures] == [1, 0, 2, None]
    assert batch.problems == []
    assert label_of("9/1.png", CLASSES) is None


BAD = {
    "empty.png": (b"", "0 bytes"),
    "text.png": (b"no picture", "no PNG or JPEG"),
    "cut.png": (picture(size=(300, 300))[:-40], "no PNG or JPEG"),
    "gif.png": (picture("GIF"), "no PNG or JPEG"),
    "huge.png": (b"x" * (LARGEST_FILE + 1), "allowed: up to"),
    "wide.png": (picture(size=(20_001, 1000), level=0), "20001 × 1000 pixels"),
    "pickle.npy": (array(np.array([{"a": 1}], dtype=object)), "no .npy file of numbers"),
    "outside.npy": (array(np.full((4, 4), 1.5)), "not between 0 and 1"),
    "nan.npy": (array(np.full((4, 4), np.nan)), "not between 0 and 1"),
    "many.npy": (array(np.zeros((5, 4, 4))), "one or three channels"),
    "flat.npy": (array(np.zeros(9)), "no picture"),
    "broken.zip": (b"PK no archive", "a damaged archive"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_unusable_is_named_and_the_rest_is_taken(name: str) -> None:
    content, said = BAD[name]
    batch = read([(name, content), ("good.png", picture())], CLASSES)
    assert [p.name for p in batch.pictures] == ["good.png"]
    (problem,) = batch.problems
    assert problem.startswith(f"{name}: ")
    assert said in problem


def test_an_archive_that_would_grow_is_never_unpacked() -> None:
    bomb = archive(**{"Trouser/big.png": b"0" * (LARGEST_FILE + 1), "notes.txt": b"hello", "Trouser/1.png": picture()})
    batch = read([("bomb.zip", bomb)], CLASSES)
    assert len(bomb) < 100_000
    assert [p.name for p in batch.pictures] == ["Trouser/1.png"]
    assert [problem.partition(":")[0] for problem in batch.problems] == ["Trouser/big.png", "notes.txt"]


def test_more_pictures_than_are_attacked_at_once_are_left_out_and_said() -> None:
    batch = read([(f"{i}.png", picture()) for i in range(MOST + 2)], CLASSES)
    assert len(batch.pictures) == MOST
    assert len(batch.problems) == 2
    packed = read([("a.zip", archive(**{f"{i}.png": picture() for i in range(MOST + 5)}))], CLASSES)
    assert len(packed.pictures) == MOST
    assert f"more than {MOST} files" in packed.problems[0]
