"""Numeric precision and determinism, in one place."""

import os
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import nn

from cifs.errors import InvalidParameter

Precision = Literal["float32", "bf16"]


def autocast(device: torch.device | str, precision: Precision) -> AbstractContextManager[None]:
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")


def usable_device(name: torch.device | str) -> torch.device:
    """Raises InvalidParameter for a device torch does not know or this machine does not have."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        raise InvalidParameter(
            f"device {str(name)!r} cannot be used here: {str(error).partition(chr(10))[0]}"
        ) from error


def device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def instructions() -> str:
    """The processor's widest instructions for bf16 products: a training's bits are a function of them, and of threads.

    oneDNN uses them unless the environment's ONEDNN_MAX_CPU_ISA holds it to older ones, which is said then.
    """
    cpu = torch.cpu.get_capabilities()
    names = ("amx_bf16", "avx512_bf16", "avx512_f", "avx2")
    widest = next((name for name in names if cpu.get(name)), cpu["architecture"])
    held = os.environ.get("ONEDNN_MAX_CPU_ISA")
    return widest if held is None else f"{widest}, held to {held}"


def generator(*seeds: int) -> torch.Generator:
    """A CPU generator that is a function of these numbers alone: (seed, step) makes a run resumable to the step."""
    state = 0
    for seed in seeds:  # splitmix64, so that neighbouring seeds share nothing
        state = (state + seed + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return torch.Generator().manual_seed(state >> 1)
