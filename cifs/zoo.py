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
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from cifs.errors import CheckpointError, CIFSError, InvalidParameter, UnknownName
from cifs.files import as_json, new_version, remove_stale
from cifs.methods import METHODS, PLAIN
from cifs.models import CNN, MODELS, build
from cifs.precision import usable_device
from cifs.records import Evaluation, MaskingChecks, Record, network_text

WEIGHTS, LAST = "model.safetensors", "last.safetensors"
MEASURED = EVALUATION, CHECKS, STATISTICS = "evaluation.json", "checks.json", "channel_statistics.npz"

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
        return self.folder / EVALUATION

    @property
    def checks_path(self) -> Path:
        return self.folder / CHECKS

    @property
    def statistics_path(self) -> Path:
        return self.folder / STATISTICS

    def evaluation(self) -> Evaluation | None:
        """evaluation.json, or None where there is none. Raises CheckpointError where it is malformed."""
        return _read_record(self.evaluation_path, Evaluation)

    def checks(self) -> MaskingChecks | None:
        """checks.json, or None where there is none. Raises CheckpointError where it is malformed."""
        return _read_record(self.checks_path, MaskingChecks)

    def digests(self) -> dict[str, str]:
        """SHA-256 of the weights' file and of the network's arguments: what a result is of. Raises CheckpointError."""
        path = self.folder / WEIGHTS
        try:
            weights = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise CheckpointError(f"{self.id}/{path.name} cannot be read ({error})") from error
        arguments = json.dumps(self.config, sort_keys=True).encode()
        return {"weights": weights, "configuration": hashlib.sha256(arguments).hexdigest()}

    @property
    def last_path(self) -> Path:
        """Weights after the last epoch, there only when the kept ones are of another."""
        return self.folder / LAST

    def load(self, device: torch.device | str = "cpu", *, last: bool = False) -> CNN:
        """The model in eval mode. Raises CheckpointError for a corrupt or foreign file; InvalidParameter: no device."""
        place = usable_device(device)
        path = self.last_path if last else self.folder / WEIGHTS
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
            info = read_info(config.pop("info"))
        except (KeyError, ValidationError, UnknownName) as error:
            raise CheckpointError(
                f"checkpoint {model_id!r}: config.json was not written by this project ({error!r})"
            ) from error
        return Entry(model_id, folder, config, info)

    def load(self, model_id: str, device: torch.device | str = "cpu") -> CNN:
        return self.entry(model_id).load(device)

    def save(
        self,
        model_id: str,
        model: CNN,
        info: Info,
        *,
        storage: Storage = "float32",
        last: Mapping[str, Tensor] | None = None,
    ) -> Entry:
        """Weights and configuration as one version: whoever is killed, or reads, meets the old one or the new one.

        last: weights after the last epoch, where the kept ones are of another. What was measured of other weights
        under this id goes with them. Raises NoSpace: nothing was changed.
        """
        _check_buildable(model)
        folder = self.root / checked_id(model_id)
        remove_stale(folder)

        def outdated(new: Path) -> tuple[str, ...]:
            same = (folder / WEIGHTS).exists() and (folder / WEIGHTS).read_bytes() == (new / WEIGHTS).read_bytes()
            return (LAST,) if same else (LAST, *MEASURED)

        with new_version(folder, without=outdated) as new:
            (new / "config.json").write_text(as_json({**model.config, "info": asdict(info)}), encoding="utf-8")
            _write_weights(new / WEIGHTS, model.state_dict(), storage)
            if last is not None:
                _write_weights(new / LAST, last, storage)
        return self.entry(model_id)


def read_info(value: object) -> Info:
    """Of a config.json. Raises pydantic's ValidationError, or UnknownName for a method this release does not know."""
    info = TypeAdapter(Info).validate_python(value)
    _ = METHODS[info.method]
    return info


def _check_shapes(path: Path, arguments: Mapping[str, Any]) -> None:
    """Raises ValueError where the file's weights are not those of a network of these arguments.

    Nothing is allocated: a width of 20,000 in a config.json would else take the machine's memory before anyone looked.
    """
    expected = shapes_of(arguments)
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118  # a safetensors file, no mapping
            shape = tuple(file.get_slice(name).get_shape())
            if expected.get(name) != shape:
                raise ValueError(f"{name} is {shape}, expected {expected.get(name, 'no such weights')}")


def shapes_of(arguments: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
    """Of the weights of a network of these arguments, which are JSON; nothing is allocated. Raises as `build`."""
    return _shapes_of(json.dumps(arguments, sort_keys=True))


@lru_cache(maxsize=32)  # for it takes ten times as long as reading the weights of a small one
def _shapes_of(arguments: str) -> Mapping[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build(**json.loads(arguments)).state_dict().items()}


def _check_buildable(model: CNN) -> None:
    """Raises InvalidParameter for a model whose configuration could not be built again."""
    if model.config["arch"] not in MODELS or model.config["method"] not in (PLAIN, *METHODS):
        raise InvalidParameter(
            f"a model of arch {model.config['arch']!r} and method {model.config['method']!r} cannot be saved, for "
            "nobody could build it again: register its architecture under MODELS, and its method under METHODS"
        )


def _write_weights(path: Path, weights: Mapping[str, Tensor], storage: Storage) -> None:
    """As safetensors. In float16 the matrices and kernels are rounded; vectors (of batch norm) stay in float32."""
    rounded = {
        name: (tensor.half() if storage == "float16" and tensor.ndim > 1 else tensor).detach().cpu().contiguous()
        for name, tensor in weights.items()
    }
    save_file(rounded, path, metadata={"format": "pt"})
    path.chmod(0o644)


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
