"""Find a Python that the engine's environment can be made with."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from pathlib import Path

from installer.child_processes import run_quietly
from installer.events import InstallError

MINIMUM = (3, 10)
#: The newest Python that PyTorch and Numba are known to have builds for; a newer one is the last choice.
NEWEST_KNOWN = (3, 14)
_COMMANDS = ("python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3")
_HOW_TO_GET_ONE = {
    "win32": "Install Python 3.13 from python.org or from the Microsoft Store.",
    "darwin": "Install Python 3.13 from python.org.",
}
_ON_LINUX = "Install a newer Python with your system's package manager."


def named(name: str) -> Path:
    """Return the interpreter the user named, absolute, links kept: a virtual environment's is a link.

    Raises:
        InstallError: there is none.
    """
    found = shutil.which(name)
    if found is None:
        raise InstallError(f"There is no Python at {name}. Give the full path of one with --python.")
    return Path(found).absolute()


def fit(first: str = sys.executable) -> Path:
    """Return a Python that the environment can be made with: `first` where it fits, or another on this computer.

    Raises:
        InstallError: none is new enough, or none can make environments.
    """
    without_venv = None
    too_new = None
    for candidate in _candidates(first):
        version = version_of(candidate)
        if version is None or version < MINIMUM:
            continue
        if run_quietly([str(candidate), "-c", "import ensurepip, venv"]).returncode != 0:
            without_venv = without_venv or version
        elif version <= NEWEST_KNOWN:
            return candidate
        else:
            too_new = too_new or candidate
    if too_new:
        return too_new
    if without_venv:
        raise InstallError(
            f"Python {dotted(without_venv)} is here, but without the part that makes environments (ensurepip). "
            "On Debian, Ubuntu and Mint: sudo apt install python3-venv. Then run this installer again."
        )
    raise InstallError(
        f"The engine needs Python {dotted(MINIMUM)} or newer, and only {platform.python_version()} was found. "
        f"{_HOW_TO_GET_ONE.get(sys.platform, _ON_LINUX)} Then run this installer again."
    )


def version_of(python: Path) -> tuple[int, int] | None:
    """Return an interpreter's version, or None when it does not run."""
    done = run_quietly([str(python), "-c", "import sys; print(*sys.version_info[:2])"])
    try:
        major, minor = done.stdout.split()
        return int(major), int(minor)
    except ValueError:
        return None


def dotted(version: tuple[int, int]) -> str:
    """For example "3.10"."""
    return ".".join(map(str, version))


def _candidates(first: str) -> list[Path]:
    found = [first, *filter(None, map(shutil.which, _COMMANDS))]
    launcher = shutil.which("py") if sys.platform == "win32" else None
    if launcher:
        # Windows' launcher knows the Pythons that are not on the PATH.
        listing = run_quietly([launcher, "-0p"]).stdout
        found += re.findall(r"[A-Za-z]:\\.*python\.exe", listing)
    return [Path(name) for name in dict.fromkeys(found)]
