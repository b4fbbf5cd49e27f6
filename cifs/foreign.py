"""Weights of other projects as models of ours: a file, and the layout its names follow.

Files are read as weights and nothing else (`weights_only`, or safetensors): nothing that is loaded can run code. The
names are facts read off public code: HanshuYAN/CIFS, bymavis/CAS_ICLR2021, kuangliu/pytorch-cifar, and the Wide ResNets
of TRADES and RobustBench.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cifs.data import Dataset
from cifs.errors import CheckpointError, CIFSError
from cifs.methods import METHODS, CASMethod, CIFSMethod
from cifs.models import CNN, MODELS, build
from cifs.models.library import from_library
from cifs.models.resnet import BLOCKS
from cifs.records import network_text
from cifs.registry import Registry

Weights = Mapping[str, Tensor]
Translation = tuple[dict[str, Any], dict[str, Tensor]]  # arguments of the model, and the weights by our names
Layout = Callable[[Weights], Translation]  # raises CheckpointError for weights of another layout
LAYOUTS: Registry[Layout] = Registry("layout")

CONTAINERS = ("state_dict", "model_state_dict", "model", "net")  # under which files keep their weights
PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile and a wrapper's attribute
SHARPNESS = 5.0  # of the softplus in the probes of CIFS's authors
COMMON = {  # networks that are looked for, for a file does not say which it holds
    "torchvision": (
        "resnet18", "resnet34", "resnet50", "resnet101", "vgg11_bn", "vgg16_bn", "vgg16", "mobilenet_v2",
        "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "densenet121", "convnext_tiny", "googlenet",
    ),
    "timm": (
        "resnet26", "regnetx_002", "regnety_004", "mobilenetv3_small_100", "mobilenetv3_large_100", "efficientnet_b0",
        "convnext_tiny", "densenet121", "swin_tiny_patch4_window7_224",
    ),
}  # fmt: skip


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
def kuangliu(weights: Weights) -> Translation:
    """ResNets as in kuangliu/pytorch-cifar: conv1, bn1, layer1 to layer4, linear."""
    blocks = _blocks(weights, r"layer([1-4])\.(\d+)\.", 4)
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
    return arguments, _renamed(weights, {r"^conv1\.": "stem.0.", r"^bn1\.": "stem.1.", r"^linear\.": "fc."})


@LAYOUTS.register("hanshuyan-cifs")
def cifs_of_its_authors(weights: Weights) -> Translation:
    """The ResNet-18 of HanshuYAN/CIFS: kuangliu's, with layer4.*.Probe.Probe. Its IMGF is softmax with T = 1."""
    arguments, weights = kuangliu(weights)
    sites = []
    for name in _probed(weights, r"(layer4\.\d+)\.Probe\.Probe\.1\.weight"):
        hidden = weights.get(f"{name}.Probe.Probe.0.fc.weight")
        mlp = {"name": "mlp", "sharpness": SHARPNESS, "hidden": 0 if hidden is None else len(hidden)}
        sites.append({"layer": name, "probe": {"name": "linear"} if hidden is None else mlp})
    arguments |= {"method": METHODS.name_of(CIFSMethod()), "imgf": {"name": "softmax"}, "k": 2, "sites": sites}
    ours = {
        r"^layer4\.(\d+)\.Probe\.Probe\.0\.fc\.": r"selection.layer4/\1.probe.hidden.",
        r"^layer4\.(\d+)\.Probe\.Probe\.1\.": r"selection.layer4/\1.probe.output.",
    }
    return arguments, _renamed(weights, ours)


@LAYOUTS.register("cas")
def cas_of_its_authors(weights: Weights) -> Translation:
    """The ResNets of bymavis/CAS_ICLR2021 (layer4.*.fc), and CAS as HanshuYAN/CIFS has it (layer4.*.CAS.fc)."""
    arguments, weights = kuangliu(weights)
    probed = _probed(weights, r"(layer4\.\d+)\.(?:CAS\.)?fc\.weight")
    arguments |= {"method": METHODS.name_of(CASMethod()), "sites": [{"layer": name} for name in probed]}
    return arguments, _renamed(weights, {r"^layer4\.(\d+)\.(?:CAS\.)?fc\.": r"selection.layer4/\1.probe.output."})


