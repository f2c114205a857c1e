"""The doctor's checks of the machine: disk, memory, and whether PyTorch's build is the one for what computes here."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sama_core import accelerator, paths
from sama_core.cli.report import Check

#: The engine's cache grows to half of this, and its log and state want room too.
LEAST_DISK = 2**30
#: A little more than the engine took at most on a photo of 24 megapixels (docs/results.md).
LEAST_MEMORY = 2.2 * 2**30

_REBUILD = "Run the installer again: it chooses the PyTorch that fits."


def check_disk() -> Iterator[Check]:
    """Free space where the engine writes."""
    place = next(folder for folder in (paths.home(), *paths.home().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    yield Check(
        "Disk space",
        free >= LEAST_DISK,
        f"{free / 2**30:.1f} GiB free",
        f"Make room: the engine wants {LEAST_DISK / 2**30:.0f} GiB for what it keeps between runs.",
    )


def check_memory() -> Iterator[Check]:
    """Memory that programs can still have."""
    free = available_memory()
    if free is None:
        yield Check("Memory", True, "this system does not say how much is free")
        return
    yield Check(
        "Memory",
        free >= LEAST_MEMORY,
        f"{free / 2**30:.1f} GiB free",
        f"Close other programs: a large photo takes the engine up to {LEAST_MEMORY / 2**30:.1f} GiB.",
    )


def available_memory() -> int | None:
    """Bytes that programs can still have, or None where the system does not say."""
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):
            _fields_ = [
                ("length", ctypes.c_ulong),
                ("load", ctypes.c_ulong),
                *((name, ctypes.c_ulonglong) for name in ("total", "free", "c", "d", "e", "f", "g")),
            ]

        status = Status(length=ctypes.sizeof(Status))
        return status.free if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None
    try:
        [kilobytes] = re.findall(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return int(kilobytes) * 1024


@dataclass(frozen=True)
class Nvidia:
    """A card and its driver; `cuda` is the newest CUDA that the driver can do."""

    card: str
    driver: str
    cuda: tuple[int, int] | None


@dataclass(frozen=True)
class TorchBuild:
    """What PyTorch was built for, and what it finds."""

    version: str
    cuda: str | None
    hip: str | None
    cuda_works: bool
    mps_works: bool


def check_device() -> Iterator[Check]:
    """The device the network will run on, and whether PyTorch's build is the one for this machine."""
    import torch

    from sama_core.inference.device import choose

    device = choose("auto").type
    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    build = TorchBuild(
        torch.__version__,
        torch.version.cuda,
        torch.version.hip,
        torch.cuda.is_available(),
        torch.backends.mps.is_available(),
    )
    yield Check("Device", True, f"{device} ({name})" + (", as SAMA_DEVICE asks" if "SAMA_DEVICE" in os.environ else ""))
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    yield judge(build, find_nvidia(), Path("/dev/kfd").exists(), apple)


def judge(build: TorchBuild, nvidia: Nvidia | None, amd: bool, apple: bool) -> Check:
    """Say whether PyTorch's build fits the machine's accelerator."""
    name = "PyTorch's build"
    kind = f"CUDA {build.cuda}" if build.cuda else f"ROCm {build.hip}" if build.hip else "the processor"
    if apple:
        kind = "Apple silicon" if build.mps_works else kind
        return Check(
            name, build.mps_works, f"{build.version}, for {kind}", f"Update macOS to 12.3 or newer. {_REBUILD}"
        )
    detail = f"{build.version}, for {kind}"
    if nvidia is not None:
        level = "" if nvidia.cuda is None else f", up to CUDA {nvidia.cuda[0]}.{nvidia.cuda[1]}"
        detail += f"; {nvidia.card}, driver {nvidia.driver}{level}"
        if build.cuda is None:
            return Check(name, False, f"{detail}: the card is not used", _REBUILD)
        if build.cuda_works:
            return Check(name, True, detail)
        if nvidia.cuda is not None and int(build.cuda.split(".")[0]) > nvidia.cuda[0]:
            return Check(
                name, False, f"{detail}: the driver is too old for it", f"Update the NVIDIA driver. {_REBUILD}"
            )
        return Check(name, False, f"{detail}: PyTorch cannot use the card", f"Restart the computer. {_REBUILD}")
    if amd:
        if build.hip and not build.cuda_works:
            remedy = "Add yourself to the groups render and video, and log in again."
            return Check(name, False, f"{detail}: PyTorch cannot use the AMD card", remedy)
        return Check(name, True, f"{detail}; an AMD card is here" + ("" if build.hip else " and is not used"))
    return Check(name, True, detail)


def find_nvidia() -> Nvidia | None:
    """The NVIDIA card of this computer; None without one."""
    found = accelerator.detect(accelerator.this_computer())
    if found.maker != "nvidia":
        return None
    return Nvidia(found.name.partition(" (")[0], found.driver or "of unknown version", found.cuda)
