"""How the plug-in starts the engine, which install.json tells it (docs/protocol.md), and ending one that runs."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from installer import plugin_files, state
from installer.environment import EngineInfo
from installer.events import InstallError
from sama_core import files, paths
from sama_core.weights import registry

_SCHEMA = 1
_PATIENCE = 30.0


def stop() -> None:
    """Ask the user's engine to end, and wait until it has; nothing happens when none runs.

    Raises:
        InstallError: it does not end.
    """
    deadline = time.monotonic() + _PATIENCE
    while files.is_held(paths.lock_file()):
        # Asked again each time: an engine that is just starting cannot be found yet.
        client = plugin_files.module("launch").running()
        if client is not None:
            client.shutdown()
        if time.monotonic() > deadline:
            raise InstallError(
                "The running engine (a Python process, sama_core.service) does not end. End it and run this again."
            )
        time.sleep(0.2)


def is_recorded(engine: EngineInfo) -> bool:
    """Whether there is a record that starts `engine`."""
    known = state.read_json(paths.install_record()) or {}
    return known == {**known, **_content(engine)}


def withdraw_record(undo: ExitStack) -> None:
    """Put the record aside while the engine is changed, so that nobody starts half of one; `undo` brings it back."""
    path = paths.install_record()
    if path.is_file():
        state.put_back_on_failure(path, undo)
        undo.callback(_aside().unlink, missing_ok=True)
        path.replace(_aside())


def write_record(engine: EngineInfo, undo: ExitStack) -> None:
    """Write the record for `engine`; a record that says so already is left alone.

    Raises:
        InstallError: it cannot be written.
    """
    path = paths.install_record()
    if not is_recorded(engine):
        # What else is in there is the user's, or another version's.
        known = state.read_json(path) or state.read_json(_aside()) or {}
        state.put_back_on_failure(path, undo)
        state.write_json(path, {**known, **_content(engine)})
    _aside().unlink(missing_ok=True)


def remove_record() -> None:
    """Remove the record, also one that was put aside."""
    paths.install_record().unlink(missing_ok=True)
    _aside().unlink(missing_ok=True)


def _aside() -> Path:
    path = paths.install_record()
    return path.with_name(path.name + ".before")


def _content(engine: EngineInfo) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "python": str(engine.python),
        "args": ["-m", "sama_core.service"],
        "version": engine.engine_version,
        # For the plug-in's list while no engine runs: which model a weight file is of.
        "models": {model.file: name for name, model in registry.MODELS.items() if model.optional},
    }
