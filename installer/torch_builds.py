"""Which build of PyTorch fits this computer, where it comes from, and how large it is.

PyTorch's own index has one folder for each build; what pip takes without being told ("default") is the build for
NVIDIA's newest CUDA on Linux, for the processor on Windows, and for Apple's graphics on macOS.

| build | chosen for | source |
|---|---|---|
| cu130 | driver that runs CUDA 13.0 or newer, cards from Turing (compute capability 7.5) on | 1, 2 |
| cu128 | driver that runs CUDA 12.8 or 12.9, cards from Turing on | 1, 2 |
| cu126 | driver that runs any CUDA 12, and all older cards (Maxwell, Pascal, Volta) | 1, 2 |
| rocm6.4 | Linux with an AMD card of one of `_ROCM_CARDS` | 3 |
| cpu | everything else on Linux | |
| default | macOS, Windows without an NVIDIA card, and everything that is not x86-64 | |

1. PyTorch's RELEASE.md, "PyTorch CUDA Support Matrix", and its issues 157517 and 172352: which cards each build knows.
2. NVIDIA, "CUDA Compatibility", "Minor Version Compatibility": CUDA 12.x wants a driver from 525 on, 13.x from 580 on.
3. PyTorch's "Previous versions" page, for 2.8 and 2.9.
"""

from __future__ import annotations

from dataclasses import dataclass

from sama_core.accelerator import Accelerator, Computer

GIB = 1024**3
NAMES = ("cpu", "cuda", "rocm", "default")
_INDEX = "https://download.pytorch.org/whl/"
_ROCM_CARDS = frozenset(
    ("gfx900", "gfx906", "gfx908", "gfx90a", "gfx942", "gfx1030", "gfx1100", "gfx1101", "gfx1102", "gfx1200", "gfx1201")
)


@dataclass(frozen=True)
class Size:
    """Bytes that an environment with a build takes.

    Attributes:
        download: what is downloaded.
        kept: disk space in the end.
        needed: disk space that must be free meanwhile: the downloads and what is unpacked from them, and a margin.
        measured: measured, not estimated; docs/install.md says how.
    """

    download: int
    kept: int
    needed: int
    measured: bool


@dataclass(frozen=True)
class Build:
    """A build of PyTorch.

    Attributes:
        name: one of `NAMES`.
        index: the address of the index it comes from, or "" for the one that pip uses anyway.
        size: with all else that the engine needs.
        usual: the size with the build that is installed where `index` cannot be used.
        reason: a sentence on why this one.
    """

    name: str
    index: str
    size: Size
    usual: Size
    reason: str


def choose(wish: str | None, accelerator: Accelerator, computer: Computer) -> Build:
    """Return the build to install: the one of `NAMES` that the person wishes, else the one that fits."""
    name = wish or _fitting(accelerator, computer)
    return Build(
        name,
        _index(name, accelerator, computer),
        size_of(name, computer),
        size_of("default", computer),
        _reason(name, wish, accelerator),
    )


def size_of(name: str, computer: Computer) -> Size:
    """How large the environment with a build becomes."""
    if computer.system != "linux" and name != "cuda":
        return Size(int(0.5e9), 2 * GIB, 5 * GIB, measured=False)
    return {
        "cpu": Size(int(0.5e9), 2 * GIB, 3 * GIB, measured=False),
        "rocm": Size(int(5e9), 18 * GIB, 24 * GIB, measured=False),
        "cuda": Size(int(3.5e9), 7 * GIB, 12 * GIB, measured=False),
        "default": Size(int(3.2e9), int(5.9 * GIB), int(9.5 * GIB), measured=True),
    }[name]


def _fitting(accelerator: Accelerator, computer: Computer) -> str:
    if computer.system == "darwin" or computer.machine not in ("x86_64", "AMD64"):
        return "default"
    if accelerator.maker == "nvidia" and (accelerator.cuda is None or accelerator.cuda >= (12, 0)):
        return "cuda"
    if accelerator.maker == "amd" and _ROCM_CARDS.intersection(accelerator.amd):
        return "rocm"
    return "cpu" if computer.system == "linux" else "default"


def _index(name: str, accelerator: Accelerator, computer: Computer) -> str:
    if name == "default" or computer.system == "darwin":
        return ""
    if name == "cuda":
        return _INDEX + _cuda_folder(accelerator)
    return _INDEX + {"cpu": "cpu", "rocm": "rocm6.4"}[name]


def _cuda_folder(accelerator: Accelerator) -> str:
    """The newest build that the driver runs and that knows all of the cards."""
    if accelerator.capability is not None and accelerator.capability < (7, 5):
        return "cu126"
    if accelerator.cuda is None or accelerator.cuda < (12, 8):
        return "cu126"
    return "cu130" if accelerator.cuda >= (13, 0) else "cu128"


def _reason(name: str, wish: str | None, accelerator: Accelerator) -> str:
    if wish:
        return f"PyTorch's build is “{name}”, as --torch says."
    if accelerator.maker == "amd" and name != "rocm":
        return (
            f"PyTorch has no build for this AMD card ({', '.join(accelerator.amd)}), so that the processor is used; "
            "--torch rocm installs the build for AMD cards all the same."
        )
    words = {
        "cuda": "PyTorch's build for NVIDIA cards is chosen.",
        "rocm": "PyTorch's build for AMD cards is chosen.",
        "cpu": "PyTorch's smaller build, for the processor, is chosen.",
        "default": "PyTorch's usual build for this system is chosen.",
    }
    return words[name]
