"""The trace of any classifier, through whatever it is wrapped in."""

from torch import Tensor, nn

from cifs.errors import InvalidParameter
from cifs.models.cnn import CNN
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


def trace(model: nn.Module, x: Tensor) -> Trace:
    """Logits of x (N, C, H, W), and what every selection layer did on the way, at whatever depth it sits.

    An attack that missed one would not be adaptive and its figure would flatter the model, so a layer that did not run
    is an error. Raises InvalidParameter.
    """
    model = unwrap(model)
    if isinstance(model, CNN):
        return model.trace(x)
    inside = {name: module for name, module in model.named_modules() if isinstance(module, SelectionLayer)}
    layers: dict[str, Selection] = {}
    handles = [
        module.register_forward_hook(lambda _m, _a, selection, name=name: layers.update({name: selection}))
        for name, module in inside.items()
    ]
    try:
        logits = model(x)
    finally:
        for handle in handles:
            handle.remove()
    if missing := [name for name in inside if name not in layers]:
        raise InvalidParameter(f"{type(model).__name__} has selection layers that did not run: {', '.join(missing)}")
    return Trace(logits, layers)
