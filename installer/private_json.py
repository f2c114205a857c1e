"""JSON files that only their owner may read, replaced whole or not at all."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from installer.failures import InstallError


def write(path: Path, data: dict[str, Any]) -> None:
    """Write `data` to `path` with mode 0600; a reader sees the old file or the new one, never a half.

    Raises:
        InstallError: the file cannot be written.
    """
    _write_bytes(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())


def read(path: Path) -> dict[str, Any] | None:
    """Return the object in `path`, or None when there is no such file or it is not a JSON object."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def put_back_on_failure(path: Path, undo: ExitStack) -> None:
    """Let `undo` bring `path` back to what it holds now, or remove it if it is not there now."""
    if path.is_file():
        undo.callback(_restore, path, path.read_bytes())
    else:
        undo.callback(_remove_file, path)


def _write_bytes(path: Path, content: bytes) -> None:
    aside = path.with_name(path.name + ".new")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InstallError(
            f"{path} cannot be written ({error.strerror}). Make that place writable and run this again."
        ) from error


def _restore(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        _write_bytes(path, content)


def _remove_file(path: Path) -> None:
    if path.is_file():
        path.unlink()