@LAYOUTS.register("wide-resnet")
def wide_resnet(weights: Weights) -> Translation:
    """Wide ResNets as in TRADES and RobustBench (block1 to block3), plain or with the CAS of bymavis/CAS_ICLR2021."""
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith("sub_block1.")}  # never run
    blocks = _blocks(weights, r"block([1-3])\.layer\.(\d+)\.", 3)
    arch = f"wrn{6 * blocks[0] + 4}"
    if len(set(blocks)) > 1 or arch not in MODELS or "block1.layer.0.conv1.weight" not in weights:
        raise CheckpointError(f"not a Wide ResNet in the layout of TRADES: block1 to block3 have {blocks} layers")
    width, in_channels = len(weights["block1.layer.0.conv1.weight"]), weights["conv1.weight"].shape[1]
    arguments = {"arch": arch, "width": width, "in_channels": in_channels, "num_classes": len(weights["fc.weight"])}
    if "extra_fc.weight" in weights:
        last = f"layer3.{blocks[2] - 1}.preact1"
        arguments |= {"method": METHODS.name_of(CASMethod()), "sites": [{"layer": last}, {"layer": "final"}]}
    ours = {
        r"^conv1\.": "stem.",
        r"^bn1\.": "final.",
        r"^block(\d)\.layer\.(\d+)\.fc\.": r"selection.layer\1/\2/preact1.probe.output.",
        r"^extra_fc\.": "selection.final.probe.output.",
        r"^block(\d)\.layer\.(\d+)\.bn(\d)\.": r"layer\1.\2.preact\3.",
        r"^block(\d)\.layer\.(\d+)\.convShortcut\.": r"layer\1.\2.shortcut.",
        r"^block(\d)\.layer\.(\d+)\.": r"layer\1.\2.",
    }
    return arguments, _renamed(weights, ours)


@LAYOUTS.register("torchvision")
def torchvision(weights: Weights) -> Translation:
    """The most common networks of torchvision; any other is asked for by name, such as torchvision:resnet152."""
    return _one_of("torchvision", weights)


@LAYOUTS.register("timm")
def timm(weights: Weights) -> Translation:
    """The most common networks of timm; any other is asked for by name, such as timm:resnet26."""
    return _one_of("timm", weights)


def _one_of(library: str, weights: Weights) -> Translation:
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    for name in COMMON[library]:
        arguments, ours = of_library(f"{library}:{name}", weights)
        with torch.device("meta"):
            own = from_library(arguments["arch"], arguments["num_classes"], (3, 224, 224)).state_dict()
        if shapes == {key: tensor.shape for key, tensor in own.items()}:
            return arguments, ours
    raise CheckpointError(
        f"none of {library}'s {', '.join(COMMON[library])}; name another, such as {library}:resnet152"
    )


def of_library(arch: str, weights: Weights) -> Translation:
    """Weights of a network whose architecture, "library:name", is known; its classes are those of the last layer."""
    heads = [len(tensor) for tensor in weights.values() if tensor.ndim == 2]
    if not heads:
        raise CheckpointError(f"not a classifier of {arch}: no linear layer")
    return {"arch": arch, "num_classes": heads[-1]}, {f"network.{name}": tensor for name, tensor in weights.items()}


def _blocks(weights: Weights, pattern: str, stages: int) -> tuple[int, ...]:
    """How many blocks each stage has, by the names that match (stage from 1, block)."""
    blocks: dict[int, set[int]] = {stage: set() for stage in range(1, stages + 1)}
    for name in weights:
        if match := re.match(pattern, name):
            blocks[int(match[1])].add(int(match[2]))
    return tuple(len(stage) for stage in blocks.values())


def _probed(weights: Weights, pattern: str) -> list[str]:
    """Layers with a probe, whose name is the pattern's first group. Raises CheckpointError where there is none."""
    layers = [match[1] for name in weights if (match := re.fullmatch(pattern, name))]
    if not layers:
        raise CheckpointError(f"no probe in it: no name like {pattern}")
    return sorted(layers)


def _renamed(weights: Weights, ours: Mapping[str, str]) -> dict[str, Tensor]:
    """Every name by the first pattern that fits it."""

    def rename(name: str) -> str:
        return next((re.sub(theirs, new, name) for theirs, new in ours.items() if re.match(theirs, name)), name)

    return {rename(name): tensor for name, tensor in weights.items()}


