"""One installation at a time, and where it is: a lock and a journal in SAMA_HOME.

The lock is held by the installer and by every program it starts. The journal is there from the first change to the
last. What was made is in the manifest; that the engine may be started is in the install record, which is absent while
the engine is being changed. A run that finds a journal therefore knows that the one before it came to no end, neither
well nor badly.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from installer import state
from installer.events import STEPS, InstallError, Stop
from sama_core.files import FileLock

_PATIENCE = 15.0
_NAME = "installing.lock"
_SCHEMA = 1
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
    lock = FileLock(home / _NAME)
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


def path_in(home: Path) -> Path:
    """Where the journal is while there is one."""
    return home / "journal.json"


def note(home: Path, step: str) -> None:
    """Note that `step` begins; `home` must exist.

    Raises:
        InstallError: it cannot be written.
    """
    state.write_json(path_in(home), {"schema": _SCHEMA, "step": step})


def cut_off_at(home: Path) -> str | None:
    """The title of the step at which an earlier run was cut off, or None when none was."""
    if not path_in(home).exists():
        return None
    step = (state.read_json(path_in(home)) or {}).get("step")
    return STEPS.get(str(step), "a step that is not known")


def close(home: Path) -> None:
    """The installation has come to an end, of one kind or the other."""
    path_in(home).unlink(missing_ok=True)
