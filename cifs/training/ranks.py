"""Several processes that train one model together, each on its share of every batch; or one process alone.

    torchrun --nproc-per-node 2 -m cifs train …

The batch stays the recipe's, and so does the run: gradients and batch-norm statistics are those of the whole batch, so
what differs from one process is the order in which floats are summed.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cifs.errors import InvalidParameter

# The first process validates and saves while the others wait for it in their next exchange.
PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class Ranks:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that logs, validates and saves."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        if batch_size % self.size:
            raise InvalidParameter(
                f"batch_size = {batch_size} cannot be shared evenly by {self.size} processes; give a multiple of "
                f"{self.size}"
            )

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch (N, …) → (N / size, …)."""
        n = len(batch) // self.size
        return batch[self.rank * n : (self.rank + 1) * n]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Each tensor becomes its mean over all processes, in place and in one exchange."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, mean in zip(tensors, (flat / self.size).split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process; all agree on the answer."""
        if self.size == 1:
            return flag
        votes = torch.tensor(int(flag))
        dist.all_reduce(votes)
        return bool(votes)

    def wait(self) -> None:
        """Until every process is here."""
        self.any(False)


ALONE = Ranks()


def check_processes(processes: int, batch_size: int, device: str) -> None:
    """Raises InvalidParameter where so many processes of one host cannot train together."""
    Ranks(size=processes).check(batch_size)
    if processes > 1 and device.startswith("cuda"):
        _refuse_chosen(device)
        if processes > (there := torch.cuda.device_count()):
            raise InvalidParameter(f"processes = {processes}: each takes a GPU, and there are {there}")


def _refuse_chosen(device: str) -> None:
    if ":" in device:
        raise InvalidParameter(f"device = {device!r}: torchrun gives every process a GPU of its own; write cuda")


@contextmanager
def joined(device: str) -> Iterator[tuple[Ranks, torch.device]]:
    """The processes torchrun started, joined within the block, and this one's device; without torchrun, itself alone.

    CPUs exchange by gloo; GPUs by nccl, one a process, chosen by torchrun's local rank. Raises InvalidParameter.
    """
    if not dist.is_torchelastic_launched():
        yield ALONE, torch.device(device)
        return
    own = torch.device(device)
    if own.type == "cuda":
        _refuse_chosen(device)
        own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(own)
    dist.init_process_group("cpu:gloo,cuda:nccl" if own.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size()), own
    finally:
        dist.destroy_process_group()


def synchronise_batch_norm(model: nn.Module, device: torch.device) -> None:
    """Batch norm that normalises by the statistics of the whole batch, not of this process's share.

    On GPUs by torch's SyncBatchNorm, which refuses CPU tensors; on CPUs by ours below, slower and as exact. Not by
    convert_sync_batchnorm: it would put a plain SyncBatchNorm in the place of our subclass with a ReLU. A subclass of
    both keeps the subclass's forward, whose super() is then the synchronised one, and parameters, buffers and names.
    """
    synchronised = nn.SyncBatchNorm if device.type == "cuda" else SumBatchNorm
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            plain = type(module)
            both = (plain, synchronised)
            module.__class__ = type(f"Synchronised{plain.__name__}", both, {"process_group": None})  # all processes


class SumBatchNorm(_BatchNorm):
    """Synchronised batch norm in plain autograd, for shares of equal size."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        z = x.float()  # (n, C, H, W)
        mean = _mean_over_ranks(z.mean(dim=(0, 2, 3)))  # (C,)
        centred = z - mean[:, None, None]
        variance = _mean_over_ranks(centred.square().mean(dim=(0, 2, 3)))  # (C,)
        with torch.no_grad():
            n = dist.get_world_size() * x.numel() / x.shape[1]
            momentum = self.momentum or 0.0
            for running, of_batch in ((self.running_mean, mean), (self.running_var, variance * n / (n - 1))):
                assert running is not None
                running.lerp_(of_batch, momentum)
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def _mean_over_ranks(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)
    return total / dist.get_world_size()


class _Sum(torch.autograd.Function):
    """The sum over processes. Every process's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0])
