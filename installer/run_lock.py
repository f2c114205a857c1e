"""One installation at a time, and where it is: a lock in SAMA_HOME, whose file names the step.

The lock is held by the installer and by every program it starts, and its file is removed at the end. What was made is
in the manifest; that the engine may be started is in the install record, which is absent while the engine is being
changed. A run that finds the file of a lock that nobody holds therefore knows that the one before it came to no end,
neither well nor badly.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from installer.events import STEPS, InstallError
from installer.steps import Stop
from sama_core.files import FileLock, is_held

_PATIENCE = 15.0
NAME = "installing.lock"
_held: set[int] = set()


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
    lock = FileLock(home / NAME)
    deadline = time.monotonic() + _PATIENCE
    while not lock.acquire():
        stop.check()
        if time.monotonic() > deadline:
            raise InstallError("SAMA is being installed already. Let that come to its end, then run this again.")
        stop.wait(0.2)
    _held.add(lock.descriptor)
    try:
        yield
    finally:
        _held.discard(lock.descriptor)
        lock.release(remove=True)


def note(step: str) -> None:
    """Note that `step` begins, in the lock that is held.

    Raises:
        OSError: it cannot be written.
    """
    for descriptor in _held:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, step.encode())


def cut_off_at(home: Path) -> str | None:
    """The title of the step at which an earlier run was cut off, or None when none was."""
    file = home / NAME
    if not file.is_file() or is_held(file):
        return None
    return STEPS.get(file.read_text(encoding="utf-8", errors="replace"))
