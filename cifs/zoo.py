"""The zoo: a folder of checkpoints.

<id>/{model.safetensors, config.json, README.md, evaluation.json, checks.json, channel_statistics.npz}

Weights are safetensors and configurations JSON: nothing that is loaded can run code. Such a folder is one of Hugging
Face's too: `CNN.from_pretrained(folder)` loads it, and `save_pretrained` of a model from here writes a folder of a zoo.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from cifs.errors import CheckpointError, CIFSError, InvalidParameter, UnknownName
from cifs.files import as_json, remove_stale, replacing
from cifs.methods import METHODS, PLAIN
from cifs.models import CNN, MODELS, build
from cifs.precision import usable_device
from cifs.records import Evaluation, MaskingChecks, Record, network_text

Storage = Literal["float32", "float16"]
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, kw_only=True)
class Info:
    """What is known of a checkpoint beside its architecture."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # as config.json is read

    title: str  # for people
    dataset: str
    method: str  # by which it was trained, under METHODS
    eps: float | None = None  # ℓ∞ budget of its adversarial training; None: natural training
    recipe: str | None = None
    command: str | None = None
    training: Mapping[str, Any] | None = None  # the whole recipe, wall time, validation figures, library versions
    source: str | None = None  # where the weights come from, when they were not trained here


@dataclass(frozen=True)
class Entry:
    """One checkpoint folder, read but not loaded."""

    id: str
    folder: Path
    config: Mapping[str, Any]  # the model's arguments
    info: Info

    @property
    def network(self) -> str:
        """Architecture and width, for people."""
        return network_text(self.config["arch"], self.config.get("width"), " of ")

    @property
    def evaluation_path(self) -> Path:
        return self.folder / "evaluation.json"

    @property
    def checks_path(self) -> Path:
        return self.folder / "checks.json"

    @property
    def statistics_path(self) -> Path:
        return self.folder / "channel_statistics.npz"

    def evaluation(self) -> Evaluation | None:
        """evaluation.json, or None where there is none. Raises CheckpointError where it is malformed."""
        return _read_record(self.evaluation_path, Evaluation)

    def checks(self) -> MaskingChecks | None:
        """checks.json, or None where there is none. Raises CheckpointError where it is malformed."""
        return _read_record(self.checks_path, MaskingChecks)

    def digests(self) -> dict[str, str]:
        """SHA-256 of the weights' file and of the network's arguments: what a result is of. Raises CheckpointError."""
        path = self.folder / "model.safetensors"
        try:
            weights = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise CheckpointError(f"{self.id}/{path.name} cannot be read ({error})") from error
        arguments = json.dumps(self.config, sort_keys=True).encode()
        return {"weights": weights, "configuration": hashlib.sha256(arguments).hexdigest()}

    @property
    def last_path(self) -> Path:
        """Weights after the last epoch, there only when the kept ones are of another."""
        return self.folder / "last.safetensors"

    def load(self, device: torch.device | str = "cpu", *, last: bool = False) -> CNN:
        """The model in eval mode. Raises CheckpointError for a corrupt or foreign file; InvalidParameter: no device."""
        place = usable_device(device)
        path = self.last_path if last else self.folder / "model.safetensors"
        try:
            arguments = {**self.config, "info": asdict(self.info)}
            _check_shapes(path, arguments)
            model = build(**arguments)
            model.load_state_dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"checkpoint {self.id!r}: {path.name} is missing or corrupt ({error})") from error
        except (CIFSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"checkpoint {self.id!r}: the weights and config.json do not fit a model of ours ({error})"
            ) from error
        return model.to(place).to(memory_format=torch.channels_last).eval()


