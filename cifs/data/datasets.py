"""Data sets by name. Images are kept as bytes and become floats in [0, 1] a batch at a time.

Where `load_images` looks, in this order: $CIFS_DATA/<name>.npz (MedMNIST layout), what the package or the system ships,
a torchvision download into $CIFS_DATA.
"""

import gzip
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cifs.errors import DataError, UnknownName
from cifs.files import UNREADABLE_NPZ
from cifs.registry import Registry

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


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


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What is known of a data set before it is loaded. `eps` is the usual ℓ∞ budget on it."""

    name: str
    title: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]  # (C, H, W)
    eps: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    find: Callable[[Split], Images | None] = lambda split: None  # in the package or on the system
    download: Callable[[Split], Images] | None = None


DATASETS: Registry[Dataset] = Registry("data set")


def data_dir() -> Path:
    """$CIFS_DATA, by default a folder of the user's cache."""
    return Path(os.environ.get("CIFS_DATA") or Path.home() / ".cache" / "cifs-lab" / "data")


def dataset(name: str) -> Dataset:
    """A registered data set, or one described by $CIFS_DATA/<name>.npz. Raises UnknownName or DataError."""
    if name in DATASETS:
        return DATASETS[name]
    if name not in _local_names():
        raise UnknownName("data set", name, dataset_names())
    train = _read_npz(_local_path(name), "train")
    x = train.images[:10_000].float() / 255
    named, seen = _class_names(_local_path(name)), int(train.labels.max()) + 1
    if named and len(named) < seen:
        raise DataError(f"{name}.npz has {len(named)} class_names, but labels up to {seen - 1}")
    return Dataset(
        name=name,
        title=name,
        classes=named or tuple(f"class {c}" for c in range(seen)),
        image_shape=tuple(x.shape[1:]),  # type: ignore[arg-type]
        eps=8 / 255,
        mean=tuple(x.mean(dim=(0, 2, 3)).tolist()),
        std=tuple(x.std(dim=(0, 2, 3)).clamp(min=1e-3).tolist()),
    )


def dataset_names() -> tuple[str, ...]:
    """Registered names, then those of other .npz files in $CIFS_DATA."""
    return (*DATASETS, *(name for name in _local_names() if name not in DATASETS))


def available(name: str, split: Split = "test") -> bool:
    """Whether `load_images` would answer without a download."""
    spec = dataset(name)
    return name in _local_names() or spec.find(split) is not None


def load_images(name: str, split: Split) -> Images:
    """Every image of a split. Raises UnknownName, or DataError where the data is missing or malformed."""
    path = _local_path(name)
    return _load_images(name, split, path, path.stat().st_mtime_ns if path.exists() else None)


@lru_cache(maxsize=8)
def _load_images(name: str, split: Split, path: Path, changed: int | None) -> Images:
    """Kept until there is another file, or another $CIFS_DATA."""
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    spec = dataset(name)
    if name in _local_names():
        images = _read_npz(path, split)
        if images.images.shape[1:] != spec.image_shape:
            raise DataError(f"{name}.npz holds images of {tuple(images.images.shape[1:])}, expected {spec.image_shape}")
        if (largest := int(images.labels.max())) >= len(spec.classes):
            raise DataError(f"{name}.npz has {split} label {largest}, expected 0 to {len(spec.classes) - 1}")
        return images
    if (found := spec.find(split)) is not None:
        return found
    if spec.download is None:
        raise DataError(f"data set {name!r} is not on this machine: put {name}.npz into $CIFS_DATA ({data_dir()})")
    try:
        return spec.download(split)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"data set {name!r} could not be downloaded ({error}); put {name}.npz into $CIFS_DATA ({data_dir()})"
        ) from error


def _local_path(name: str) -> Path:
    return data_dir() / f"{name}.npz"


def _local_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in data_dir().glob("*.npz") if re.fullmatch(r"[\w-]+", path.stem)))


