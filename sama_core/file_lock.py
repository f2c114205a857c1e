"""A lock between processes that the system frees however its holder ends."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


class FileLock:
    """An exclusive lock on a file of its own; it is no use on the file that is protected, which gets replaced.

    Args:
        path: the lock's file, made when it is not there, for its owner only.

    Attributes:
        descriptor: of the open file while the lock is held, -1 else; a program that inherits it holds the lock too.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = -1

    def acquire(self) -> bool:
        """Try to take the lock, and say whether that worked.

        Raises:
            OSError: the lock's file cannot be made.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked(descriptor, exclusive=True) or not self._still_there(descriptor):
            os.close(descriptor)
            return False
        self.descriptor = descriptor
        return True

    def is_in_place(self) -> bool:
        """Whether the lock, once acquired, still keeps others out: it does not when somebody removed its file."""
        return self._still_there(self.descriptor)

    def _still_there(self, descriptor: int) -> bool:
        """Whether the path still leads to the file that is locked: its last holder may have removed it just now."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except OSError:
            return False

    def release(self, remove: bool = False) -> None:
        """Free the lock; with `remove`, its file goes too."""
        if remove:
            # While it is held, so that nobody can have locked it.
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self.descriptor)
        self.descriptor = -1
        if remove and sys.platform == "win32":
            # Windows removes no file that is open, here or in another process.
            with contextlib.suppress(OSError):
                self._path.unlink()


def is_held(path: Path) -> bool:
    """Say whether some process holds the lock at `path`.

    To find out, the lock is taken for a moment: who acquires it in earnest should try more than once.
    """
    try:
        descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _locked(descriptor, exclusive=False)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, exclusive: bool) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
