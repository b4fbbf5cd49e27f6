"""Data sets as folders of PNG and JPEG files, a folder a class.

    <name>/train/<class>/*.png, <name>/test/<class>/*.png      or, to be divided here,
    <name>/train/<class>/*.png      or      <name>/<class>/*.png

Optional <name>/dataset.toml: title = "…", size = 64 or [height, width], eps = "8/255".
Without a declared size all images are brought to the commonest size of the training images.
"""

import struct
import tomllib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import Field, TypeAdapter

from cifs.data.images import SPLITS, Images, Split, check_size, from_arrays
from cifs.errors import DataError, NoSpace
from cifs.files import UNREADABLE_NPZ, replacing
from cifs.registry import fraction, settings

SUFFIXES = {".png", ".jpg", ".jpeg"}
GREY, COLOUR = {"1", "L", "LA"}, {"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}  # pillow's modes that are read
MOST_PIXELS = 64 * 2**20  # of one file: a small file can claim a huge image
TEST_SHARE = 5  # one image of so many is for tests, where the division is ours
ORIENTATION = 0x0112  # of EXIF; from 5 on height and width change places
UNREADABLE_IMAGE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)

Side = Annotated[int, Field(ge=1, le=4096)]


@settings
class Declared:
    """dataset.toml"""

    title: str | None = None
    size: Side | tuple[Side, Side] | None = None
    eps: Annotated[float, *fraction(ge=0, le=1)] = 8 / 255

    @property
    def height_and_width(self) -> tuple[int, int] | None:
        return (self.size, self.size) if isinstance(self.size, int) else self.size


@dataclass(frozen=True)
class File:
    """An image whose header was read."""

    path: Path
    label: int
    size: tuple[int, int]  # height and width, upright
    grey: bool


@dataclass(frozen=True)
class Folder:
    """Decoded once, into $CIFS_DATA/.cache where that can be written, and again when its files change."""

    path: Path

    def stamp(self) -> Hashable:
        """Another one when files came or went, or dataset.toml was written anew."""
        places = [self.path, self.path / "dataset.toml", *self.path.glob("*/"), *self.path.glob("*/*/")]
        return tuple((str(place), place.stat().st_mtime_ns) for place in sorted(places) if place.exists())

    def splits(self) -> tuple[Split, ...]:
        return SPLITS

    def classes(self) -> tuple[str, ...]:
        return tuple(folder.name for folder in _homes(self.path)["train"])

    def notes(self) -> tuple[str, ...]:
        """What was decided here about its images."""
        (notes,) = self._arrays("notes")
        return tuple(map(str, notes))

    def read(self, split: Split) -> Images:
        """Every image of a split, in an order that mixes the classes and is a function of the names alone."""
        return from_arrays(*self._arrays(f"{split}_images", f"{split}_labels"))

    @cached_property
    def declared(self) -> Declared:
        path = self.path / "dataset.toml"
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            return TypeAdapter(Declared).validate_python(values)
        except (OSError, ValueError) as error:  # tomllib's and pydantic's are ValueErrors
            raise DataError(f"{self.path.name}/dataset.toml: {' '.join(str(error).split())}") from error

    def _arrays(self, *keys: str) -> list[NDArray[Any]]:
        """Of the layout of MedMNIST, with notes."""
        images = divided(self.path)
        cache = self.path.parent / ".cache" / self.path.name / f"{_digest(images, self.declared)}.npz"
        with suppress(*UNREADABLE_NPZ), cache.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return [file[key] for key in keys]
        arrays = decoded(self.path.name, images, self.declared.height_and_width)
        arrays["notes"] = np.array([*_division(self.path), *arrays["notes"]], dtype=str)
        _remember(cache, arrays)
        return [arrays[key] for key in keys]


def is_folder_of_classes(path: Path) -> bool:
    """Whether it, or its `train`, holds at least two folders of images."""
    return any(len(_class_folders(home)) > 1 for home in (path / "train", path))


