"""What the modified layers of a model did on a forward pass, wherever in the model they sit.

A model of ours may be a part of another: behind a normalisation, in an ensemble, in `DataParallel`, compiled. Attacks
that only saw the logits there would not be adaptive, and the model would seem more robust than it is. So every
`Selection` that any module returns during the pass is collected, and a model that hides one is refused.
"""

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from cifs.errors import CIFSError
from cifs.selection.cifs import CIFS, Selection

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


class Traced(NamedTuple):
    logits: Tensor  # (N, K)
    selections: list[Selection]  # of every modified layer, in forward order

    @property
    def raw_predictions(self) -> list[Tensor]:
        """(N, K) of every probe."""
        return [selection.raw_prediction for selection in self.selections]


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, without DataParallel, DistributedDataParallel and torch.compile around it."""
    while True:
        if isinstance(model, WRAPPERS):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def traced(model: nn.Module, x: Tensor) -> Traced:
    """Logits of x (N, C, H, W), and what every modified layer did, also of a model inside of another.

    Raises CIFSError where a modified layer is hidden: an attack would not be adaptive there.
    """
    layers = modified_layers(model)
    if not layers and is_compiled(model):
        return Traced(model(x), [])  # what has no modified layers may stay compiled: hooks would break its graph
    with _collecting() as collected, _eager(model):
        logits = model(x)
    _check(model, layers, [module for module, _ in collected])
    selections = [selection for _, selection in collected]
    for selection in selections:
        if len(selection.raw_prediction) != len(x):
            raise CIFSError(
                f"a modified layer saw {len(selection.raw_prediction)} images where the model was given {len(x)}: "
                "attack the model inside, which takes one image for one prediction"
            )
    return Traced(logits, selections)


def modified_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that select features, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, CIFS)}


def refuse_copies(model: nn.Module) -> None:
    """Raises CIFSError for a scripted or symbolically traced copy of a model with probes, whose layers are gone."""
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule | torch.fx.GraphModule) and any(
            "probe" in part for part, _ in module.named_modules()
        ):
            raise CIFSError(
                f"{name or 'the model'} is a {type(module).__name__}, in which probes are no layers any more: "
                "attack the model it was made from"
            )


@contextmanager
def _collecting() -> Iterator[list[tuple[nn.Module, Selection]]]:
    """Within the block, every module that returns a Selection in this thread, with it, in forward order."""
    collected: list[tuple[nn.Module, Selection]] = []
    thread = threading.get_ident()

    def note(module: nn.Module, args: Any, output: Any) -> None:
        own = not hasattr(module, "_orig_mod")  # else it is noted by the module that was compiled
        if own and isinstance(output, Selection) and threading.get_ident() == thread:
            collected.append((module, output))

    handle = register_module_forward_hook(note)
    try:
        yield collected
    finally:
        handle.remove()


def _check(model: nn.Module, layers: dict[str, nn.Module], ran: Sequence[nn.Module]) -> None:
    ran_ids = {id(module) for module in ran}
    if silent := [name for name, module in layers.items() if id(module) not in ran_ids]:
        raise CIFSError(
            f"the modified layers {', '.join(silent)} did not show in the forward pass (replicated, or left out): "
            "attack the model they belong to, without what is around it"
        )
    known = {id(module) for module in layers.values()}
    if any(id(module) not in known for module in ran):
        raise CIFSError(
            f"{type(model).__name__} runs a modified layer that is none of its modules, so that neither eval mode nor "
            "the attack's settings reach it: register the model inside as a submodule"
        )


def is_compiled(model: nn.Module) -> bool:
    """Whether the model or a part of it went through torch.compile."""
    return any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


@contextmanager
def _eager(model: nn.Module) -> Iterator[None]:
    """Compiled parts run as written: a compiled graph does not call what is registered after it was made."""
    if not is_compiled(model):
        yield
        return
    with torch.compiler.set_stance("force_eager"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using `torch.compile.module.` when there are global hooks")
        yield
