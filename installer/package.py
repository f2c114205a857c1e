"""The engine's package: what it is made from, and the wheel that is installed."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
import zlib
from email import message_from_bytes
from pathlib import Path

from installer.failures import InstallError

#: What of a checkout the package is built from.
_BUILD_FILES = ("pyproject.toml", "README.md", "LICENSE")
_BUILD_FOLDERS = ("sama_core",)


def files_of(source: Path) -> list[Path]:
    """Everything that the package in `source` (a checkout, a wheel or an sdist) is made from."""
    if source.is_file():
        return [source]
    files = [source / name for name in _BUILD_FILES if (source / name).is_file()]
    for name in _BUILD_FOLDERS:
        files += [file for file in (source / name).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return sorted(files)


def fingerprint(source: Path) -> str:
    """A hash of everything that the package in `source` is made from."""
    digest = hashlib.sha256()
    for file in files_of(source):
        digest.update(f"{file.relative_to(source).as_posix()}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
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
