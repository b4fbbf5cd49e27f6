"""Labelled images, and how many bytes of them are held at once."""

import base64
import io
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cifs.errors import DataError

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")

LARGEST = 4 * 2**30  # bytes of one split, and of all that is remembered


@dataclass(frozen=True)
class Images:
    """Labelled images of one split."""

    images: Tensor  # uint8 (N, C, H, W)
    labels: Tensor  # int64 (N,)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> "Images":
        return Images(self.images[index], self.labels[index])

    def batch(self, index: slice | Tensor) -> tuple[Tensor, Tensor]:
        """x float32 in [0, 1] (n, C, H, W), y (n,)"""
        return self.images[index].float() / 255, self.labels[index]


def from_arrays(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Images:
    """uint8 (N, H, W) or (N, H, W, C) → Images."""
    nhwc = torch.from_numpy(np.array(images, order="C")).reshape(*images.shape[:3], -1)
    return Images(nhwc.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels.astype(np.int64).reshape(-1)))


def png(x: Tensor) -> str:
    """(C, H, W) in [0, 1] → base64 PNG."""
    pixels = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()  # (H, W, C)
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def check_size(what: str, shape: tuple[int, ...], remedy: str) -> None:
    """Raises DataError where images of this shape (N, …), a byte each value, are more than is held at once."""
    size = int(np.prod(shape, dtype=np.float64))
    if size > LARGEST:
        raise DataError(
            f"{what}: {' × '.join(map(str, shape))} bytes are {size / 2**30:.1f} GiB, at most {LARGEST / 2**30:g} are "
            f"held in memory; {remedy}"
        )


class Memory:
    """Images that were read, the last used ones, up to LARGEST bytes in all."""

    def __init__(self) -> None:
        self._images: dict[Hashable, Images] = {}
        self._lock = Lock()

    def recall(self, key: Hashable) -> Images | None:
        with self._lock:
            if (images := self._images.pop(key, None)) is not None:
                self._images[key] = images  # the last used are the last to go
            return images

    def remember(self, key: Hashable, images: Images) -> None:
        with self._lock:
            self._images[key] = images
            while len(self._images) > 1 and sum(i.images.numel() for i in self._images.values()) > LARGEST:
                del self._images[next(iter(self._images))]
