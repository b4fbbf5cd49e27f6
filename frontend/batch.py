"""Files a person brings, several at once → pictures with labels, and what is wrong with each of the others.

PNG, JPEG, .npy, and zip archives of them, whose folders may be named after classes. No Streamlit.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from frontend.components.images import encode

MOST = 64  # pictures: as many as the backend attacks at once
LARGEST_FILE = 8 * 2**20  # bytes, unpacked
LARGEST_BATCH = 11 * 2**20  # bytes of all together, for they travel in one request
PIXELS = 20_000_000
KINDS = (".png", ".jpg", ".jpeg", ".npy")


class Picture(NamedTuple):
    name: str
    png: str  # base64 of a PNG or JPEG file
    label: int | None


class Batch(NamedTuple):
    pictures: list[Picture]
    problems: list[str]  # a sentence for each file that is left out


class Unusable(Exception):
    """Why a file is left out."""


def read(files: Sequence[tuple[str, bytes]], classes: Sequence[str]) -> Batch:
    """files: name and content. A picture's label is the class its folder in an archive is named after."""
    pictures: list[Picture] = []
    problems: list[str] = []
    size = 0
    for name, content in _unpacked(files, problems):
        try:
            data = picture(name, content)
            if len(pictures) == MOST:
                raise Unusable(f"more than {MOST} pictures are not attacked at once")
            if size + len(data) > LARGEST_BATCH:
                raise Unusable(f"together with those before it is more than {LARGEST_BATCH // 2**20} MB")
        except Unusable as error:
            problems.append(f"{name}: {error}.")
            continue
        size += len(data)
        pictures.append(Picture(name, encode(data), label_of(name, classes)))
    return Batch(pictures, problems)


def _unpacked(files: Sequence[tuple[str, bytes]], problems: list[str]) -> Iterator[tuple[str, bytes]]:
    for name, content in files:
        if not name.lower().endswith(".zip"):
            yield name, content
            continue
        try:
            yield from _members(name, content, problems)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
            problems.append(f"{name}: a damaged archive, or one that is locked ({error}).")


def _members(archive: str, content: bytes, problems: list[str]) -> Iterator[tuple[str, bytes]]:
    """What looks like a picture; others and those too large are told, but never unpacked."""
    given = 0
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        for member in file.infolist():
            path = PurePosixPath(member.filename)
            if member.is_dir() or path.name.startswith(".") or "__MACOSX" in path.parts:
                continue
            given += 1
            if given > MOST:
                problems.append(f"{archive}: holds more than {MOST} files; the others are left out.")
                return
            if member.file_size > LARGEST_FILE:
                problems.append(f"{member.filename}: {member.file_size:,} bytes; allowed: up to {LARGEST_FILE:,}.")
            elif path.suffix.lower() not in KINDS:
                problems.append(f"{member.filename}: neither PNG, JPEG nor .npy.")
            else:
                with file.open(member) as opened:
                    yield member.filename, opened.read(LARGEST_FILE + 1)


def picture(name: str, content: bytes) -> bytes:
    """A PNG or JPEG file as it is, an array as PNG. Raises Unusable."""
    if not content:
        raise Unusable("it is empty, 0 bytes")
    if len(content) > LARGEST_FILE:
        raise Unusable(f"{len(content):,} bytes; allowed: up to {LARGEST_FILE:,}")
    if name.lower().endswith(".npy"):
        return _from_array(content)
    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as opened:
            width, height = opened.size
            if width * height > PIXELS:
                raise Unusable(f"{width} × {height} pixels; allowed: up to {PIXELS:,}")
            opened.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unusable(f"no PNG or JPEG that can be read ({type(error).__name__})") from error
    return content


def _from_array(content: bytes) -> bytes:
    """Values in [0, 1] or uint8, (H, W), (H, W, C) or (C, H, W) with one or three channels."""
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Unusable("no .npy file of numbers that can be read") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fu" or not 2 <= array.ndim <= 3 or not array.size:
        raise Unusable("the array is no picture; (H, W), (H, W, C) or (C, H, W), uint8 or between 0 and 1, is one")
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] not in (1, 3):
        raise Unusable(f"an array of shape {array.shape}; a picture has one or three channels")
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise Unusable("its values are not between 0 and 1")
        array = (255 * array).round()
    elif array.dtype != np.uint8:
        raise Unusable(f"integers of type {array.dtype}; allowed: uint8")
    file = io.BytesIO()
    squeezed = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    Image.fromarray(squeezed.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def label_of(name: str, classes: Sequence[str]) -> int | None:
    """The class that the innermost folder so called names, by its name or its number."""
    names = {_plain(known): k for k, known in enumerate(classes)}
    for folder in reversed(PurePosixPath(name).parts[:-1]):
        if _plain(folder) in names:
            return names[_plain(folder)]
        if folder.isdecimal() and int(folder) < len(classes):
            return int(folder)
    return None


def _plain(name: str) -> str:
    """A class may be called "T-shirt/top", a folder may not."""
    return "".join(c for c in name.lower() if c.isalnum())
