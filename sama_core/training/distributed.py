"""Training in several processes, one for each device, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist

from sama_core.inference import device as devices


@contextmanager
def joined(requested: str) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did, and leave them at the end.

    Args:
        requested: `auto`, `cpu`, `cuda` or `mps`.

    Yields:
        This process's device: of several GPUs the one that torchrun's LOCAL_RANK says.

    Raises:
        DeviceError: there is no such device.
    """
    device = devices.choose(requested)
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank_and_count() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) where there is only this one."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def average(tensors: Sequence[torch.Tensor]) -> None:
    """Replace tensors by their means over all processes, in place; all processes give the same shapes."""
    if rank_and_count()[1] == 1 or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def any_of(flag: bool, device: torch.device) -> bool:
    """Whether `flag` is true in any process."""
    if rank_and_count()[1] == 1:
        return flag
    asked = torch.tensor(int(flag), device=device)
    dist.all_reduce(asked, dist.ReduceOp.MAX)
    return bool(asked.item())


def agree(number: int, device: torch.device) -> bool:
    """Whether `number` is the same in all processes."""
    return not any_of(number != _of_first(number, device), device)


def _of_first(number: int, device: torch.device) -> int:
    if rank_and_count()[1] == 1:
        return number
    held = torch.tensor(number, device=device)
    dist.broadcast(held, 0)
    return int(held.item())
