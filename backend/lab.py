"""What this server has: models by id, loaded when they are asked for, data sets, and what it tells about both."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock, get_ident
from typing import Any, TypeVar

import torch

from backend import measured
from backend.errors import Refusal
from backend.log import log
from backend.respond import resolved
from backend.schemas import Choice, DatasetInfo, LayerInfo, ModelInfo, RobustnessRow
from backend.settings import Settings
from cifs.data import SPLITS, Dataset, Images, Split, available, dataset, dataset_names, load_images
from cifs.errors import CIFSError, UnknownName
from cifs.models import CNN, layer_shapes
from cifs.models.cost import multiply_adds
from cifs.selection import IMGFS
from cifs.zoo import Entry, Info, Zoo

T = TypeVar("T")
Version = tuple[tuple[int, int], ...]  # when each file was written, and its size
MEASURED = ("evaluation.json", "checks.json", "channel_statistics.npz")


class Lab:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.device = _device(settings.device)
        self.zoo = Zoo(settings.checkpoints)
        self._models: OrderedDict[tuple[str, Version, int], CNN] = OrderedDict()  # the one used longest ago first
        self._described: dict[str, tuple[Version, ModelInfo]] = {}
        self._rows: dict[str, tuple[Version, RobustnessRow]] = {}
        self._datasets: dict[str, Dataset] = {}
        self._at_hand: set[tuple[str, Split]] = set()
        self._lock = Lock()

    # Models

    @property
    def loaded(self) -> list[str]:
        return list(dict.fromkeys(model_id for model_id, _, _ in list(self._models)))

    def require(self, model_id: str) -> None:
        """UnknownName for an id that is not listed: an id from a request is looked up, and never becomes a path."""
        if model_id not in (ids := self.zoo.ids()):
            raise UnknownName("model", model_id, ids)

    def model(self, model_id: str) -> CNN:
        """In eval mode, on the device. For inference threads alone, of which one runs at a time.

        Each has models of its own: what is attached to one while its thread stands still is not seen by the other.
        """
        self.require(model_id)
        key = model_id, self._version(model_id), get_ident()
        if key not in self._models:
            self._models[key] = self.zoo.load(model_id, device=self.device)
        self._models.move_to_end(key)
        mine = [each for each in self._models if each[2] == key[2]]
        for each in mine[: -self.settings.models_in_memory]:
            del self._models[each]
        return self._models[key]

    def describe(self, model_id: str) -> ModelInfo:
        """Raises UnknownName, or CheckpointError for a folder that holds no readable model."""
        self.require(model_id)
        version = self._version(model_id, *MEASURED)
        with self._lock:
            if self._described.get(model_id, (None, None))[0] != version:
                entry = self.zoo.entry(model_id)
                self._described[model_id] = version, describe_model(entry).model_copy(update=_measured(entry))
            return self._described[model_id][1]

    def _version(self, model_id: str, *beside: str) -> "Version":
        """Of weights, configuration and the files beside: any may be replaced while the server runs."""
        folder = self.zoo.root / model_id
        return tuple(_stamp(folder / name) for name in ("model.safetensors", "config.json", *beside))

    def describe_all(self) -> list[ModelInfo]:
        """Every model that can be read; a corrupt one is left out with a warning in the log."""
        return list(_readable("model", self.zoo.ids(), self.describe))

    def robustness_rows(self) -> list[RobustnessRow]:
        """Of every model that was evaluated; a malformed evaluation is left out with a warning in the log."""
        evaluated = [m.id for m in self.describe_all() if (self.zoo.root / m.id / "evaluation.json").exists()]
        return list(_readable("evaluation", evaluated, self.robustness_row))

    def robustness_row(self, model_id: str) -> RobustnessRow:
        """Read once for every version of the model's files. Raises as `measured.row`."""
        version = self._version(model_id, *MEASURED)
        if self._rows.get(model_id, (None, None))[0] != version:
            self._rows[model_id] = version, measured.row(self.zoo.entry(model_id))
        return self._rows[model_id][1]

    # Data

    def dataset(self, name: str) -> Dataset:
        """Raises UnknownName. Kept, for a user's own file is read to be described."""
        if name not in self._datasets:
            self._datasets[name] = dataset(name)
        return self._datasets[name]

    def images(self, name: str, split: Split) -> Images:
        """Raises UnknownName, or Refusal (404) for what would have to be downloaded: a request never starts that."""
        if not self.has(name, split):
            raise Refusal(404, f"data set {name!r} is known, but its {split} split is not on this server")
        return load_images(name, split)

    def has(self, name: str, split: Split) -> bool:
        """`available`, which may read the whole file to tell, asked once."""
        if (name, split) not in self._at_hand and available(name, split):
            self._at_hand.add((name, split))
        return (name, split) in self._at_hand

    def describe_datasets(self) -> list[DatasetInfo]:
        """Every data set that can be described; a malformed file is left out with a warning in the log."""
        return list(_readable("data set", dataset_names(), self.describe_dataset))

    def describe_dataset(self, name: str) -> DatasetInfo:
        spec = self.dataset(name)
        sizes = {split: len(self.images(name, split)) for split in SPLITS if self.has(name, split)}
        return DatasetInfo(
            name=name,
            title=spec.title,
            available=bool(sizes),
            classes=list(spec.classes),
            image_shape=spec.image_shape,
            eps=spec.eps,
            sizes=sizes,
            drawn=spec.drawn,
            notes=list(spec.notes),
        )


