"""The engine's files: where they lie, where they say that it listens, and whether it lives at all.

Where they lie is the same rule as in `sama_core/paths.py`, stated for GIMP's own Python. It does not read XDG_* and the
like, which GIMP's packagings move about (flatpak, snap, the macOS bundle): plug-in, engine and installer must agree on
the folder whoever started them.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple, Optional

#: Far more than the engine or the installer writes into one of the files that are read here.
_MOST_BYTES = 1 << 16


def home() -> Path:
    """The product's own folder: `$SAMA_HOME`, or the platform's place for application data."""
    override = os.environ.get("SAMA_HOME")
    if override:
        return Path(override)
    user = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or user / "AppData" / "Local") / "SAMA"
    if sys.platform == "darwin":
        return user / "Library" / "Application Support" / "SAMA"
    return user / ".local" / "share" / "sama-gimp"


def install_record() -> Path:
    """JSON written by the installer: how to start the engine."""
    return home() / "install.json"


def state_file() -> Path:
    """JSON written by a running engine: port, token, pid, versions."""
    return home() / "run" / "engine.json"


def lock_file() -> Path:
    """Held by a running engine; while nobody holds it, the state file is a dead engine's."""
    return home() / "run" / "engine.lock"


def weights_folder() -> Path:
    """The weights that were fetched for the engine; those that come with it lie elsewhere."""
    return home() / "weights"


def log_file() -> Path:
    """The engine's own log."""
    return home() / "logs" / "engine.log"


def start_log() -> Path:
    """What the engine's process printed while starting, before it could open its own log."""
    return home() / "logs" / "engine-start.log"


class Address(NamedTuple):
    """Where an engine listens, and the token it wants to hear; `pid` is for messages only."""

    port: int
    token: str
    pid: str


def address() -> Optional[Address]:
    """Return where the living engine listens, or None when none lives, or somebody has spoilt its state file.

    The port in a dead engine's state file may be another program's by now, even another user's: it must get neither
    a token nor a picture.
    """
    if not engine_lives():
        return None
    try:
        found = read_json(state_file())
        port, token, pid = found["port"], found["token"], str(found.get("pid", ""))[:20]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    # A bool is an int to Python. What is in a header must be printable ASCII.
    if type(port) is not int or not 0 < port < 65536:
        return None
    if not isinstance(token, str) or any(not "!" <= letter <= "~" for letter in token):
        return None
    return Address(port, token, pid)


def engine_lives() -> bool:
    """Say whether an engine holds its lock."""
    try:
        descriptor = os.open(str(lock_file()), os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path):
    """Return the JSON in one of our own files, which anybody may have replaced by something else.

    Raises:
        OSError: it cannot be read, or is no file.
        ValueError: it is no JSON.
        RecursionError: it is nested absurdly.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a file")
    with path.open("rb") as file:
        return json.loads(file.read(_MOST_BYTES))


def _lock(descriptor):
    """Take the lock for as long as the file stays open; an engine that starts tries more than once."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
