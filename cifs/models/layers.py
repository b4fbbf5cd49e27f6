"""Which modules of any network put out feature maps, of which shape, in which order, and with the channels where."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from cifs.errors import InvalidParameter
from cifs.modes import eval_mode

CHANNELS_FIRST, CHANNELS_LAST = 1, 3  # the axis of the channels in (N, C, H, W) and in (N, H, W, C)
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class FeatureMap(NamedTuple):
    """What a module puts out, whichever way it lays it out."""

    shape: tuple[int, int, int]  # (C, H, W)
    axis: int
    pooled: bool  # whether it is one position for any image


class Discovery(NamedTuple):
    """What one network's modules put out, by name and in the order they run."""

    maps: dict[str, FeatureMap]
    refused: dict[str, str]  # modules that run but cannot be analysed, and why
    logits: int  # how many


Passed = tuple[dict[str, list[torch.Size]], Tensor]  # shapes of what each module put out, run by run; the logits


def discover(network: nn.Module, image_shape: tuple[int, int, int]) -> Discovery:
    """By forward passes of two images at this shape and at twice its height and width, in eval mode.

    An axis that grows with the image holds positions; the one that does not holds the channels. Where the network
    takes one size alone, the channels are where as many are as the module's parameters say. Raises InvalidParameter
    where the network does not run.
    """
    channels, height, width = image_shape
    ran, logits = _pass(network, image_shape, images=2)
    larger: Mapping[str, list[torch.Size]] = {}
    with suppress(Exception):  # many networks are made for one size, and each says so in its own way
        larger, _ = _pass(network, (channels, 2 * height, 2 * width), images=1)
    maps: dict[str, FeatureMap] = {}
    refused: dict[str, str] = {}
    for name, shapes in ran.items():
        if len(shapes) > 1:
            refused[name] = f"it runs {len(shapes)} times in a forward pass, and which is meant is not known"
        elif len(shapes[0]) != 4 or shapes[0][0] != 2:
            refused[name] = f"it puts out {_said(shapes[0])}, no feature maps (N, C, H, W)"
        elif (axis := _axis(network.get_submodule(name), shapes[0], larger.get(name))) is None:
            refused[name] = f"it puts out {_said(shapes[0])}, and which axis holds the channels cannot be told"
        else:
            rest = shapes[0][1:]
            shape = rest if axis == CHANNELS_FIRST else (rest[2], rest[0], rest[1])
            pooled = name in larger and larger[name][0] == (1, *shapes[0][1:])
            maps[name] = FeatureMap(tuple(shape), axis, pooled)  # type: ignore[arg-type]
    return Discovery(maps, refused, logits.shape[1])


def _said(shape: torch.Size) -> str:
    return f"a tensor of shape {('N', *shape[1:])}".replace("'", "") if shape else "no tensor"


def count_logits(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """How many logits the network puts out for images of this shape. Raises InvalidParameter where it does not run."""
    return _pass(network, image_shape, images=1)[1].shape[1]


@torch.no_grad()
def _pass(network: nn.Module, image_shape: tuple[int, int, int], images: int) -> Passed:
    ran: dict[str, list[torch.Size]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: object, output: object) -> None:
            ran.setdefault(name, []).append(output.shape if isinstance(output, Tensor) else torch.Size())

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in network.named_modules() if name]
    weight = next(network.parameters(), torch.zeros(0))
    x = torch.full((images, *image_shape), 0.5, dtype=weight.dtype, device=weight.device)
    try:
        with eval_mode(network):
            logits = logits_of(network(x))
    except InvalidParameter:
        raise
    except Exception as error:
        raise InvalidParameter(f"{type(network).__name__} does not run on images {image_shape}: {error}") from error
    finally:
        for handle in handles:
            handle.remove()
    return ran, logits