def _read_npz(path: Path, split: Split) -> Images:
    """MedMNIST layout: uint8 {split}_images (N, H, W) or (N, H, W, C), {split}_labels (N,) or (N, 1). No pickle."""
    keys = f"{split}_images", f"{split}_labels"
    try:
        # Opened here, for np.load leaves a corrupt file open.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if missing := [key for key in keys if key not in file]:
                raise DataError(f"{path.name} has no {' and no '.join(missing)}; it has {', '.join(file.files)}")
            images, labels = (file[key] for key in keys)
    except UNREADABLE_NPZ as error:
        raise DataError(f"{path.name} is no readable .npz: {error}") from error
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DataError(
            f"{path.name}: {keys[0]} is {images.dtype} {images.shape}, expected uint8 (N, H, W) or (N, H, W, C)"
        )
    if images.ndim == 4 and images.shape[3] not in (1, 3):
        raise DataError(f"{path.name}: {keys[0]} has {images.shape[3]} channels, expected 1 or 3")
    if len(images) == 0:
        raise DataError(f"{path.name}: {keys[0]} holds no image")
    if labels.size != len(images) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise DataError(
            f"{path.name}: {keys[1]} is {labels.dtype} {labels.shape}, expected {len(images)} class indices"
        )
    return from_arrays(images, labels)


def _class_names(path: Path) -> tuple[str, ...]:
    """The optional array `class_names`; () without one."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return tuple(str(name) for name in file["class_names"]) if "class_names" in file else ()
    except UNREADABLE_NPZ as error:
        raise DataError(f"{path.name}: class_names is no array of strings: {error}") from error


def from_arrays(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Images:
    """uint8 (N, H, W) or (N, H, W, C) → Images."""
    nhwc = torch.from_numpy(np.array(images, order="C")).reshape(*images.shape[:3], -1)
    return Images(nhwc.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels.astype(np.int64).reshape(-1)))


def _torchvision(cls: str) -> Callable[[Split], Images]:
    def download(split: Split) -> Images:
        from torchvision import datasets  # here, for it takes a second to import

        root = data_dir() / "torchvision"
        if cls == "SVHN":
            data = datasets.SVHN(str(root), split=split, download=True)
            return from_arrays(data.data.transpose(0, 2, 3, 1), data.labels)
        data = getattr(datasets, cls)(str(root), train=split == "train", download=True)
        return from_arrays(np.asarray(data.data), np.asarray(data.targets))

    return download


DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist


def _debian_fashion_mnist(split: Split) -> Images | None:
    stem = DEBIAN / ("train" if split == "train" else "t10k")
    if not Path(f"{stem}-images-idx3-ubyte.gz").exists():
        return None
    with gzip.open(f"{stem}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(f"{stem}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return from_arrays(images, labels)


def _embedded(split: Split) -> Images:
    return _read_npz(Path(__file__).with_name("fashion_mnist_mini.npz"), split)


FASHION_MNIST = Dataset(
    name="fashion_mnist",
    title="Fashion-MNIST",
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    image_shape=(1, 28, 28),
    eps=0.1,
    mean=(0.2860,),
    std=(0.3530,),
    find=_debian_fashion_mnist,
    download=_torchvision("FashionMNIST"),
)
CIFAR10 = Dataset(
    name="cifar10",
    title="CIFAR-10",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    image_shape=(3, 32, 32),
    eps=8 / 255,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    download=_torchvision("CIFAR10"),
)
CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree
wolf woman worm
"""
CIFAR100 = replace(
    CIFAR10,
    name="cifar100",
    title="CIFAR-100",
    classes=tuple(CIFAR100_CLASSES.split()),
    download=_torchvision("CIFAR100"),
)
SVHN = replace(
    CIFAR10,
    name="svhn",
    title="SVHN",
    classes=tuple("0123456789"),
    mean=(0.4377, 0.4438, 0.4728),
    std=(0.1980, 0.2010, 0.1970),
    download=_torchvision("SVHN"),
)
MINI = replace(
    FASHION_MNIST, name="fashion_mnist_mini", title="Fashion-MNIST (embedded part)", find=_embedded, download=None
)

for spec in (MINI, FASHION_MNIST, CIFAR10, CIFAR100, SVHN):
    DATASETS.register(spec.name)(spec)
