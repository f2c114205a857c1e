"""Which device computes, in which precision, and what happens when its memory runs out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import torch

from sama_core.errors import DeviceError


class Attempt(NamedTuple):
    """One way to compute: a device, a dtype for autocast (None: float32), and what to tell the user if it came to
    this."""

    device: torch.device
    autocast: torch.dtype | None
    note: str | None


def choose(requested: str = "auto") -> torch.device:
    """Resolve `auto`, `cpu`, `cuda` or `mps`; `auto` prefers `$SAMA_DEVICE`, then CUDA, MPS, CPU.

    Raises:
        DeviceError: the name is unknown, or the device was asked for by name and is not here.
    """
    if requested == "auto":
        requested = os.environ.get("SAMA_DEVICE") or "auto"
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if requested == "auto":
        return torch.device(next(name for name, here in available.items() if here))
    if requested not in available:
        raise DeviceError(f"There is no device named “{requested}”. Choose auto, cpu, cuda or mps.")
    if not available[requested]:
        raise DeviceError(
            f"PyTorch finds no {requested.upper()} device here. Choose auto or cpu, or check the graphics driver."
        )
    return torch.device(requested)


def attempts(device: torch.device) -> Iterator[Attempt]:
    """The ways to compute on `device`, best first: its own precision, half precision, then the CPU.

    A CPU with bfloat16 arithmetic computes in it (the modules were trained in it); everything else begins in float32.
    """
    on_cpu = torch.bfloat16 if has_bfloat16() else None
    if device.type == "cpu":
        yield Attempt(device, on_cpu, None)
        return
    yield Attempt(device, None, None)
    name = device.type.upper()
    yield Attempt(device, torch.float16, f"The {name} device ran out of memory: computed in half precision.")
    yield Attempt(
        torch.device("cpu"),
        on_cpu,
        f"The {name} device ran out of memory: computed on the CPU, which is slower.",
    )


def has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16 itself; where it is emulated, float32 is faster."""
    # torch asks the processor under these names, which not all of its versions have
    return any(
        getattr(torch.cpu, name, lambda: False)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that a device's (or the machine's) memory ran out."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error).lower()


def release_memory(device: torch.device) -> None:
    """Give cached memory back to the device before the next attempt."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
