"""The engine's package: what it is made from, the wheel that is installed, and the versions it was tested with."""

from __future__ import annotations

import hashlib
import re
import shutil
import urllib.parse
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

from installer.downloads import Download
from installer.events import InstallError

#: Where the installer lies: a checkout, or the folder of a release.
ROOT = Path(__file__).resolve().parent.parent
#: What of a checkout the package is built from.
_BUILD_FILES = ("pyproject.toml", "README.md", "LICENSE")
_BUILD_FOLDERS = ("sama_core",)
_LOCK = "requirements.lock"
#: Where PyPI's files are. What comes from elsewhere, such as a mirror that builds its own, has checksums of its own.
_PYPI_FILES = "files.pythonhosted.org"
#: PyTorch and what it brings along: with another build of it these are others, and each build says which.
_TORCH_AND_ITS_OWN = re.compile(r"(torch|torchvision|triton|nvidia-[^=]+|cuda-[^=]+)==")


@dataclass(frozen=True)
class Lock:
    """The versions that SAMA was tested with.

    Attributes:
        pins: as pip takes them, NAME==VERSION, with a marker where one is not for every system.
        checksums: the SHA-256 of the files on PyPI, in hex, for each NAME==VERSION.
    """

    pins: tuple[str, ...]
    checksums: dict[str, frozenset[str]]

    def constraints(self, file: Path, torch: bool = True) -> list[str]:
        """Write the versions to `file` and return the options with which pip takes these and no others.

        Args:
            torch: with PyTorch and what comes with it.
        """
        pins = [pin for pin in self.pins if torch or not _TORCH_AND_ITS_OWN.match(pin)]
        # Without the checksums: pip takes those for all that it installs or for nothing, and a build of PyTorch's, a
        # mirror's files and the engine's own wheel have none here.
        file.write_text("\n".join(pins) + "\n", encoding="utf-8")
        return ["--constraint", str(file)]

    def check(self, downloads: Sequence[Download]) -> None:
        """Make sure that what comes from PyPI are the files that SAMA was tested with.

        Raises:
            InstallError: one is another file of the same version.
        """
        for download in downloads:
            known = self.checksums.get(download.release, frozenset())
            from_pypi = urllib.parse.urlsplit(download.url).hostname == _PYPI_FILES
            if known and from_pypi and download.sha256 not in known:
                raise InstallError(
                    f"{download.name} is not the file that SAMA was tested with: its checksum is another one. Run this "
                    "again over another network, or look for a newer SAMA. --newest takes what there is."
                )


def read_lock(source: Path) -> Lock:
    """Return the versions that the package in `source` was tested with.

    Raises:
        InstallError: they are not there.
    """
    file = _lock_of(source)
    checksums: dict[str, set[str]] = {}
    pins: list[str] = []
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            if re.match(r"[\w.-]+==", line):
                pins.append(line.removesuffix("\\").strip())
            for digest in re.findall(r"--hash=sha256:([0-9a-f]{64})", line):
                checksums.setdefault(re.split(r"[\s;]", pins[-1])[0], set()).add(digest)
    except (OSError, ValueError, IndexError) as error:
        raise InstallError(
            f"{file} cannot be read ({error}). Download SAMA for GIMP again and unpack all of it, or take the newest "
            "versions of everything with --newest."
        ) from error
    return Lock(tuple(pins), {release: frozenset(known) for release, known in checksums.items()})


def _lock_of(source: Path) -> Path:
    """The lock beside what the package is built from; a wheel's is that of the folder of this installer."""
    return source / _LOCK if (source / _LOCK).is_file() else ROOT / _LOCK


def shipped() -> Path:
    """What the engine is installed from, unless somebody names another: the checkout itself, or the release's wheel."""
    if (ROOT / "sama_core").is_dir():
        return ROOT
    return sorted((ROOT / "wheels").glob("sama_gimp-*.whl"))[-1]


def files_of(source: Path) -> list[Path]:
    """Everything that the package in `source` (a checkout, a wheel or an sdist) is made from."""
    if source.is_file():
        return [source]
    files = [source / name for name in _BUILD_FILES if (source / name).is_file()]
    for name in _BUILD_FOLDERS:
        files += [file for file in (source / name).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return sorted(files)


def fingerprint(source: Path) -> str:
    """A hash of everything that the package in `source` is made from, and of the versions it was tested with."""
    digest = hashlib.sha256()
    for file in files_of(source):
        digest.update(f"{file.relative_to(source).as_posix()}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    lock = _lock_of(source)
    digest.update(lock.read_bytes() if lock.is_file() else b"")
    return digest.hexdigest()


def copy_to_build(source: Path, folder: Path) -> None:
    """Copy what a checkout's package is built from: setuptools leaves build/ and *.egg-info where it builds."""
    for file in files_of(source):
        copy = folder / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def requirements_of(wheel: Path) -> list[str]:
    """What a wheel says it needs, as pip takes it; an sdist says nothing here.

    Raises:
        InstallError: it is no wheel.
    """
    if wheel.suffix != ".whl":
        return []
    try:
        with zipfile.ZipFile(wheel) as content:
            name = next(name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
            return message_from_bytes(content.read(name)).get_all("Requires-Dist") or []
    except (OSError, StopIteration, zipfile.BadZipFile, zlib.error) as error:
        raise InstallError(
            f"{wheel} is damaged ({error}). Download SAMA for GIMP again and unpack all of it."
        ) from error