def logits_of(output: object) -> Tensor:
    """Logits (N, K) of what a classifier returned: a tensor, or a tuple, a dataclass or a dict that begins with it.

    Raises InvalidParameter for anything else.
    """
    first = output
    if isinstance(output, Mapping):  # of Hugging Face's models as well
        first = output.get("logits", next(iter(output.values()), None))
    elif isinstance(output, tuple | list):  # logits first, then auxiliary ones, as GoogLeNet in training
        first = output[0] if output else None
    if not isinstance(first, Tensor) or first.ndim != 2:
        given = f"a tensor {tuple(first.shape)}" if isinstance(first, Tensor) else f"a {type(first).__name__}"
        raise InvalidParameter(f"the network puts out {given}, expected logits (N, K): is it a classifier?")
    return first


def _axis(module: nn.Module, shape: torch.Size, larger: list[torch.Size] | None) -> int | None:
    """Where the channels of what the module put out are; None where that cannot be told."""
    if larger is not None and len(larger) == 1 and len(larger[0]) == 4:
        same = [a == b for a, b in zip(shape[1:], larger[0][1:], strict=True)]
        if same == [True, False, False]:
            return CHANNELS_FIRST
        if same == [False, False, True]:
            return CHANNELS_LAST
    if shape[2:] == (1, 1) and shape[1] > 1:
        return CHANNELS_FIRST  # pooled to a single position
    return axis_by_parameters(module, shape)


def axis_by_parameters(module: nn.Module, shape: torch.Size) -> int | None:
    """Where as many channels are as the last layer with parameters inside the module puts out.

    Convolutions and batch norms have them first; where both ends have as many, only they decide.
    """
    counted = [(m, count) for m in module.modules() if (count := _count(m)) is not None]
    if not counted:
        return None
    last, count = counted[-1]
    first, at_end = shape[1] == count, shape[3] == count
    if first and (not at_end or isinstance(last, _ConvNd | _NormBase)):
        return CHANNELS_FIRST
    return CHANNELS_LAST if at_end and not first else None


def _count(module: nn.Module) -> int | None:
    """How many channels a single layer puts out, by its own attributes."""
    for name in ("out_channels", "num_features", "out_features", "num_channels"):
        if isinstance(value := getattr(module, name, None), int) and next(module.parameters(False), None) is not None:
            return value
    shape = getattr(module, "normalized_shape", None)  # of LayerNorm
    return shape[-1] if isinstance(shape, tuple) and shape else None


def stages(network: nn.Module, maps: Mapping[str, FeatureMap]) -> tuple[str, ...]:
    """The layers a person would name, in the order they run: blocks, and between them what follows an activation.

    Plain containers are gone through, and so is what puts out no feature maps itself; anything else that puts some out
    is a block. Single layers between two blocks stand for what they are the end of, such as convolution, norm, ReLU.
    """
    order = [name for name, known in maps.items() if not known.pooled]
    candidates = sorted(_candidates(network, "", order), key=order.index)
    names: list[str] = []
    run: list[str] = []
    for name in [*candidates, None]:
        if name is not None and not any(network.get_submodule(name).children()):
            run.append(name)
            continue
        names += _of_run(network, run) + ([] if name is None else [name])
        run = []
    return tuple(names)


def _candidates(module: nn.Module, prefix: str, maps: Collection[str]) -> Iterator[str]:
    for child_name, child in module.named_children():
        name = f"{prefix}{child_name}"
        if name in maps and type(child) not in CONTAINERS:
            yield name
        else:
            yield from _candidates(child, f"{name}.", maps)


def _of_run(network: nn.Module, run: list[str]) -> list[str]:
    """Of each convolution or linear layer and what follows it up to the next: its last activation, or last weights."""
    ends: list[str | None] = [None]
    activated = False
    for name in run:
        module = network.get_submodule(name)
        learned = [parameter.ndim for parameter in module.parameters()]
        if learned and max(learned) > 1:
            ends.append(name)
            activated = False
        elif "activation" in type(module).__module__ or (learned and not activated):
            ends[-1] = name
            activated = activated or not learned
    return [name for name in ends if name is not None]


def channels_first(edit: Callable[[Tensor], Tensor], z: Tensor, axis: int) -> Tensor:
    """edit(z), given (N, C, H, W) and put back the way z came."""
    return edit(z) if axis == CHANNELS_FIRST else edit(z.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
