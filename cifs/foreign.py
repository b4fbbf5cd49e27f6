"""Weights of other projects as models of ours: a file, and the layout its names follow.

Files are read as weights and nothing else (`weights_only`, or safetensors): nothing that is loaded can run code.
"""

import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cifs.data import Dataset
from cifs.errors import CheckpointError
from cifs.models import CNN, build
from cifs.models.resnet import BLOCKS
from cifs.registry import Registry

Weights = Mapping[str, Tensor]
Layout = Callable[[Weights], tuple[dict[str, Any], dict[str, Tensor]]]  # → arguments of the model, weights by our names
LAYOUTS: Registry[Layout] = Registry("layout")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Weights that an installed package carries."""

    package: str
    file: str
    layout: str
    id: str
    title: str
    dataset: str

    def path(self) -> Path:
        """Raises CheckpointError where the package is not installed."""
        try:
            path = Path(str(distribution(self.package).locate_file(self.file)))
        except PackageNotFoundError:
            raise CheckpointError(f"the package {self.package} is not installed; pip install {self.package}") from None
        if not path.exists():
            raise CheckpointError(f"{self.package} {version(self.package)} does not carry {self.file}")
        return path

    def provenance(self) -> str:
        return f"{self.file} of the PyPI package {self.package} {version(self.package)} (MIT)"


SOURCES: Registry[Source] = Registry("source")
SOURCES.register("pyautoattack")(
    Source(
        package="pyautoattack",
        file="pyautoattack/examples/model_test.pt",
        layout="kuangliu",
        id="cifar10-resnet18-pyautoattack",
        title="Natural (AutoAttack's example)",
        dataset="cifar10",
    )
)


@LAYOUTS.register("kuangliu")
def kuangliu(weights: Weights) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """ResNets as in kuangliu/pytorch-cifar: conv1, bn1, layer1 to layer4, linear."""
    stages: dict[int, set[int]] = {stage: set() for stage in range(1, 5)}
    for name in weights:
        if match := re.match(r"layer([1-4])\.(\d+)\.", name):
            stages[int(match[1])].add(int(match[2]))
    blocks = tuple(len(stage) for stage in stages.values())
    arch = next((arch for arch, known in BLOCKS.items() if known == blocks), None)
    if arch is None or any(".conv3." in name for name in weights):
        raise CheckpointError(
            f"not a ResNet of basic blocks in the layout of kuangliu/pytorch-cifar: layer1 to layer4 have {blocks} "
            f"blocks{' with three convolutions' if arch else ''}; known are {', '.join(BLOCKS)}"
        )
    for name, dimensions in (("conv1.weight", 4), ("linear.weight", 2)):
        if name not in weights or weights[name].ndim != dimensions:
            raise CheckpointError(f"not in the layout of kuangliu/pytorch-cifar: no {name} of {dimensions} dimensions")
    width, in_channels = weights["conv1.weight"].shape[:2]
    arguments = {
        "arch": arch,
        "width": width,
        "in_channels": in_channels,
        "num_classes": len(weights["linear.weight"]),
    }
    ours = {"conv1": "stem.0", "bn1": "stem.1", "linear": "fc"}
    return arguments, {re.sub(r"^(conv1|bn1|linear)(?=\.)", lambda m: ours[m[0]], k): v for k, v in weights.items()}


def import_model(path: Path, layout: str, data: Dataset) -> CNN:
    """The model in eval mode. It takes images in [0, 1] as they are: a mean and std outside the file are not known.

    Raises UnknownName, or CheckpointError where the file is no weights file or fits neither the layout nor the data.
    """
    rename = LAYOUTS[layout]
    arguments, weights = rename(read_weights(path))
    given, wanted = (arguments["in_channels"], arguments["num_classes"]), (data.image_shape[0], len(data.classes))
    if given != wanted:
        raise CheckpointError(
            f"{path.name} takes {given[0]} channels and knows {given[1]} classes; {data.name} has {wanted[0]} and "
            f"{wanted[1]}"
        )
    mean, std = [0.0] * given[0], [1.0] * given[0]
    model = build(**arguments, mean=mean, std=std, image_size=data.image_shape[1])
    own = model.state_dict()
    missing = [name for name in own if name not in weights and not name.endswith("num_batches_tracked")]
    foreign = [name for name in weights if name not in own]
    misshapen = [
        f"{name} is {tuple(weights[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    if missing or foreign or misshapen:
        raise CheckpointError(
            f"{path.name} does not fit {arguments['arch']} of width {arguments['width']}: "
            + "; ".join(
                f"{what}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
                for what, names in (("missing", missing), ("not known", foreign), ("misshapen", misshapen))
                if names
            )
        )
    model.load_state_dict(weights, strict=False)
    return model.eval()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a .safetensors file or a torch file, as it is or under "state_dict", "model" or "net".

    A prefix "module." (of DataParallel) is dropped. Raises CheckpointError.
    """
    try:
        held = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} cannot be read as weights: {reason or type(error).__name__}") from error
    for key in ("state_dict", "model", "net"):
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping) or not held or not all(isinstance(value, Tensor) for value in held.values()):
        raise CheckpointError(f"{path} holds a {type(held).__name__}, expected tensors by name")
    return {str(name).removeprefix("module."): tensor for name, tensor in held.items()}