def divided(path: Path) -> dict[Split, list[tuple[Path, int]]]:
    """(path, label) of every image by split. Without a test split, a share of every class that its names decide."""
    homes = _homes(path)
    labels = {folder.name: label for label, folder in enumerate(homes["train"])}
    images: dict[Split, list[tuple[Path, int]]] = {"train": [], "test": []}
    for split in SPLITS:
        for folder in homes[split]:
            of_class = sorted(_images(folder), key=_shuffled)
            first = 0 if homes["test"] else max(1, len(of_class) // TEST_SHARE)
            if first == len(of_class):
                raise DataError(f"{path.name}: class {folder.name!r} has one image; the tests need one as well")
            images["test"] += [(image, labels[folder.name]) for image in of_class[:first]]
            images[split] += [(image, labels[folder.name]) for image in of_class[first:]]
    return {split: sorted(pairs, key=lambda pair: _shuffled(pair[0])) for split, pairs in images.items()}


def decoded(
    name: str, images: Mapping[Split, Iterable[tuple[Path, int]]], size: tuple[int, int] | None
) -> dict[str, NDArray[Any]]:
    """All images as arrays in the layout of MedMNIST, brought to one size; `notes` says of how many it changed."""
    files = {split: [_header(path, label) for path, label in pairs] for split, pairs in images.items()}
    height, width = size or _commonest(file.size for file in files["train"])
    everything = [file for split in SPLITS for file in files[split]]
    channels = 1 if all(file.grey for file in everything) else 3
    others = sum(file.size != (height, width) for file in everything)
    arrays = {
        "notes": np.array(
            [f"images brought to {height} × {width} from another size: {others}"] * bool(others), dtype=str
        )
    }
    for split, of_split in files.items():
        shape = (len(of_split), height, width, channels)
        check_size(f"{name}: {split} images", shape, f"declare a smaller size in {name}/dataset.toml")
        pixels = arrays[f"{split}_images"] = np.empty(shape, np.uint8)
        for i, file in enumerate(of_split):
            pixels[i] = _pixels(file, shape[1:])
        arrays[f"{split}_labels"] = np.array([file.label for file in of_split])
    return arrays


def _homes(path: Path) -> dict[Split, tuple[Path, ...]]:
    """The folders of the classes by split."""
    train, test = (_class_folders(path / split) for split in SPLITS)
    train = train or _class_folders(path)
    if not train:
        raise DataError(f"{path.name} has no class folder with PNG or JPEG images")
    names = [folder.name for folder in train]
    if unknown := [folder.name for folder in test if folder.name not in names]:
        raise DataError(f"{path.name}/test has a class {unknown[0]!r} that is none of {', '.join(names)}")
    return {"train": train, "test": test}


def _division(path: Path) -> list[str]:
    if _homes(path)["test"]:
        return []
    return [f"no test split of its own: one of {TEST_SHARE} images of each class, by its name, is for tests"]


def _class_folders(path: Path) -> tuple[Path, ...]:
    """Folders that hold an image, by name."""
    if not path.is_dir():
        return ()
    folders = (child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))
    return tuple(sorted(folder for folder in folders if next(_images(folder), None)))


def _images(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            yield path


def _shuffled(path: Path) -> bytes:
    """A key by which sorted images are mixed, the same on every machine."""
    return sha256(f"{path.parent.name}/{path.name}".encode()).digest()


def _commonest(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Of several equally common the largest."""
    counts = Counter(sizes)
    return max(counts, key=lambda size: (counts[size], size))


def _header(path: Path, label: int) -> File:
    """Raises DataError for what is no PNG or JPEG of a kind that is read."""
    with _opened(path) as image:
        if image.mode not in GREY | COLOUR:
            raise DataError(f"{_place(path)} has pixels of mode {image.mode!r}; give 8-bit grey or colour")
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise DataError(f"{_place(path)} is {height} × {width}; at most {MOST_PIXELS} pixels are read")
        on_its_side = image.getexif().get(ORIENTATION, 1) >= 5
        return File(path, label, (width, height) if on_its_side else (height, width), image.mode in GREY)


def _pixels(file: File, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """uint8 (H, W, C), upright; an image of another aspect ratio is stretched."""
    height, width, channels = shape
    with _opened(file.path) as image:
        image.verify()  # checksums; after it a file must be opened anew
    with _opened(file.path) as image:
        upright = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
        if upright.size != (width, height):
            upright = upright.resize((width, height), Image.Resampling.BILINEAR)  # which antialiases
        return np.asarray(upright).reshape(shape)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Whatever goes wrong inside is a DataError that names the file."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            yield image
    except UNREADABLE_IMAGE as error:
        raise DataError(f"{_place(path)} is no readable PNG or JPEG: {error}") from error


def _place(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _digest(images: Mapping[Split, Iterable[tuple[Path, int]]], declared: Declared) -> str:
    """Of everything the arrays depend on but the pixels; of those, when and at what size they were written."""
    state = sha256(repr(declared.size).encode())
    for split, pairs in images.items():
        for path, label in pairs:
            stat = path.stat()
            state.update(f"{split}/{path}/{label}/{stat.st_size}/{stat.st_mtime_ns}\n".encode())
    return state.hexdigest()[:16]


def _remember(cache: Path, arrays: dict[str, Any]) -> None:
    """In the place of older ones. Where nothing can be written, nothing is."""
    with suppress(OSError, NoSpace):
        with replacing(cache) as temporary:
            np.savez(temporary, **arrays)
        for older in cache.parent.glob("*.npz"):
            if older != cache:
                older.unlink(missing_ok=True)
