"""Data sets by name. Images are held as bytes and become floats in [0, 1] a batch at a time.

Where `load_images` looks, in this order: $CIFS_DATA/<name>.npz (cifs.data.npz), $CIFS_DATA/<name>/ (cifs.data.folder),
what the package or the system ships, a torchvision download into $CIFS_DATA.
"""

import gzip
import os
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from cifs.data.folder import Folder, is_folder_of_classes
from cifs.data.images import SPLITS, Images, Memory, Split, from_arrays
from cifs.data.npz import Npz
from cifs.errors import DataError, UnknownName
from cifs.registry import Registry


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
    notes: tuple[str, ...] = ()  # what was decided here about somebody's own images
    drawn: bool = False  # drawings to look at, where the images may not be given away: nothing is measured on them
    find: Callable[[Split], Images | None] = lambda split: None  # in the package or on the system
    download: Callable[[Split], Images] | None = None

    @property
    def image_size(self) -> int | list[int]:
        """As a model's configuration says it: the side of a square, or [height, width]."""
        _, height, width = self.image_shape
        return height if height == width else [height, width]


DATASETS: Registry[Dataset] = Registry("data set")


def data_dir() -> Path:
    """$CIFS_DATA, by default a folder of the user's cache."""
    return Path(os.environ.get("CIFS_DATA") or Path.home() / ".cache" / "cifs-lab" / "data")


def dataset(name: str) -> Dataset:
    """A registered data set, or one that is described by what lies in $CIFS_DATA. Raises UnknownName or DataError."""
    if name in DATASETS:
        return DATASETS[name]
    if (local := _local(name)) is None:
        raise UnknownName("data set", name, dataset_names())
    return _described(local.path, local.stamp())


@lru_cache(maxsize=64)
def _described(path: Path, stamp: Hashable) -> Dataset:
    name, local = path.stem, Npz(path) if path.suffix else Folder(path)
    key = _key(local, "train")
    if (train := _MEMORY.recall(key)) is None:
        train = local.read("train")
        _MEMORY.remember(key, train)
    x = train.images[:10_000].float() / 255
    named, most = local.classes(), int(train.labels.max()) + 1
    if named and len(named) < most:
        raise DataError(f"{local.path.name} has {len(named)} class_names, but labels up to {most - 1}")
    declared = local.declared if isinstance(local, Folder) else None
    return Dataset(
        name=name,
        title=(declared and declared.title) or name,
        classes=named or tuple(f"class {c}" for c in range(most)),
        image_shape=tuple(x.shape[1:]),  # type: ignore[arg-type]
        eps=declared.eps if declared else 8 / 255,
        mean=tuple(x.mean(dim=(0, 2, 3)).tolist()),
        std=tuple(x.std(dim=(0, 2, 3)).clamp(min=1e-3).tolist()),
        notes=local.notes() if isinstance(local, Folder) else (),
    )


def dataset_names() -> tuple[str, ...]:
    """Registered names, then those of what else lies in $CIFS_DATA."""
    return (*DATASETS, *(name for name in _local_names() if name not in DATASETS))


def available(name: str, split: Split = "test") -> bool:
    """Whether `load_images` would answer without a download."""
    if (local := _local(name)) is not None:
        return split in local.splits()
    return dataset(name).find(split) is not None


def load_images(name: str, split: Split) -> Images:
    """Every image of a split, read once. Raises UnknownName, or DataError where data is missing or malformed."""
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    spec, local = dataset(name), _local(name)
    key = (name, split, spec) if local is None else _key(local, split)
    if (images := _MEMORY.recall(key)) is None:
        if local is None:
            images = _found_or_downloaded(spec, split)
        else:
            images = local.read(split)
            _check(images, split, local, spec)
        _MEMORY.remember(key, images)
    return images


_MEMORY = Memory()


def _key(local: Npz | Folder, split: Split) -> Hashable:
    """Another one when something else lies there."""
    return local.path, local.stamp(), split


def _check(images: Images, split: Split, local: Npz | Folder, spec: Dataset) -> None:
    """Raises DataError for what does not fit what is known of the data set."""
    shape, file = tuple(images.images.shape[1:]), local.path.name
    if shape != spec.image_shape:
        raise DataError(f"{file} holds images of {shape}, expected {spec.image_shape}")
    if (largest := int(images.labels.max())) >= len(spec.classes):
        raise DataError(f"{file} has {split} label {largest}, expected 0 to {len(spec.classes) - 1}")
    if (named := local.classes()) and named != spec.classes:
        raise DataError(f"{file} names the classes {', '.join(named)}; expected {', '.join(spec.classes)}")


def verify(path: Path) -> Dataset:
    """The data set that lies at this path, wherever that is: a .npz, or a folder of classes.

    Every image of it is read. Raises DataError where anything is missing, malformed, or does not fit the rest.
    """
    local = Npz(path) if path.suffix else Folder(path)
    spec = _described(path, local.stamp())
    for split in SPLITS:
        _check(local.read(split), split, local, spec)
    return spec


def _found_or_downloaded(spec: Dataset, split: Split) -> Images:
    if (images := spec.find(split)) is not None:
        return images
    name, remedy = spec.name, f"put {spec.name}.npz into $CIFS_DATA ({data_dir()})"
    if spec.drawn:
        raise DataError(f"data set {name!r} has test images alone, to look at")
    if spec.download is None:
        raise DataError(f"data set {name!r} is not on this machine: {remedy}")
    try:
        return spec.download(split)
    except (OSError, RuntimeError) as error:
        raise DataError(f"data set {name!r} could not be downloaded ({error}); {remedy}") from error


def _local(name: str) -> Npz | Folder | None:
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
        return None
    if (file := data_dir() / f"{name}.npz").is_file():
        return Npz(file)
    folder = data_dir() / name
    return Folder(folder) if is_folder_of_classes(folder) else None


def _local_names() -> tuple[str, ...]:
    names = {path.stem for path in data_dir().glob("*.npz")} | {path.name for path in data_dir().glob("*/")}
    return tuple(name for name in sorted(names) if _local(name) is not None)


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


def _embedded(name: str) -> Callable[[Split], Images | None]:
    """What the package carries."""
    file = Npz(Path(__file__).with_name(f"{name}.npz"))
    return lambda split: file.read(split) if split in file.splits() else None


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
    FASHION_MNIST,
    name="fashion_mnist_mini",
    title="Fashion-MNIST (embedded part)",
    find=_embedded("fashion_mnist_mini"),
    download=None,
)
DRAWN = replace(
    CIFAR10,
    name="cifar10_drawn",
    title="CIFAR-10's classes, drawn",
    notes=("Drawings, not photographs and not of CIFAR-10: to look at. Nothing is measured on them.",),
    drawn=True,
    find=_embedded("cifar10_drawn"),
    download=None,
)

for spec in (MINI, FASHION_MNIST, CIFAR10, DRAWN, CIFAR100, SVHN):  # photographs before drawings of their classes
    DATASETS.register(spec.name)(spec)
