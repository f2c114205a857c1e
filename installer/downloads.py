"""Download files so that a break costs nothing: what has arrived stays, and the rest is asked for the next time."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from installer.events import Stop
from installer.failures import InstallError

_CHUNK = 1 << 18
_TRIES = 6
_TIMEOUT = 60
#: At most so many reports of progress a second.
_REPORTS = 5

#: Told the bytes that are there, all bytes (None when not known), and the file's name.
Report = Callable[[int, "int | None", str], None]


@dataclass(frozen=True)
class Download:
    """A file to be had.

    Attributes:
        url: its address.
        sha256: its hash in hex, or "" when that is not known.
        release: what it is a file of, NAME==VERSION, or "" when that is not known.
    """

    url: str
    sha256: str
    release: str = ""

    @property
    def name(self) -> str:
        """The name it is kept under: the last part of its address."""
        return urllib.parse.unquote(Path(urllib.parse.urlsplit(self.url).path).name)


class Refused(Exception):
    """The server wants to know who asks, which only pip's own settings can answer."""


class Downloader:
    """Fetches files into a folder, over the proxy that the system has.

    Args:
        folder: where they are kept; it must exist.
        certificates: a file of certificates to trust besides the system's, or None.
        stop: the person's wish to stop, heeded between two pieces.
    """

    def __init__(self, folder: Path, certificates: Path | None, stop: Stop) -> None:
        self._folder = folder
        self._stop = stop
        self._last_report = 0.0
        context = ssl.create_default_context()
        for file in (certificates, os.environ.get("PIP_CERT"), os.environ.get("REQUESTS_CA_BUNDLE")):
            if file and Path(file).is_file():
                context.load_verify_locations(cafile=str(file))
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))

    def fetch_all(self, downloads: Sequence[Download], report: Report) -> list[Path]:
        """Return the files, in their order, complete and checked.

        Raises:
            InstallError: one cannot be had; what has arrived is kept.
            Refused: a server wants credentials.
            Stopped: the person wishes so.
        """
        sizes = [self._size(download) for download in downloads]
        total = sum(filter(None, sizes)) if all(size is not None for size in sizes) else None
        files, before = [], 0
        for download in downloads:
            files.append(self._fetch(download, before, total, report))
            before += files[-1].stat().st_size
            report(before, total, download.name)
        return files

    def _size(self, download: Download) -> int | None:
        there = self._folder / download.name
        if there.is_file():
            return there.stat().st_size
        self._stop.check()
        try:
            with self._open(urllib.request.Request(download.url, method="HEAD")) as answer:
                return int(answer.headers.get("Content-Length", ""))
        except (OSError, HTTPException, ValueError):
            # Only the progress needs it; what stands in the way will be told by the download itself.
            return None

    def _fetch(self, download: Download, before: int, total: int | None, report: Report) -> Path:
        file = self._folder / download.name
        part = file.with_name(file.name + ".part")
        if file.is_file() and _is_right(file, download.sha256):
            return file
        wrong, failures, had = 0, 0, 0
        while True:
            try:
                self._fetch_rest(download, part, lambda done: self._report(report, before + done, total, download.name))
                if _is_right(part, download.sha256):
                    part.replace(file)
                    return file
                wrong += 1
                part.unlink()
                if wrong > 1:
                    raise InstallError(
                        f"{download.name} arrived damaged twice (its checksum is wrong). Run this again later, or over "
                        "another network."
                    )
            except urllib.error.HTTPError as error:
                if error.code in (401, 403, 407):
                    raise Refused(f"{download.url}: {error}") from error
                if error.code < 500 and error.code not in (408, 429):
                    raise InstallError(_unreachable(download, error)) from error
                failures = self._wait_after(download, error, failures, part, had)
            except (OSError, HTTPException) as error:
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    raise InstallError(
                        f"The disk of {self._folder} is full. Make room and run this again: it goes on from here."
                    ) from error
                failures = self._wait_after(download, error, failures, part, had)
            had = _size_of(part)

    def _wait_after(self, download: Download, error: Exception, failures: int, part: Path, had: int) -> int:
        """Wait before the next try, and count the failures since something last arrived."""
        failures = 1 if _size_of(part) > had else failures + 1
        if failures >= _TRIES:
            raise InstallError(_unreachable(download, error)) from error
        self._stop.wait(min(2.0 ** (failures - 1), 15.0) / 2)
        self._stop.check()
        return failures

    def _fetch_rest(self, download: Download, part: Path, report: Callable[[int], None]) -> None:
        have = _size_of(part)
        request = urllib.request.Request(download.url)
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            answer = self._open(request)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            # Nothing comes after what is there: it is whole, or not what the server has.
            return
        with answer:
            starts_at = _start_of(answer) if have else 0
            with part.open("r+b" if starts_at else "wb") as file:
                file.seek(starts_at)
                file.truncate()
                done = starts_at
                while piece := answer.read(_CHUNK):
                    self._stop.check()
                    file.write(piece)
                    done += len(piece)
                    report(done)
            expected = answer.headers.get("Content-Length")
            if expected is not None and done - starts_at < int(expected):
                raise ConnectionError("the connection ended early")

    def _open(self, request: urllib.request.Request) -> Any:
        return self._opener.open(request, timeout=_TIMEOUT)

    def _report(self, report: Report, done: int, total: int | None, name: str) -> None:
        now = time.monotonic()
        if now - self._last_report >= 1 / _REPORTS:
            self._last_report = now
            report(done, total, name)


def _start_of(answer: Any) -> int:
    """Where the piece that the server sends begins; 0 when it sends all of it again."""
    match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", "")) if answer.status == 206 else None
    return int(match.group(1)) if match else 0


def _size_of(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _is_right(file: Path, sha256: str) -> bool:
    if not sha256:
        return True
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest() == sha256


def _unreachable(download: Download, error: Exception) -> str:
    host = urllib.parse.urlsplit(download.url).netloc
    return (
        f"{download.name} could not be downloaded from {host} ({error}). Check the network, then run this again: what "
        "has arrived is kept."
    )
