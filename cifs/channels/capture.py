"""Reaching into a layer of any CNN by name; what is attached comes off with the `with` block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from cifs.errors import InvalidParameter, UnknownName
from cifs.models import CNN, unwrap
from cifs.models.layers import CHANNELS_FIRST, CHANNELS_LAST, axis_by_parameters, channels_first


def layer_names(model: nn.Module) -> tuple[str, ...]:
    """The named layers of a model of ours; of another CNN every submodule."""
    return tuple(model.shapes if isinstance(model, CNN) else (name for name, _ in model.named_modules() if name))


def layer_module(model: nn.Module, layer: str) -> nn.Module:
    if layer not in layer_names(model):
        if reason := getattr(model, "refused", {}).get(layer):
            raise InvalidParameter(f"layer {layer!r} cannot be looked at: {reason}")
        raise UnknownName("layer", layer, layer_names(model))
    return model.get_submodule(layer)


@contextmanager
def editing(model: nn.Module, layer: str, edit: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within the block the layer's features z (N, C, H, W) are replaced by edit(z), before any selection.

    Features that the layer lays out as (N, H, W, C) are given to `edit` as (N, C, H, W), and put back its way. Raises
    UnknownName, and InvalidParameter where the layer does not put out feature maps or its channels cannot be told.
    """
    model = unwrap(model)

    def hook(module: nn.Module, args: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise InvalidParameter(f"layer {layer!r} puts out no feature maps (N, C, H, W)")
        return channels_first(edit, output, _axis(model, layer, output))

    handle = layer_module(model, layer).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _axis(model: nn.Module, layer: str, z: Tensor) -> int:
    """Where the channels are in what a layer puts out. Of a network that was not adapted, one look has to tell."""
    if isinstance(model, CNN):
        return model.channel_axis(layer)
    if (axis := axis_by_parameters(model.get_submodule(layer), z.shape)) is not None:
        return axis
    _, a, b, c = z.shape
    if (b == c) != (a == b):  # the two that are alike are height and width
        return CHANNELS_FIRST if b == c else CHANNELS_LAST
    if not any(isinstance(module, nn.LayerNorm) for module in model.modules()):
        return CHANNELS_FIRST  # nothing in this network needs them last
    raise InvalidParameter(
        f"layer {layer!r} puts out {tuple(z.shape)}, and which axis holds the channels cannot be told; "
        "cifs.models.adapt(network) looks at images of two sizes"
    )


class Captured:
    """The features of the last forward pass through a layer."""

    features: Tensor  # (N, C, H, W)


@contextmanager
def capture(model: nn.Module, layer: str) -> Iterator[Captured]:
    """Within the block every forward pass leaves the layer's features in the yielded object."""
    captured = Captured()

    def keep(z: Tensor) -> Tensor:
        captured.features = z
        return z.clone()  # a layer above may work in place, as ReLU(inplace=True)

    with editing(model, layer, keep):
        yield captured


@contextmanager
def intervene(model: nn.Module, layer: str, mask: Tensor) -> Iterator[None]:
    """Within the block channel i of the layer is multiplied by mask[i]; mask (C,) or (N, C)."""

    def damp(z: Tensor) -> Tensor:
        if mask.shape[-1] != z.shape[1]:
            raise InvalidParameter(f"the mask has {mask.shape[-1]} entries, layer {layer!r} has {z.shape[1]} channels")
        return z * mask.to(z)[..., :, None, None]

    with editing(model, layer, damp):
        yield
