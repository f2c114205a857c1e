"""The plug-in: its files, copying them into a GIMP profile, and its modules, some of which the installer uses."""

from __future__ import annotations

import filecmp
import hashlib
import importlib
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from installer.events import InstallError
from installer.package import ROOT
from installer.state import Manifest, remove_tree

#: GIMP takes a folder for a plug-in when it holds a program of the same name.
NAME = "sama_select"
MAIN = f"{NAME}.py"
#: What the plug-in adds to GIMP.
PROCEDURES = ("plug-in-sama-select", "plug-in-sama-alpha-matte")
#: Names that GIMP takes for nothing, beside the plug-in for as long as it is being replaced.
_NEW = f".{NAME}.new"
_OLD = f".{NAME}.old"


def shipped() -> Path:
    """The folder of the plug-in that is to be copied into GIMP's profile."""
    return ROOT / "gimp_plugin" / NAME


def module(name: str) -> Any:
    """Import one of the modules of the plug-in's package; its client is the installer's too."""
    return importlib.import_module(f"gimp_plugin.{NAME}.sama.{name}")


def shipped_files(source: Path) -> list[Path]:
    """The plug-in's files, relative to its folder `source`.

    Raises:
        InstallError: the plug-in is not there.
    """
    if not (source / MAIN).is_file():
        raise InstallError(f"{source / MAIN} is missing. Download SAMA for GIMP again and unpack all of it.")
    files = (file.relative_to(source) for file in source.rglob("*") if file.is_file())
    return sorted(file for file in files if not _is_bytecode(file))


def file_digest(file: Path) -> str:
    """Hex SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    return hashlib.sha256(file.read_bytes()).hexdigest()


def check_place(plug_ins: Path) -> None:
    """Make sure that the plug-in can be put into the folder `plug_ins`, which need not exist yet.

    Raises:
        InstallError: it cannot be written, or something else holds the plug-in's name.
    """
    place = next(folder for folder in (plug_ins, *plug_ins.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InstallError(
            f"{place} is not a folder you can write to. Correct that, or name another profile with --gimp-profile."
        )
    target = plug_ins / NAME
    if target.is_symlink():
        raise InstallError(f"{target} is a link to {target.readlink()}. Remove the link and run this again.")
    if target.exists() and not target.is_dir():
        raise InstallError(f"{target} is a file. Move it away and run this again.")
    if target.is_dir() and any(target.iterdir()) and not (target / MAIN).exists():
        raise InstallError(f"{target} holds something that is not SAMA. Move it away and run this again.")


def is_current(source: Path, plug_ins: Path, manifest: Manifest) -> bool:
    """Whether `plug_ins` holds exactly the plug-in in `source`, with its run bit and in the manifest."""
    target = plug_ins / NAME
    files = shipped_files(source)
    if any(str(target / file) not in manifest.files for file in files) or _stale_files(target, files, manifest):
        return False
    if any(
        not (target / file).is_file() or not filecmp.cmp(source / file, target / file, shallow=False) for file in files
    ):
        return False
    return sys.platform == "win32" or os.access(target / MAIN, os.X_OK)


def place(source: Path, plug_ins: Path, manifest: Manifest, undo: ExitStack) -> None:
    """Put the plug-in into `plug_ins`, in place of an older one, and note its files in the manifest.

    The new folder is made ready beside the old one and then takes its name. Files in the old folder that are not
    SAMA's stay. `clear_leftovers` removes the old one once nothing can fail any more.

    Raises:
        InstallError: the files cannot be written; the old plug-in is in place then.
    """
    target, new, old = plug_ins / NAME, plug_ins / _NEW, plug_ins / _OLD
    files = shipped_files(source)
    stale = _stale_files(target, files, manifest)
    foreign = _foreign_files(target, files, manifest)
    for file in stale:
        manifest.files.pop(str(file), None)
    folders = sorted({target, *(target / parent for file in files for parent in file.parents)})
    for folder in folders:
        # Also one that is there: an older copy, made by hand, becomes the installer's. Only empty folders
        # are ever removed.
        manifest.add_folder(folder)
    for file in files:
        manifest.files[str(target / file)] = file_digest(source / file)
    manifest.save()
    clear_leftovers(plug_ins)
    undo.callback(clear_leftovers, plug_ins)
    try:
        for file in files:
            copy = new / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            # Not the source's time: GIMP asks a plug-in again for its procedures when the time of its file
            # is new.
            shutil.copyfile(source / file, copy)
        (new / MAIN).chmod(0o755)
        for file in foreign:
            copy = new / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(target / file, copy, follow_symlinks=False)
        if target.exists():
            target.rename(old)
            undo.callback(_put_back, target, old)
        else:
            undo.callback(remove_tree, target)
        new.rename(target)
    except OSError as error:
        raise InstallError(
            f"The plug-in could not be put into {plug_ins}: {error}. Correct that and run this again."
        ) from error


def clear_leftovers(plug_ins: Path) -> None:
    """Remove what replacing the plug-in leaves beside it, after taking back a replacing that was cut off."""
    target, old = plug_ins / NAME, plug_ins / _OLD
    if old.is_dir() and not target.exists():
        old.rename(target)
    remove_tree(plug_ins / _NEW)
    remove_tree(old)


def _put_back(target: Path, old: Path) -> None:
    remove_tree(target)
    old.rename(target)


def _is_bytecode(file: Path) -> bool:
    return file.suffix == ".pyc" or "__pycache__" in file.parts


def _present_files(target: Path) -> list[Path]:
    if not target.is_dir():
        return []
    return [file.relative_to(target) for file in target.rglob("*") if not file.is_dir() and not _is_bytecode(file)]


def _stale_files(target: Path, shipped: list[Path], manifest: Manifest) -> list[Path]:
    """Files of an earlier version, which this version does not have."""
    others = (target / file for file in _present_files(target) if file not in shipped)
    return [file for file in others if _is_ours(file, target, manifest)]


def _foreign_files(target: Path, shipped: list[Path], manifest: Manifest) -> list[Path]:
    others = (file for file in _present_files(target) if file not in shipped)
    return [file for file in others if not _is_ours(target / file, target, manifest)]


def _is_ours(file: Path, target: Path, manifest: Manifest) -> bool:
    """Whether the installer put a file into the plug-in's folder `target`, or somebody an earlier version by hand.

    The modules of the first versions lay beside the main file and were called `sama_*.py`.
    """
    return str(file) in manifest.files or (file.parent == target and file.match("sama_*.py"))
