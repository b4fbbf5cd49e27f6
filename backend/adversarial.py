"""What was computed of an image is not computed again: a page asks several questions about the same one.

Adversarial images are remembered by weights, configuration, images, labels and resolved attack, and the network's
answers by weights, configuration and images. For inference threads alone, of which one computes at a time.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from cifs.attacks import Attack, Step, perturb
from cifs.models import CNN
from cifs.progress import Report

APIECE = 512  # bytes of a key and of what Python keeps about both, at most

_remembered: OrderedDict[bytes, "Kept"] = OrderedDict()  # the one asked for longest ago first
_digests: WeakKeyDictionary[CNN, str] = WeakKeyDictionary()
_held, _most = 0, 128 * 2**20  # bytes


class Kept(NamedTuple):
    """A tensor as bytes: thousands of small ones, among larger that come and go, held three times their memory."""

    data: bytes
    shape: torch.Size
    dtype: torch.dtype

    @property
    def size(self) -> int:
        return len(self.data) + APIECE


def bound(most: int) -> None:
    """So many bytes are remembered in all, by this process; with 0 nothing is."""
    global _most
    _most = most
    _shrink()


def adversarial(
    model: CNN, x: Tensor, y: Tensor, attack: Attack, report: Report, *, steps: list[Step] | None = None
) -> Tensor:
    """`perturb` (N, C, H, W); with `steps` it is computed anew, and they are recorded there."""
    key = _key(model, (x, y), sorted(attack.resolved().items(), key=str))
    if steps is not None:
        forget(key)
    record = None if steps is None else steps.append
    return _once(key, x.device, lambda: perturb(model, x, y, attack, record=record, report=report))


@torch.no_grad()
def logits(model: CNN, x: Tensor) -> Tensor:
    """What the model says of x (N, C, H, W), as it was loaded: (N, K)."""
    return _once(_key(model, (x,), "logits"), x.device, lambda: model(x))


def forget(key: bytes | None = None) -> None:
    """What is remembered under the key, or everything."""
    global _held
    for each in [*_remembered] if key is None else [key]:
        if (gone := _remembered.pop(each, None)) is not None:
            _held -= gone.size


def _once(key: bytes, device: torch.device, compute: Callable[[], Tensor]) -> Tensor:
    """Laid out the same, (N, C, H, W) in order, whether it is computed or remembered: bytes would differ else."""
    global _held
    if key in _remembered:
        _remembered.move_to_end(key)
        data, shape, dtype = _remembered[key]
        return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape).to(device)
    computed = compute().detach().contiguous()
    _remembered[key] = Kept(_bytes(computed), computed.shape, computed.dtype)
    _held += _remembered[key].size
    _shrink()
    return computed


def _shrink() -> None:
    while _held > _most:
        forget(next(iter(_remembered)))


def _key(model: CNN, given: tuple[Tensor, ...], asked: object) -> bytes:
    digest = sha256(repr((_digest(model), [tuple(part.shape) for part in given], asked)).encode())
    for part in given:
        digest.update(_bytes(part))
    return digest.digest()


def _digest(model: CNN) -> str:
    """Of weights and configuration, which every copy of a model has in common."""
    if model not in _digests:
        digest = sha256(json.dumps(model.config, sort_keys=True, default=str).encode())
        for name, part in model.state_dict().items():
            digest.update(name.encode() + _bytes(part))
        _digests[model] = digest.hexdigest()
    return _digests[model]


def _bytes(part: Tensor) -> bytes:
    return part.detach().to("cpu").contiguous().numpy().tobytes()
