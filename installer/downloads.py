"""Download files so that a break costs nothing: what has arrived stays, and the rest is asked for the next time."""

from __future__ import annotations

import os
import ssl
import time
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from installer.events import Stop
from installer.failures import InstallError
from sama_core.weights import download as resuming
from sama_core.weights.http_range import size_at

_TIMEOUT = 60.0
_PAUSES = (0.5, 1.0, 2.0, 4.0, 7.5)
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
        trusted = ssl.create_default_context()
        for file in (certificates, os.environ.get("PIP_CERT"), os.environ.get("REQUESTS_CA_BUNDLE")):
            if file and Path(file).is_file():
                trusted.load_verify_locations(cafile=str(file))
        self._patience = resuming.Patience(_TIMEOUT, _PAUSES, trusted)

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
        for download, size in zip(downloads, sizes):  # noqa: B905 - Python 3.9 has no `strict`
            files.append(self._fetch(download, size, partial(_report_from, report, before, total, download.name)))
            before += files[-1].stat().st_size
            report(before, total, download.name)
        return files

    def _size(self, download: Download) -> int | None:
        there = self._folder / download.name
        if there.is_file():
            return there.stat().st_size
        self._stop.check()
        return size_at(download.url, self._patience.trusted, _TIMEOUT)

    def _fetch(self, download: Download, size: int | None, report: Callable[[int], None]) -> Path:
        def progress(done: int, total: int, text: str) -> None:
            self._stop.check()
            now = time.monotonic()
            if text != resuming.CHECKING and now - self._last_report >= 1 / _REPORTS:
                self._last_report = now
                report(done)

        file = self._folder / download.name
        wanted = resuming.RemoteFile((download.url,), size, download.sha256)
        try:
            try:
                resuming.download(wanted, file, progress, self._patience)
            except resuming.WrongChecksum:
                # What arrives damaged once may arrive whole the next time.
                resuming.download(wanted, file, progress, self._patience)
        except resuming.LoginWanted as error:
            raise Refused(str(error)) from error
        except resuming.WrongChecksum as error:
            raise InstallError(
                f"{download.name} arrived damaged twice (its checksum is wrong). Run this again later, or over another "
                "network."
            ) from error
        except resuming.DownloadError as error:
            raise InstallError(str(error)) from error
        return file


def _report_from(report: Report, before: int, total: int | None, name: str, done: int) -> None:
    report(before + done, total, name)