def import_model(path: Path, layout: str | None, data: Dataset, *, normalised: bool = False) -> CNN:
    """The model in eval mode, checked by its shapes and by a forward pass.

    layout: one of LAYOUTS, or "library:name"; None: the first of LAYOUTS that fits. A folder is read as Hugging Face's.
    normalised: whether the network expects images normalised by the data's mean and std, which no file says; otherwise
    it takes images in [0, 1] as they are.
    Raises UnknownName, or CheckpointError where the file is no weights file or fits neither the layout nor the data.
    """
    if path.is_dir():
        return _run(path.name, _from_folder(path), data)
    weights = read_weights(path)
    if layout is not None:
        return _model(path.name, _layout(layout), weights, data, normalised)
    reasons = []
    for name, translate in LAYOUTS.items():
        try:
            return _model(path.name, translate, weights, data, normalised)
        except CIFSError as error:
            reasons.append(f"{name}: {error}")
    raise CheckpointError(f"{path.name} is in no known layout. {'; '.join(reasons)}")


def _layout(name: str) -> Layout:
    if name in LAYOUTS or name not in MODELS or ":" not in name:
        return LAYOUTS[name]
    return partial(of_library, name)


def _from_folder(folder: Path) -> CNN:
    try:
        return CNN.from_pretrained(folder, local_files_only=True)
    except (CIFSError, SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder} holds no model of ours as save_pretrained writes it ({error})") from error


def _model(name: str, translate: Layout, weights: Weights, data: Dataset, normalised: bool) -> CNN:
    arguments, weights = translate(weights)
    channels = arguments.get("in_channels", data.image_shape[0])
    given, wanted = (channels, arguments["num_classes"]), (data.image_shape[0], len(data.classes))
    if given != wanted:
        raise CheckpointError(
            f"{name} takes {given[0]} channels and knows {given[1]} classes; {data.name} has {wanted[0]} and "
            f"{wanted[1]}"
        )
    mean, std = (data.mean, data.std) if normalised else ([0.0] * channels, [1.0] * channels)
    arguments |= {"in_channels": channels, "image_size": data.image_size, "mean": list(mean), "std": list(std)}
    model = build(**arguments)
    _check_names(name, model, weights)
    model.load_state_dict(weights, strict=False)
    return _run(name, model, data)


def _check_names(name: str, model: CNN, weights: Weights) -> None:
    """Raises CheckpointError unless every weight has a place, of its shape, and every place a weight."""
    own = model.state_dict()
    wrong = {
        "missing": [key for key in own if key not in weights and not key.endswith("num_batches_tracked")],
        "not known": [key for key in weights if key not in own],
        "misshapen": [
            f"{key} is {tuple(weights[key].shape)}, expected {tuple(own[key].shape)}"
            for key in own
            if key in weights and weights[key].shape != own[key].shape
        ],
    }
    said = "; ".join(f"{k}: {', '.join(v[:5])}{' …' if len(v) > 5 else ''}" for k, v in wrong.items() if v)
    if said:
        raise CheckpointError(f"{name} does not fit {network_text(model.arch, model.width, ' of ')}: {said}")


@torch.no_grad()
def _run(name: str, model: CNN, data: Dataset) -> CNN:
    """The model in eval mode, once it has run on images of the data's shape. Raises CheckpointError."""
    try:
        logits = model.eval()(torch.full((2, *data.image_shape), 0.5))
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{name} does not run on images {data.image_shape}: {error}") from error
    if logits.shape != (2, len(data.classes)) or not logits.isfinite().all():
        raise CheckpointError(
            f"{name} puts out logits {tuple(logits.shape)} for two images, {logits.isfinite().sum()} of them finite; "
            f"expected {len(data.classes)} finite ones each"
        )
    return model


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a .safetensors file or a torch file, as it is or in one of CONTAINERS.

    Prefixes that all names share, PREFIXES, are dropped. Raises CheckpointError.
    """
    try:
        held = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # of a damaged pickle torch's reader raises whatever its own code stumbles over
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} cannot be read as weights: {reason or type(error).__name__}") from error
    while isinstance(held, Mapping):
        inner = next((held[key] for key in CONTAINERS if isinstance(held.get(key), Mapping)), None)
        if inner is None:
            break
        held = inner
    if not isinstance(held, Mapping) or not held or not all(isinstance(value, Tensor) for value in held.values()):
        raise CheckpointError(f"{path} holds a {type(held).__name__}, expected tensors by name")
    weights = {str(name): tensor for name, tensor in held.items()}
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in weights)), None):
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights
