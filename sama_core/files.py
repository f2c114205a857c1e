"""What happens to files: their checksums, locks between processes, and drafts.

A file in the making is written under another name and then renamed, so that nobody meets half a file. A process that is
killed meanwhile leaves its draft behind; whoever writes next to it later removes it when it is stale.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sama_core import paths

log = logging.getLogger(__name__)

_BLOCK = 1 << 20
#: Seconds after which a draft is nobody's any more.
STALE_SECONDS = 24 * 3600


def file_sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Hex SHA-256 of a file.

    Args:
        progress: told the bytes read so far; what it raises ends the reading.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done)
    return digest.hexdigest()


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


def is_stale(draft: Path) -> bool:
    """Say whether a file was last written more than a day ago, or is dated more than a day ahead.

    The latter was written before the clock was set back.

    Raises:
        OSError: it has gone.
    """
    return abs(time.time() - draft.stat().st_mtime) > STALE_SECONDS


@contextlib.contextmanager
def named_in_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within this context an error tells of `path`, the file that is being made, not of its draft.

    Raises:
        OSError: the one that was met, with another file name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_stale_drafts() -> int:
    """Remove what processes killed in the middle of writing have left in the product's folder; return how many files.

    Drafts of state, embeddings and weights that are stale.
    """
    removed = 0
    for folder, pattern in (
        (paths.state_file().parent, f"{paths.state_file().name}.*"),
        (paths.cache_dir() / "embeddings", "*.tmp"),
        (paths.weights_dir(), "*.tmp"),
    ):
        for draft in _files(folder, pattern):
            with contextlib.suppress(OSError):
                if is_stale(draft):
                    draft.unlink()
                    removed += 1
    if removed:
        log.info("removed %d old drafts", removed)
    return removed


def _files(folder: Path, pattern: str) -> list[Path]:
    try:
        return [path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink()]
    except OSError:
        return []
