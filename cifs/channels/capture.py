"""Reaching into a layer of any CNN by name; what is attached comes off with the `with` block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from cifs.errors import InvalidParameter, UnknownName
from cifs.models import CNN


def layer_names(model: nn.Module) -> tuple[str, ...]:
    """The named layers of a model of ours; of another CNN every submodule."""
    return model.layers if isinstance(model, CNN) else tuple(name for name, _ in model.named_modules() if name)


def layer_module(model: nn.Module, layer: str) -> nn.Module:
    if layer not in layer_names(model):
        raise UnknownName("layer", layer, layer_names(model))
    return model.get_submodule(layer)


@contextmanager
def editing(model: nn.Module, layer: str, edit: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within the block the layer's features z (N, C, H, W) are replaced by edit(z), before any selection.

    Raises UnknownName, and InvalidParameter where the layer does not put out feature maps.
    """

    def hook(module: nn.Module, args: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise InvalidParameter(f"layer {layer!r} puts out no feature maps (N, C, H, W)")
        return edit(output)

    handle = layer_module(model, layer).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


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
