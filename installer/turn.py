"""One installation at a time: a lock in SAMA_HOME, held by the installer and by every program it starts."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from installer.events import Stop
from installer.failures import InstallError

_PATIENCE = 15.0


_NAME = "installing.lock"
_held: set[int] = set()


def leave(home: Path) -> None:
    """Remove what an installation that was killed left of its turn."""
    (home / _NAME).unlink(missing_ok=True)


def held() -> tuple[int, ...]:
    """The open files that a program must inherit to hold the lock too; none on Windows."""
    return () if sys.platform == "win32" else tuple(_held)


@contextmanager
def taken(home: Path, stop: Stop) -> Iterator[None]:
    """Hold the lock of `home`, a folder that is there, and leave nothing of it behind.

    On Linux and macOS the programs that the installer starts hold it too: when the installer is killed and its pip
    lives on for a moment, the next installer waits for that pip's end.

    Raises:
        InstallError: another installation holds it.
        Stopped: somebody asked to stop while it was waited for.
    """
    path = home / _NAME
    deadline = time.monotonic() + _PATIENCE
    while (handle := _acquired(path)) is None:
        stop.check()
        if time.monotonic() > deadline:
            raise InstallError("SAMA is being installed already. Let that come to its end, then run this again.")
        stop.wait(0.2)
    _held.add(handle)
    try:
        yield
    finally:
        # While it is held, so that nobody can have locked it; Windows removes no file that is open.
        with contextlib.suppress(OSError):
            path.unlink()
        _held.discard(handle)
        os.close(handle)
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                path.unlink()


def _acquired(path: Path) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one that held it before has removed the file: this is the lock of nothing.
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except OSError:
        pass
    os.close(handle)
    return None
