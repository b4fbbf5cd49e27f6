"""Data sets in one .npz file, in the layout of MedMNIST.

uint8 {train,test}_images (N, H, W) or (N, H, W, C), {train,test}_labels (N,) or (N, 1), optional class_names (K,).
Nothing is unpickled.
"""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile

from cifs.data.images import SPLITS, Images, Split, check_size, from_arrays
from cifs.errors import DataError
from cifs.files import UNREADABLE_NPZ, reason


@dataclass(frozen=True)
class Npz:
    path: Path

    def stamp(self) -> Hashable:
        """Another one when another file lies there."""
        stat = self.path.stat()
        return stat.st_mtime_ns, stat.st_size

    def splits(self) -> tuple[Split, ...]:
        with self._open() as file:
            return tuple(split for split in SPLITS if f"{split}_images" in file and f"{split}_labels" in file)

    def classes(self) -> tuple[str, ...]:
        """The optional array `class_names`; () without one."""
        try:
            with self._open() as file:
                return tuple(str(name) for name in file["class_names"]) if "class_names" in file else ()
        except DataError as error:
            raise DataError(f"{self.path.name}: class_names is no array of strings: {error.__cause__}") from error

    def read(self, split: Split) -> Images:
        name, keys = self.path.name, (f"{split}_images", f"{split}_labels")
        with self._open() as file:
            if missing := [key for key in keys if key not in file]:
                raise DataError(f"{name} has no {' and no '.join(missing)}; it has {', '.join(file.files)}")
            for key in keys:
                check_size(f"{name}: {key}", self._shape(key), "give fewer images, or smaller ones")
            images, labels = (file[key] for key in keys)
        if images.dtype != np.uint8 or images.ndim not in (3, 4):
            raise DataError(
                f"{name}: {keys[0]} is {images.dtype} {images.shape}, expected uint8 (N, H, W) or (N, H, W, C)"
            )
        if images.ndim == 4 and images.shape[3] not in (1, 3):
            raise DataError(f"{name}: {keys[0]} has {images.shape[3]} channels, expected 1 or 3")
        if images.size == 0:
            raise DataError(f"{name}: {keys[0]} {images.shape} holds no image")
        if labels.size != len(images) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
            raise DataError(f"{name}: {keys[1]} is {labels.dtype} {labels.shape}, expected {len(images)} class indices")
        return from_arrays(images, labels)

    @contextmanager
    def _open(self) -> Iterator[NpzFile]:
        try:
            # Opened here, for np.load leaves a corrupt file open.
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                yield file
        except UNREADABLE_NPZ as error:
            raise DataError(f"{self.path.name} is no readable .npz: {reason(error)}") from error

    def _shape(self, key: str) -> tuple[int, ...]:
        """Of an array that is not read: its header says it."""
        with ZipFile(self.path) as archive, archive.open(f"{key}.npy") as file:
            read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
            return tuple(read(file)[0])
