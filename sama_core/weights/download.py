"""Fetch a large file, of known checksum as a rule: resumed after a break, from the first mirror that has it.

Standard library only, so that it can serve before anything else is installed. Bytes are gathered in `NAME.part` beside
the file; only what has the right checksum gets the file's name, in one step. `NAME.part.json` remembers which version
at which address the bytes are of, and `NAME.lock` makes a second download of the same file wait for the first.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sama_core.errors import WeightsError
from sama_core.files import FileLock, file_sha256
from sama_core.weights.http_range import MirrorError, host_of, open_tail

#: Told the bytes that are here, the bytes of the whole file and what is being done; what it raises stops the download,
#: and what has come stays for the next one.
Progress = Callable[[int, int, str], None]

#: What is being done once all bytes are there, which then are counted anew.
CHECKING = "Checking"

_BLOCK = 1 << 18
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
#: Left free on the disk.
_SPARE = 64 << 20
#: A try that brought less than this share of the file counts as a failure.
_LEAST_GAIN = 1000


class DownloadError(WeightsError):
    """The file could not be fetched; nothing has its name that is not it, and what came is kept where it may serve."""

    code = "download"


class WrongChecksum(DownloadError):
    """What arrives is not the file, wherever it comes from."""


class LoginWanted(DownloadError):
    """An address wants to know who asks."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that others publish.

    Attributes:
        urls: where it can be had, best first; http or https.
        size: in bytes; None when it is not known, and then what the address says is believed.
        sha256: its checksum, hex; "" when it is not known.
    """

    urls: tuple[str, ...]
    size: int | None
    sha256: str


@dataclass(frozen=True)
class Patience:
    """When to give up.

    Attributes:
        silence: seconds without a byte until a connection counts as dead.
        pauses: seconds before each further try at one address; a try that brings the file on starts anew.
        trusted: the certificates to trust; None for the system's.
    """

    silence: float = 30.0
    pauses: tuple[float, ...] = (1.0, 3.0, 10.0)
    trusted: ssl.SSLContext | None = None


def no_progress(done: int, total: int, text: str) -> None:
    """Ignore progress."""


def part_of(target: Path) -> Path:
    """Where a file's bytes are gathered."""
    return target.with_name(f"{target.name}.part")


def discard_part(target: Path) -> int:
    """Remove what came of a file; return the bytes that frees.

    Raises:
        OSError: it cannot be removed.
    """
    part = part_of(target)
    freed = part.stat().st_size if part.exists() else 0
    part.unlink(missing_ok=True)
    _validator_file(target).unlink(missing_ok=True)
    return freed


def download(
    file: RemoteFile, target: Path, progress: Progress = no_progress, patience: Patience | None = None
) -> None:
    """Make `target` be the file: fetch it, or what an earlier download left out.

    Args:
        target: its folder must be there. A file there that is the right one is left alone.

    Raises:
        DownloadError: no mirror gave the file, or the disk cannot take it; with what to do.
    """
    with only_one(target, lambda: progress(0, file.size or 0, "Waiting for another download of the same file")):
        with on_disk(target):
            if target.is_file() and file.size in (None, target.stat().st_size) and _is_right(target, file):
                return
        _Download(file, target, progress, patience or Patience()).run()