def describe_model(entry: Entry) -> ModelInfo:
    """Reads the checkpoint into a model of its own: the inference thread may be running the loaded one."""
    cnn, info = entry.load(), entry.info
    classes, default_eps = _data_of(info, cnn.num_classes)
    return ModelInfo(
        id=entry.id,
        title=info.title,
        dataset=info.dataset,
        arch=cnn.arch,
        width=cnn.width,
        method=info.method,
        imgf=_imgf(cnn),
        eps=info.eps,
        default_eps=default_eps,
        parameters=sum(p.numel() for p in cnn.parameters()),
        multiply_adds=multiply_adds(cnn),
        classes=classes,
        image_shape=cnn.image_shape,
        layers=[
            LayerInfo(name=name, channels=c, height=h, width=w, modified=name in cnn.modified)
            for name, (c, h, w) in layer_shapes(cnn).items()
        ],
        has_channel_statistics=False,
    )


def _imgf(cnn: CNN) -> Choice | None:
    """What the own IMGF of a model that has one is, with every parameter."""
    if "imgf" not in cnn.config or not cnn.modified:
        return None
    return Choice(**resolved(IMGFS, cnn.selector(cnn.modified[0]).imgf))


def _data_of(info: Info, num_classes: int) -> tuple[list[str], float]:
    """Class names and the usual budget; a model's own data need not be on this server."""
    with suppress(CIFSError):
        data = dataset(info.dataset)
        if len(data.classes) == num_classes:
            return list(data.classes), data.eps
    return [f"class {index}" for index in range(num_classes)], info.eps or 8 / 255


def _measured(entry: Entry) -> dict[str, Any]:
    """What is measured of a model after it was saved."""
    return {"evaluation": measured.cells(entry), "has_channel_statistics": entry.statistics_path.exists()}


def _readable(kind: str, names: Iterable[str], describe: Callable[[str], T]) -> Iterator[T]:
    for name in names:
        try:
            yield describe(name)
        except CIFSError as error:
            log.warning("left out", kind=kind, name=name, error=str(error))


def _stamp(path: Path) -> tuple[int, int]:
    """(0, 0) where there is no file."""
    try:
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    except OSError:
        return 0, 0


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.empty(0, device=name).device  # fails here, at the start, for a device that is not there
