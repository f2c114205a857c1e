"""install.json: how the plug-in starts the engine (docs/protocol.md)."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from installer import checkout, private_json
from installer.environment import EngineInfo

_SCHEMA = 1


def is_current(engine: EngineInfo) -> bool:
    """Whether there is a record that starts `engine`."""
    known = private_json.read(checkout.paths.install_record()) or {}
    return known == {**known, **_content(engine)}


def withdraw(undo: ExitStack) -> None:
    """Put the record aside while the engine is changed, so that nobody starts half of one; `undo` brings it back."""
    path = checkout.paths.install_record()
    if path.is_file():
        private_json.put_back_on_failure(path, undo)
        undo.callback(_aside().unlink, missing_ok=True)
        path.replace(_aside())


def write(engine: EngineInfo, undo: ExitStack) -> None:
    """Write the record for `engine`; a record that says so already is left alone.

    Raises:
        InstallError: it cannot be written.
    """
    path = checkout.paths.install_record()
    if not is_current(engine):
        # What else is in there is the user's, or another version's.
        known = private_json.read(path) or private_json.read(_aside()) or {}
        private_json.put_back_on_failure(path, undo)
        private_json.write(path, {**known, **_content(engine)})
    _aside().unlink(missing_ok=True)


def remove() -> None:
    """Remove the record, also one that was put aside."""
    checkout.paths.install_record().unlink(missing_ok=True)
    _aside().unlink(missing_ok=True)


def _aside() -> Path:
    path: Path = checkout.paths.install_record()
    return path.with_name(path.name + ".before")


def _content(engine: EngineInfo) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "python": str(engine.python),
        "args": ["-m", "sama_core.service"],
        "version": engine.engine_version,
    }