@dataclass(frozen=True)
class Zoo:
    root: Path

    def ids(self) -> tuple[str, ...]:
        """Every folder with a config.json."""
        return tuple(sorted(path.parent.name for path in self.root.glob("*/config.json")))

    def entry(self, model_id: str) -> Entry:
        """Raises UnknownName, or CheckpointError where config.json is malformed."""
        if model_id not in self.ids():
            raise UnknownName("model", model_id, self.ids())
        folder = self.root / model_id
        config = _read_json(folder / "config.json")
        try:
            info = TypeAdapter(Info).validate_python(config.pop("info"))
            _ = METHODS[info.method]
        except (KeyError, TypeError, AttributeError, ValidationError, UnknownName) as error:
            raise CheckpointError(
                f"checkpoint {model_id!r}: config.json was not written by this project ({error!r})"
            ) from error
        return Entry(model_id, folder, config, info)

    def load(self, model_id: str, device: torch.device | str = "cpu") -> CNN:
        return self.entry(model_id).load(device)

    def save(self, model_id: str, model: CNN, info: Info, *, storage: Storage = "float32") -> Entry:
        """Writes weights and configuration, in full before either has its name.

        A folder without config.json is no checkpoint, so that is the last. Raises NoSpace: nothing was changed.
        What was measured of other weights under this id goes with them.
        """
        _check_buildable(model)
        folder = self.root / checked_id(model_id)
        remove_stale(folder)
        path = folder / "model.safetensors"
        before = path.read_bytes() if path.exists() else None
        config = {**model.config, "info": asdict(info)}
        with replacing(folder / "config.json") as temporary:
            temporary.write_text(as_json(config), encoding="utf-8")
            save_weights(path, model.state_dict(), storage)
        entry = self.entry(model_id)
        if before != path.read_bytes():
            for measured in (entry.evaluation_path, entry.checks_path, entry.statistics_path):
                measured.unlink(missing_ok=True)
        return entry


def _check_shapes(path: Path, arguments: Mapping[str, Any]) -> None:
    """Raises ValueError where the file's weights are not those of a network of these arguments.

    Nothing is allocated: a width of 20,000 in a config.json would else take the machine's memory before anyone looked.
    """
    with torch.device("meta"):
        sketch = {name: tuple(tensor.shape) for name, tensor in build(**arguments).state_dict().items()}
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118  # a safetensors file, no mapping
            shape = tuple(file.get_slice(name).get_shape())
            if sketch.get(name) != shape:
                raise ValueError(f"{name} is {shape}, expected {sketch.get(name, 'no such weights')}")


def _check_buildable(model: CNN) -> None:
    """Raises InvalidParameter for a model whose configuration could not be built again."""
    if model.config["arch"] not in MODELS or model.config["method"] not in (PLAIN, *METHODS):
        raise InvalidParameter(
            f"a model of arch {model.config['arch']!r} and method {model.config['method']!r} cannot be saved, for "
            "nobody could build it again: register its architecture under MODELS, and its method under METHODS"
        )


def save_weights(path: Path, weights: Mapping[str, Tensor], storage: Storage) -> None:
    """As safetensors. In float16 the matrices and kernels are rounded; vectors (of batch norm) stay in float32."""
    rounded = {
        name: (tensor.half() if storage == "float16" and tensor.ndim > 1 else tensor).detach().cpu().contiguous()
        for name, tensor in weights.items()
    }
    with replacing(path) as temporary:
        save_file(rounded, temporary, metadata={"format": "pt"})


def checked_id(model_id: str) -> str:
    """An id that may be given to a new model: the name of a folder of its own. Raises InvalidParameter."""
    if not re.fullmatch(r"\w[\w.-]*", model_id):
        raise InvalidParameter(f"model id {model_id!r}: letters, digits, '_', '-' and '.' only, no '.' or '-' in front")
    return model_id


def _read_record(path: Path, kind: type[R]) -> R | None:
    if not path.exists():
        return None
    try:
        return kind.model_validate(_read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise CheckpointError(
            f"{path.parent.name}/{path.name} was not written by this project ({where}: {first['msg']})"
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.parent.name}/{path.name} is missing or no JSON ({error})") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.parent.name}/{path.name} holds a {type(value).__name__}, expected an object")
    return value
