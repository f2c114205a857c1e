"""What the engine's files say of it: where it listens, and whether it lives at all."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple, Optional

from . import paths

#: Far more than the engine or the installer writes into one of the files that are read here.
_MOST_BYTES = 1 << 16


class State(NamedTuple):
    """Where an engine listens, and the token it wants to hear; `pid` is for messages only."""

    port: int
    token: str
    pid: str


def read() -> Optional[State]:
    """Return what run/engine.json says, or None when there is none or somebody has spoilt it."""
    try:
        found = read_json(paths.state_file())
        port, token, pid = found["port"], found["token"], str(found.get("pid", ""))[:20]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    # A bool is an int to Python. What is in a header must be printable ASCII.
    if type(port) is not int or not 0 < port < 65536:
        return None
    if not isinstance(token, str) or any(not "!" <= letter <= "~" for letter in token):
        return None
    return State(port, token, pid)


def engine_lives() -> bool:
    """Say whether an engine holds its lock.

    The port in a dead engine's state file may be another program's by now, even another user's: it must get neither
    a token nor a picture.
    """
    try:
        descriptor = os.open(str(paths.lock_file()), os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
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
