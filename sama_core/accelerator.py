"""What this computer can compute with: an NVIDIA card, an AMD card, Apple silicon, or the processor alone.

Everything is read, nothing is loaded: the driver's own programs are asked, and where they are absent the files that
the driver shows, and its library. Standard library only: the installer uses it before there is an engine.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: Driver branch -> the newest CUDA that it runs, for drivers that show only their own version.
#: NVIDIA, "CUDA Toolkit Release Notes", table "CUDA Toolkit and Corresponding Driver Versions".
_CUDA_OF_DRIVER = {
    525: (12, 0),
    530: (12, 1),
    535: (12, 2),
    545: (12, 3),
    550: (12, 4),
    555: (12, 5),
    560: (12, 6),
    570: (12, 8),
    575: (12, 9),
    580: (13, 0),
    590: (13, 1),
}
#: Asks the driver's library, in a process of its own: a broken driver may take the process with it.
_ASK_LIBRARY = """
import ctypes, sys
library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
version = ctypes.c_int()
if library.cuDriverGetVersion(ctypes.byref(version)) == 0:
    print(version.value // 1000, version.value % 1000 // 10)
"""


@dataclass(frozen=True)
class Accelerator:
    """What the engine can compute with.

    Attributes:
        maker: "nvidia", "amd", "apple" or "none".
        name: in words, for a person.
        cuda: the newest CUDA that NVIDIA's driver runs, for example (12, 8), or None when not known.
        capability: the least compute capability of NVIDIA's cards, for example (8, 6), or None when not known.
        driver: the version of NVIDIA's driver, "" when not known.
        amd: the architectures of AMD's cards, for example ("gfx1100",).
        note: what stands in its way, a sentence with a remedy, or "".
    """

    maker: str
    name: str
    cuda: tuple[int, int] | None = None
    capability: tuple[int, int] | None = None
    driver: str = ""
    amd: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Computer:
    """Where to look.

    Attributes:
        system: as `sys.platform` has it.
        machine: as `platform.machine()` has it.
        root: the folder that stands for "/".
        path: the PATH that programs are looked for in.
        library: whether to ask the driver's library too.
    """

    system: str
    machine: str
    root: Path
    path: str
    library: bool = True

    def program(self, name: str, *elsewhere: str) -> str | None:
        """Return a program's place, or None."""
        places = [self.path, *(str(self.root / place) for place in elsewhere)]
        return shutil.which(name, path=os.pathsep.join(places))


def this_computer() -> Computer:
    """The one that the installer runs on."""
    return Computer(sys.platform, platform.machine(), Path("/"), os.environ.get("PATH", os.defpath))


def detect(computer: Computer) -> Accelerator:
    """Return the best accelerator there is: NVIDIA before AMD, and Apple's where nothing else can be."""
    if computer.system == "darwin":
        if computer.machine == "arm64":
            return Accelerator("apple", "Apple silicon (Metal)")
        return Accelerator("none", "the processor (Macs with Intel processors: no graphics card is used)")
    return (
        _nvidia(computer) or _amd(computer) or Accelerator("none", "the processor: no usable graphics card was found")
    )


def _nvidia(computer: Computer) -> Accelerator | None:
    smi = computer.program("nvidia-smi", "usr/lib/wsl/lib", *_windows_folders(computer))
    # Its own exit status tells apart a program that was left behind from a driver that works.
    listing = _said(smi, "--query-gpu=name,compute_cap", "--format=csv,noheader") if smi else ""
    cards = [line.rsplit(",", 1) for line in listing.splitlines() if "," in line]
    if smi and cards:
        name = cards[0][0].strip() + (f" and {len(cards) - 1} more" if len(cards) > 1 else "")
        capabilities = [found for card in cards if (found := _version(card[1], r"(\d+)\.(\d+)"))]
        table = _said(smi)
        level = _version(table, r"CUDA (?:UMD )?Version\s*:\s*(\d+)\.(\d+)") or _library_level(computer)
        version = re.search(r"Driver Version\s*:\s*([\d.]+)", table)
        return _nvidia_card(name, level, min(capabilities, default=None), version[1] if version else "")
    shown = computer.root / "proc" / "driver" / "nvidia"
    driver = _read(shown / "version")
    if driver:
        models = (_read(file) for file in sorted(shown.glob("gpus/*/information")))
        names = [match.group(1).strip() for text in models if (match := re.search(r"Model:\s*(.+)", text))]
        branch = re.search(r"\b(\d{3})\.\d+", driver)
        level = _library_level(computer) or (_cuda_of(int(branch.group(1))) if branch else None)
        return _nvidia_card(names[0] if names else "NVIDIA card", level, None)
    level = _library_level(computer)
    return _nvidia_card("NVIDIA card", level, None) if level else None


def _nvidia_card(
    name: str, cuda: tuple[int, int] | None, capability: tuple[int, int] | None, driver: str = ""
) -> Accelerator:
    level = f" (the driver runs CUDA up to {cuda[0]}.{cuda[1]})" if cuda else ""
    note = ""
    if cuda is not None and cuda < (12, 0):
        note = (
            f"The driver of {name} is too old for PyTorch (it runs CUDA up to {cuda[0]}.{cuda[1]}, and 12.0 is "
            "needed), so the processor is used. Update NVIDIA's driver to version 525 or newer and run this installer "
            "again."
        )
    return Accelerator("nvidia", name + level, cuda, capability, driver, note=note)


def _windows_folders(computer: Computer) -> tuple[str, ...]:
    if computer.system != "win32":
        return ()
    return ("Windows/System32", "Program Files/NVIDIA Corporation/NVSMI")


def _library_level(computer: Computer) -> tuple[int, int] | None:
    if not computer.library:
        return None
    return _version(_said(sys.executable, "-I", "-c", _ASK_LIBRARY), r"^(\d+) (\d+)$")


def _cuda_of(branch: int) -> tuple[int, int] | None:
    known = [number for number in _CUDA_OF_DRIVER if number <= branch]
    return _CUDA_OF_DRIVER[max(known)] if known else (11, 8)


def _amd(computer: Computer) -> Accelerator | None:
    if computer.system != "linux":
        return None
    said = ""
    rocminfo = computer.program("rocminfo", "opt/rocm/bin")
    if rocminfo:
        said = _said(rocminfo)
    cards = tuple(dict.fromkeys(re.findall(r"^\s*Name:\s*(gfx[0-9a-f]+)\s*$", said, re.MULTILINE)))
    names = re.findall(r"^\s*Marketing Name:\s*(.*(?:Radeon|Instinct).*?)\s*$", said, re.MULTILINE)
    cards = cards or _kernels_amd_cards(computer.root)
    if not cards:
        return None
    note = ""
    device = computer.root / "dev" / "kfd"
    if device.exists() and not os.access(device, os.R_OK | os.W_OK):
        note = (
            "This user may not use the AMD card for computing, so the processor will be used. Give yourself the right, "
            "sudo usermod -aG render,video $USER, and log in again."
        )
    return Accelerator("amd", f"{names[0] if names else 'AMD card'} ({', '.join(cards)})", amd=cards, note=note)


def _kernels_amd_cards(root: Path) -> tuple[str, ...]:
    """The architectures that the kernel's driver for computing shows."""
    found = []
    for file in sorted((root / "sys" / "class" / "kfd" / "kfd" / "topology" / "nodes").glob("*/properties")):
        match = re.search(r"^gfx_target_version\s+(\d+)$", _read(file), re.MULTILINE)
        number = int(match.group(1)) if match else 0
        if number:
            # 100300 is gfx1030 and 90010 is gfx90a: the last two digits pairs are one hexadecimal digit each.
            found.append(f"gfx{number // 10000}{number // 100 % 100:x}{number % 100:x}")
    return tuple(dict.fromkeys(found))


def _version(text: str, pattern: str) -> tuple[int, int] | None:
    match = re.search(pattern, text, re.MULTILINE)
    return (int(match.group(1)), int(match.group(2))) if match else None


def _said(program: str, *arguments: str) -> str:
    """What a program says; nothing when it fails."""
    try:
        done = subprocess.run(
            [program, *arguments],
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
