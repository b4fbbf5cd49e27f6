"""The trace of any classifier, through whatever it is wrapped in."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from cifs.errors import InvalidParameter
from cifs.models.cnn import CNN
from cifs.models.layers import logits_of
from cifs.selection import Selection, SelectionLayer, Trace


def unwrap(model: nn.Module) -> nn.Module:
    """What DataParallel, DistributedDataParallel and torch.compile were wrapped around."""
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


@contextmanager
def collecting(model: nn.Module) -> Iterator[dict[str, Selection]]:
    """Within the block a forward pass leaves what every selection layer in the model did, by name, at whatever depth.

    An attack that missed one would not be adaptive and its figure would flatter the model, so one that did not run is
    an error at the block's end: InvalidParameter.
    """
    inside = {name: module for name, module in model.named_modules() if isinstance(module, SelectionLayer)}
    layers: dict[str, Selection] = {}
    handles = [
        module.register_forward_hook(lambda _m, _a, selection, name=name: layers.update({name: selection}))
        for name, module in inside.items()
    ]
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()
    if missing := [name for name in inside if name not in layers]:
        raise InvalidParameter(f"{type(model).__name__} has selection layers that did not run: {', '.join(missing)}")


def trace(model: nn.Module, x: Tensor) -> Trace:
    """Logits of x (N, C, H, W), and what every selection layer did on the way. Raises InvalidParameter."""
    model = unwrap(model)
    if isinstance(model, CNN):
        return model.trace(x)
    with collecting(model) as layers:
        logits = logits_of(model(x))
    return Trace(logits, layers)
