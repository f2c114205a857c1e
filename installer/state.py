"""What is written down of an installation: the list of all that was made, so that it can be taken away again.

An entry is written before the thing is made: an installer that is cut off leaves a manifest that covers its
leftovers. All is JSON in files that only their owner may read, replaced whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installer.events import InstallError

FILE_NAME = "manifest.json"
_SCHEMA = 2
#: Written before there were hashes: its files are a plain list.
_SCHEMA_WITHOUT_HASHES = 1


@dataclass
class Environment:
    """The Python environment that the engine runs in.

    Attributes:
        python: its interpreter.
        made: the installer made it, so the installer removes it.
        source: fingerprint of the package in it; empty while that is being put in.
        torch: the build of PyTorch in it, a name of `torch_builds.NAMES`; empty when the installer did not choose it.
    """

    python: str
    made: bool
    source: str
    torch: str = ""


@dataclass
class Manifest:
    """What was made for the SAMA_HOME `home`.

    Attributes:
        files: every file in a GIMP profile, with its content's SHA-256 in hex; empty when that is not known.
        folders: every folder made outside the engine's environment, in the order of their making.
        new_profiles: GIMP's settings folders that GIMP made because the installer asked it to, with a
            fingerprint of what was in them then; empty, which fits nothing, while GIMP is at it.
    """

    home: Path
    environment: Environment | None = None
    files: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    new_profiles: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where the manifest itself is kept."""
        return self.home / FILE_NAME

    @classmethod
    def load(cls, home: Path) -> Manifest:
        """Return the manifest in `home`, an empty one when nothing is installed.

        Raises:
            InstallError: there is one that this installer cannot read.
        """
        path = home / FILE_NAME
        if not path.exists():
            return cls(home)
        data = read_json(path)
        try:
            if data is None or data["schema"] not in (_SCHEMA, _SCHEMA_WITHOUT_HASHES):
                raise ValueError
            environment = Environment(**data["environment"]) if data["environment"] else None
            known = data["files"] if data["schema"] == _SCHEMA else dict.fromkeys(data["files"], "")
            return cls(
                home,
                environment,
                {str(name): str(digest) for name, digest in known.items()},
                [str(name) for name in data["folders"]],
                {str(name): str(digest) for name, digest in data.get("new_profiles", {}).items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            raise InstallError(
                f"{path} is damaged or from a newer version of SAMA. Use that version's installer, or run "
                "this one with --repair."
            ) from None

    @staticmethod
    def is_newer(data: dict[str, Any] | None) -> bool:
        """Whether a newer version of SAMA wrote the manifest that holds `data`."""
        schema = (data or {}).get("schema")
        return isinstance(schema, int) and schema > _SCHEMA

    def save(self) -> None:
        """Write the manifest; its folder must exist."""
        data = {
            "schema": _SCHEMA,
            "environment": vars(self.environment) if self.environment else None,
            "files": self.files,
            "folders": self.folders,
            "new_profiles": self.new_profiles,
        }
        if read_json(self.path) != data:
            write_json(self.path, data)

    def plug_in_folders(self, name: str) -> list[Path]:
        """The folders called `name` that plug-ins were put into."""
        return [Path(folder) for folder in self.folders if Path(folder).name == name]

    def add_folder(self, path: Path) -> None:
        """Note a folder that is about to be made."""
        if str(path) not in self.folders:
            self.folders.append(str(path))

    def make_folder(self, path: Path, undo: ExitStack, mode: int = 0o777) -> None:
        """Make `path` and the parents it lacks, each noted here and unmade by `undo`.

        Raises:
            InstallError: a folder cannot be made.
        """
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            self.add_folder(folder)
            if self.home.is_dir():
                self.save()
            try:
                folder.mkdir(mode=mode if folder == path else 0o777)
            except OSError as error:
                raise InstallError(
                    f"{folder} cannot be made ({error.strerror}). Make that place writable and run this again."
                ) from error
            undo.callback(remove_if_empty, folder)

    def remove_files(self) -> None:
        """Remove the listed files, and what Python cached of them beside them."""
        for file in map(Path, self.files):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                file.unlink()
            cache = file.parent / "__pycache__"
            for compiled in cache.glob(f"{file.stem}.*.pyc"):
                compiled.unlink()
            remove_if_empty(cache)

    def remove_folders(self) -> list[Path]:
        """Remove the listed folders that are empty; return those that stay."""
        folders = [Path(name) for name in self.folders]
        for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
            remove_if_empty(folder)
        return [folder for folder in folders if folder.exists()]


def remove_if_empty(folder: Path) -> None:
    """Remove `folder` unless something is in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def remove_tree(folder: Path) -> None:
    """Remove a folder of the installer's own with all that is in it; nothing happens when it is not there.

    Raises:
        InstallError: something in it cannot be removed.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        place = os.fspath(error.filename or folder)
        raise InstallError(f"{place} cannot be removed ({error.strerror}). Close GIMP and run this again.") from error


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write `data` to `path` with mode 0600; a reader sees the old file or the new one, never a half.

    Raises:
        InstallError: the file cannot be written.
    """
    _write(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in `path`, or None when there is no such file or it is not a JSON object."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def put_back_on_failure(path: Path, undo: ExitStack) -> None:
    """Let `undo` bring `path` back to what it holds now, or remove it if it is not there now."""
    undo.callback(_put_back, path, path.read_bytes() if path.is_file() else None)


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        # What nobody can write over, a folder say, was there before.
        if path.is_file():
            path.unlink()
    elif not path.is_file() or path.read_bytes() != content:
        _write(path, content)


def replace_content(path: Path, content: bytes, mode: int) -> None:
    """Give a file this content whole or not at all.

    Raises:
        OSError: it cannot be written; it is as it was.
    """
    aside = path.with_name(path.name + ".new")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
        aside.chmod(mode)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    try:
        replace_content(path, content, 0o600)
    except OSError as error:
        raise InstallError(
            f"{path} cannot be written ({error.strerror}). Make that place writable and run this again."
        ) from error
