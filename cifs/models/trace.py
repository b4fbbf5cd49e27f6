"""The trace of any classifier, through whatever it is wrapped in.

A model of ours may be a part of another: behind a normalisation, in an ensemble, in `DataParallel`, compiled. Attacks
that only saw the logits there would not be adaptive, and the model would seem more robust than it is. So every
`Selection` that any module returns during the forward pass is collected, and a model that hides one is refused.
"""

import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from cifs.errors import InvalidParameter
from cifs.models.cnn import CNN
from cifs.models.layers import logits_of
from cifs.selection import Selection, SelectionLayer, Trace

Noted = list[tuple[nn.Module, Selection]]  # in forward order


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

    Raises InvalidParameter where a selection layer is hidden.
    """
    model = unwrap(model)
    if isinstance(model, CNN):
        return model.trace(x)
    if is_compiled(model) and not _inside(model):
        return Trace(logits_of(model(x)), {})  # what has no selection layers may stay compiled
    with collecting(model, len(x)) as layers:
        logits = logits_of(model(x))
    return Trace(logits, layers)


@contextmanager
def collecting(model: nn.Module, n: int) -> Iterator[dict[str, Selection]]:
    """Within the block a forward pass of n images leaves what every selection layer in the model did, by its name.

    The second run of a layer is "layer, pass 2". An attack that missed one would not be adaptive and its figure would
    flatter the model, so at the block's end it is an error that one did not run, ran on other images than the n, or is
    none of the model's modules: InvalidParameter.
    """
    layers: dict[str, Selection] = {}
    with _eager(model), _noting() as noted:
        yield layers
    inside = _inside(model)
    _check(type(model).__name__, inside, noted, n)
    names = {id(module): name for name, module in inside.items()}
    runs: Counter[str] = Counter()
    for module, selection in noted:
        name = names[id(module)]
        runs[name] += 1
        layers[name if runs[name] == 1 else f"{name}, pass {runs[name]}"] = selection


def refuse_copies(model: nn.Module) -> None:
    """Raises InvalidParameter for a scripted or symbolically traced copy, whose selection layers are none any more."""
    for name, module in model.named_modules():
        copied = isinstance(module, torch.jit.ScriptModule | torch.fx.GraphModule)
        if copied and any("probe" in inner for inner, _ in module.named_modules()):
            raise InvalidParameter(
                f"{name or 'the model'} is a {type(module).__name__}, in which probes are no layers any more: attack "
                "the model it was made from"
            )


def is_compiled(model: nn.Module) -> bool:
    """Whether the model or a part of it went through torch.compile."""
    return any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


def _inside(model: nn.Module) -> dict[str, SelectionLayer]:
    return {name: module for name, module in model.named_modules() if isinstance(module, SelectionLayer)}


@contextmanager
def _noting() -> Iterator[Noted]:
    """Within the block, every module that returns a Selection in this thread, with it."""
    noted: Noted = []
    thread = threading.get_ident()

    def note(module: nn.Module, args: Any, output: Any) -> None:
        own = not hasattr(module, "_orig_mod")  # else it is noted by the module that was compiled
        if own and isinstance(output, Selection) and threading.get_ident() == thread:
            noted.append((module, output))

    handle = register_module_forward_hook(note)
    try:
        yield noted
    finally:
        handle.remove()


@contextmanager
def _eager(model: nn.Module) -> Iterator[None]:
    """Compiled parts run as written: a compiled graph does not call what is registered after it was made."""
    if not is_compiled(model):
        yield
        return
    with torch.compiler.set_stance("force_eager"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using `torch.compile.module.` when there are global hooks")
        yield


def _check(whose: str, inside: dict[str, SelectionLayer], noted: Noted, n: int) -> None:
    ran = {id(module) for module, _ in noted}
    if missing := [name for name, module in inside.items() if id(module) not in ran]:
        raise InvalidParameter(
            f"{whose} has selection layers that did not run: {', '.join(missing)} (or that ran as replicas elsewhere); "
            "take the model they belong to, without what is around it"
        )
    if ran - {id(module) for module in inside.values()}:
        raise InvalidParameter(
            f"{whose} runs a selection layer that is none of its modules, so that neither eval mode nor an attack's "
            "settings reach it: register the model inside as a submodule"
        )
    for _, selection in noted:
        if (images := len(selection.raw_prediction)) != n:
            raise InvalidParameter(
                f"a selection layer saw {images} images where {whose} was given {n}: take the model inside, which "
                "makes one prediction of one image"
            )