@contextlib.contextmanager
def only_one(target: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock on a file's name; `waiting` is called every now and then while another process has it.

    Raises:
        DownloadError: the folder cannot be written to.
    """
    lock = FileLock(target.with_name(f"{target.name}.lock"))
    with on_disk(target):
        held = lock.acquire()
    while not held:
        waiting()
        time.sleep(0.2)
        with on_disk(target):
            held = lock.acquire()
    try:
        yield
    finally:
        lock.release(remove=True)


@contextlib.contextmanager
def on_disk(target: Path) -> Iterator[None]:
    """Tell the user what the disk's trouble is.

    Raises:
        DownloadError: in place of any OSError.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # of whoever is told of the progress
    except OSError as error:
        if error.errno in _FULL:
            raise DownloadError(
                f"The disk is full: {target.name} did not fit into {target.parent}. Make room and run it again."
            ) from error
        raise DownloadError(
            f"{target.name} cannot be written to {target.parent}: {error.strerror or error}. "
            "Make that folder one you can write to, and run it again."
        ) from error


def require_space(target: Path, more: int) -> None:
    """See that the disk can take `more` bytes.

    Raises:
        DownloadError: it cannot.
    """
    with on_disk(target):
        free = shutil.disk_usage(target.parent).free
    if free < more + _SPARE:
        raise DownloadError(
            f"{target.name} takes {size_text(more)} more and {target.parent} has only {size_text(free)} free. "
            "Make room and run it again."
        )


def _is_right(path: Path, file: RemoteFile, progress: Callable[[int], None] | None = None) -> bool:
    return not file.sha256 or file_sha256(path, progress) == file.sha256


class _Download:
    def __init__(self, file: RemoteFile, target: Path, progress: Progress, patience: Patience) -> None:
        self._file, self._target, self._progress, self._patience = file, target, progress, patience
        self._part = part_of(target)
        self._size = file.size

    def run(self) -> None:
        if self._size is not None:
            with on_disk(self._target):
                if self._have() > self._size:
                    discard_part(self._target)
                have = self._have()
            require_space(self._target, self._size - have)
        reasons: list[str] = []
        kinds: set[type[DownloadError]] = set()
        for url in self._file.urls:
            try:
                if self._get_from(url):
                    return
                reasons.append(f"{host_of(url)}: what it sends has the wrong checksum")
                kinds.add(WrongChecksum)
            except MirrorError as error:
                reasons.append(f"{host_of(url)}: {error}")
                kinds.add(LoginWanted if error.wants_login else DownloadError)
        have = self._have()
        kept = f"; what has come ({size_text(have)}) is kept" if have else ""
        kind = kinds.pop() if len(kinds) == 1 else DownloadError
        raise kind(
            f"{self._target.name} could not be downloaded ({'; '.join(reasons) or 'it has no address'}). "
            f"Check the internet connection and run it again{kept}."
        )

    def _get_from(self, url: str) -> bool:
        """Fetch what is missing; put the file in place if it is the right one, and say whether it is.

        Bytes of an earlier download may be the wrong ones: then this mirror gets a chance to send all of them.
        """
        while True:
            with on_disk(self._target):
                began_with = self._have()
            self._complete(url)
            if self._put_in_place():
                return True
            with on_disk(self._target):
                discard_part(self._target)
            if not began_with:
                return False

    def _complete(self, url: str) -> None:
        """Receive until the part is as long as the file, trying again as long as that helps."""
        pauses = iter(self._patience.pauses)
        while (have := self._have()) != self._size:
            try:
                self._receive(url, have)
            except MirrorError as error:
                if not error.temporary:
                    raise
                if self._have() - have > (self._size or 0) // _LEAST_GAIN:
                    pauses = iter(self._patience.pauses)
                pause = next(pauses, None)
                if pause is None:
                    raise
                self._wait(pause, f"{host_of(url)}: {error}; trying again")

    def _receive(self, url: str, have: int) -> None:
        self._tell(have, f"Asking {host_of(url)}")
        patience = self._patience
        tail = open_tail(url, have, self._size, self._known_validator(url), patience.silence, patience.trusted)
        self._size = tail.size if self._size is None else self._size
        with contextlib.closing(tail):
            with on_disk(self._target):
                self._remember_validator(url, tail.validator)
                # "a" would write to the end whatever is asked for, and "w" would throw away what is here
                out = os.fdopen(os.open(self._part, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600), "r+b")
            try:
                with on_disk(self._target):
                    out.truncate(tail.start)
                    out.seek(tail.start)
                done = tail.start
                while done != self._size:
                    block = tail.read(_BLOCK if self._size is None else min(_BLOCK, self._size - done))
                    if not block and self._size is None:
                        # The server did not say how much there is: the end is where it ends.
                        self._size = done
                    elif not block:
                        raise MirrorError("the connection broke off", temporary=True)
                    with on_disk(self._target):
                        out.write(block)
                    done += len(block)
                    self._tell(done, f"Downloading from {host_of(url)}")
                with on_disk(self._target):
                    out.flush()
                    os.fsync(out.fileno())
            finally:
                with on_disk(self._target):
                    out.close()

    def _put_in_place(self) -> bool:
        with on_disk(self._target):
            if not _is_right(self._part, self._file, lambda done: self._tell(done, CHECKING)):
                return False
            self._part.replace(self._target)
            _validator_file(self._target).unlink(missing_ok=True)
        return True

    def _wait(self, seconds: float, text: str) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._tell(self._have(), text)
            time.sleep(min(0.2, left))

    def _tell(self, done: int, text: str) -> None:
        self._progress(done, self._size or 0, text)

    def _have(self) -> int:
        try:
            return self._part.stat().st_size
        except FileNotFoundError:
            return 0

    def _known_validator(self, url: str) -> str:
        """The version that the part is of, if it came from this address; another address's names mean nothing to it."""
        try:
            known = json.loads(_validator_file(self._target).read_text(encoding="utf-8"))
            return str(known["validator"]) if known["url"] == url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _remember_validator(self, url: str, validator: str) -> None:
        text = json.dumps({"url": url, "validator": validator})
        _validator_file(self._target).write_text(text, encoding="utf-8")


def _validator_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def size_text(count: int) -> str:
    """A number of bytes as people write it."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.{1 if unit == 1e9 else 0}f} {name}"
    return f"{count} bytes"
