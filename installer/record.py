"""install.json: how the plug-in starts the engine (docs/protocol.md)."""

from __future__ import annotations

from contextlib import ExitStack

from installer import private_json
from installer.checkout import paths
from installer.environment import EngineInfo

_SCHEMA = 1


def write(engine: EngineInfo, undo: ExitStack) -> None:
    """Write the record for `engine`; a record that says so already is left alone.

    Raises:
        InstallError: it cannot be written.
    """
    path = paths.install_record()
    known = private_json.read(path) or {}
    # What else is in there is the user's, or another version's.
    data = {
        **known,
        "schema": _SCHEMA,
        "python": str(engine.python),
        "args": ["-m", "sama_core.service"],
        "version": engine.engine_version,
    }
    if known == data:
        return
    private_json.put_back_on_failure(path, undo)
    private_json.write(path, data)
