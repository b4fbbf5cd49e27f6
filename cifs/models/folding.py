"""Batch norm folded into the convolution before it: the same function in eval mode, with fewer operations."""

import copy
from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cifs.models.trace import is_compiled
from cifs.models.wide_resnet import BNReLU
from cifs.modes import eval_mode

TOLERANCE = 1e-4  # of the largest logit: rounding changes about 3e-6, a wrong fold everything
IMAGES = 4  # on which that is tested
HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


class Pair(NamedTuple):
    convolution: str
    batch_norm: str


@torch.no_grad()
def folded(model: nn.Module, x: Tensor) -> nn.Module:
    """A frozen copy in eval mode, with every BatchNorm folded that alone takes the output of a convolution.

    Which do is seen in a forward pass of a few of the images x (N, C, H, W). Modules with hooks are left alone, and
    weights that are not folded are shared with the model. The model itself comes back where there is nothing to fold,
    where it cannot be copied, or where its logits change by more than rounding.
    """
    x = x[:IMAGES]
    if not len(x) or is_compiled(model):
        return model
    with eval_mode(model):
        pairs, before = _pairs(model, x)
        twin = _copy(model) if pairs else None
        if twin is None:
            return model
        for pair in pairs:
            _fold(twin, pair)
        after = twin(x.clone())
    difference, largest = (before - after).abs().max(), before.abs().max().clamp(min=1)
    return twin if difference <= TOLERANCE * largest else model


@torch.enable_grad()
def _pairs(model: nn.Module, x: Tensor) -> tuple[list[Pair], Tensor]:
    """Which convolutions and batch norms follow one another, each run once; and the logits of x.

    A convolution whose output something else uses too (a shortcut, as that of a pre-activation network's stem) is left
    out: autograd's graph knows who does.
    """
    outputs: dict[str, list[Tensor]] = {}
    inputs: dict[str, list[Tensor]] = {}
    handles = []

    def note(tensors: dict[str, list[Tensor]], name: str, tensor: Any) -> None:
        tensors.setdefault(name, []).append(tensor)

    for name, module in model.named_modules():
        if any(getattr(module, hooks) for hooks in HOOKS):
            continue
        if type(module) is nn.Conv2d:
            handles.append(module.register_forward_hook(lambda m, args, z, name=name: note(outputs, name, z)))
        if type(module) in (nn.BatchNorm2d, BNReLU) and module.running_mean is not None:
            handles.append(module.register_forward_pre_hook(lambda m, args, name=name: note(inputs, name, args[0])))
    try:
        logits = model(x.detach().requires_grad_().clone())  # for the network may change what it is given
    finally:
        for handle in handles:
            handle.remove()
    uses = _uses(logits)
    source = {id(zs[0]): name for name, zs in outputs.items() if len(zs) == 1 and uses[zs[0].grad_fn] == 1}
    pairs = [Pair(source[id(zs[0])], name) for name, zs in inputs.items() if len(zs) == 1 and id(zs[0]) in source]
    return pairs, logits.detach()


def _uses(logits: Tensor) -> Counter[Node | None]:
    """How many operations on the way to the logits take what each of them puts out."""
    uses: Counter[Node | None] = Counter()
    todo = [logits.grad_fn]
    while todo:
        if (operation := todo.pop()) is not None:
            for node, _ in operation.next_functions:
                if node not in uses:
                    todo.append(node)
                uses[node] += 1
    return uses


def _copy(model: nn.Module) -> nn.Module | None:
    """The modules copied and frozen, the weights shared; None for a module that cannot be copied."""
    shared: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in model.parameters()}
    shared |= {id(buffer): buffer for buffer in model.buffers()}
    for module in model.modules():
        shared |= {id(hook): hook for hooks in HOOKS for hook in getattr(module, hooks).values()}
    try:
        return copy.deepcopy(model, shared).eval()
    except Exception:  # of whatever kind a foreign module's attributes have in store
        return None


def _fold(model: nn.Module, pair: Pair) -> None:
    convolution, batch_norm = (model.get_submodule(name) for name in pair)
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(batch_norm, nn.BatchNorm2d)
    model.set_submodule(pair.convolution, fuse_conv_bn_eval(convolution, batch_norm))
    rest = nn.ReLU() if isinstance(batch_norm, BNReLU) else nn.Identity()
    model.set_submodule(pair.batch_norm, rest.eval())
