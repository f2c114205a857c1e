"""Let pip find out which files an installation needs, and download them so that a break costs nothing.

What has arrived stays, and the rest is asked for the next time.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installer.child_processes import run_quietly, run_watched
from installer.events import InstallError
from installer.steps import Steps, Stop
from sama_core.weights import download as resuming
from sama_core.weights.http_range import size_at

_TIMEOUT = 60.0
_PAUSES = (0.5, 1.0, 2.0, 4.0, 7.5)
#: At most so many reports of progress a second.
_REPORTS = 5

#: Told the bytes that are there, all bytes (None when not known), and the file's name.
Report = Callable[[int, "int | None", str], None]
#: The first pip that can say what it would install (`--dry-run --report`).
_LEAST_PIP = (23, 0)
#: pip asks for the facts about a package alone where the index has them apart; else it reads them out of the package
#: on the server, which this allows it. Without either it downloads the package whole to look into it.
_LOOK_FROM_AFAR = "--use-feature=fast-deps"


class NoSuchVersion(InstallError):
    """The index answers, but has no versions that go together as they are asked for."""


@dataclass(frozen=True)
class Pip:
    """The pip of an environment.

    Attributes:
        python: the environment's interpreter.
        work: a folder for what pip keeps for a moment, instead of the system's, which is memory on many systems.
        steps: where what it says is told.
    """

    python: Path
    work: Path
    steps: Steps

    def run(self, *arguments: str) -> tuple[int, list[str]]:
        """Run pip; return its exit status and what it said."""
        place = {"TMPDIR": str(self.work), "TEMP": str(self.work), "TMP": str(self.work)}
        settings = {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        return run_watched([str(self.python), "-m", "pip", *arguments], self.steps, {**place, **settings})

    def version(self) -> tuple[int, int]:
        """For example (24, 0); (0, 0) when there is none."""
        said = run_quietly([str(self.python), "-m", "pip", "--version"]).stdout
        match = re.match(r"pip (\d+)\.(\d+)", said)
        return (int(match.group(1)), int(match.group(2))) if match else (0, 0)

    def certificates(self) -> Path | None:
        """pip's own list of certificates: some Pythons come without any."""
        done = run_quietly([str(self.python), "-c", "from pip._vendor import certifi; print(certifi.where())"])
        return Path(done.stdout.strip()) if done.returncode == 0 else None


def renew(pip: Pip) -> None:
    """Bring a pip that is too old to resolve up to date.

    Raises:
        InstallError: it cannot be had.
    """
    if pip.version() >= _LEAST_PIP:
        return
    status, said = pip.run("install", "--no-cache-dir", "--upgrade", "pip")
    if status != 0:
        raise InstallError(failure_of("pip could not be brought up to date", said))


def resolve(pip: Pip, requirements: Sequence[str], options: Sequence[str]) -> list[Download]:
    """Return the files that installing `requirements` takes, beyond what the environment has.

    Args:
        pip: at least as new as `renew` makes it.
        requirements: as pip takes them; files by their full path.
        options: further options, such as those that name an index.

    Raises:
        NoSuchVersion: there are versions, but not such as are wanted.
        InstallError: pip finds no answer.
    """
    report = pip.work / "report.json"
    command = ["install", "--dry-run", "--no-cache-dir", "--quiet", "--report", str(report), *options]
    status, said = pip.run(*command, _LOOK_FROM_AFAR, *requirements)
    if status != 0:
        # A pip that has given the option up, or a server that pip cannot look at from afar.
        status, said = pip.run(*command, *requirements)
    if status != 0:
        kind = NoSuchVersion if lacks_version(said) else InstallError
        raise kind(failure_of("What the engine needs could not be found", said))
    items = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [_download(item) for item in items]


def lacks_version(said: Sequence[str]) -> bool:
    """Whether pip failed because the versions that there are are not those that are wanted."""
    return bool(
        re.search(r"\(from versions: (?!none\))|ResolutionImpossible|conflicting dependencies", "\n".join(said))
    )


def failure_of(what: str, said: Sequence[str]) -> str:
    """A sentence on a failure of pip, with its own last error."""
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
    reason = (errors or list(said) or ["it said nothing"])[-1]
    return f"{what}: pip says “{reason}”. Check the network and the free disk space, and run this again."


def _local_file(download: Download) -> Path | None:
    """The file itself when it is on this computer already."""
    parts = urllib.parse.urlsplit(download.url)
    return Path(urllib.request.url2pathname(parts.path)) if parts.scheme == "file" else None


def _download(item: dict[str, Any]) -> Download:
    info, facts = item["download_info"], item["metadata"]
    archive = info.get("archive_info", {})
    old_style = str(archive.get("hash", "")).partition("sha256=")[2]
    release = f"{re.sub('[-_.]+', '-', str(facts['name'])).lower()}=={facts['version']}"
    return Download(str(info["url"]), str(archive.get("hashes", {}).get("sha256") or old_style), release)


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


def fetch_all(
    downloads: Sequence[Download], folder: Path, certificates: Path | None, stop: Stop, report: Report
) -> list[Path]:
    """Return files, in their order, complete and checked; those not on this computer are fetched.

    Args:
        folder: where those are kept; it must exist.
        certificates: a file of certificates to trust besides the system's, or None.
        stop: the person's wish to stop, heeded between two pieces.

    Raises:
        InstallError: one cannot be had; what has arrived is kept.
        Refused: a server wants credentials.
        Stopped: the person wishes so.
    """
    trusted = ssl.create_default_context()
    for extra in (certificates, os.environ.get("PIP_CERT"), os.environ.get("REQUESTS_CA_BUNDLE")):
        if extra and Path(extra).is_file():
            trusted.load_verify_locations(cafile=str(extra))
    files = [_local_file(download) or folder / download.name for download in downloads]
    wanted = {folder / download.name: download for download in downloads if _local_file(download) is None}
    sizes: dict[Path, int | None] = {}
    for file, download in wanted.items():
        stop.check()
        sizes[file] = file.stat().st_size if file.is_file() else size_at(download.url, trusted, _TIMEOUT)
    total = None if None in sizes.values() else sum(filter(None, sizes.values()))
    before, last_report = 0, 0.0

    def progress(done: int, of: int, text: str) -> None:
        nonlocal last_report
        stop.check()
        now = time.monotonic()
        if text != resuming.CHECKING and now - last_report >= 1 / _REPORTS:
            last_report = now
            report(before + done, total, file.name)

    for file, download in wanted.items():
        remote = resuming.RemoteFile((download.url,), sizes[file], download.sha256)
        _fetch(remote, file, progress, resuming.Patience(_TIMEOUT, _PAUSES, trusted))
        before += file.stat().st_size
        report(before, total, file.name)
    return files


def _fetch(remote: resuming.RemoteFile, file: Path, progress: resuming.Progress, patience: resuming.Patience) -> None:
    try:
        try:
            resuming.download(remote, file, progress, patience)
        except resuming.WrongChecksum:
            # What arrives damaged once may arrive whole the next time.
            resuming.download(remote, file, progress, patience)
    except resuming.LoginWanted as error:
        raise Refused(str(error)) from error
    except resuming.WrongChecksum as error:
        raise InstallError(
            f"{file.name} arrived damaged twice (its checksum is wrong). Run this again later, or over another network."
        ) from error
    except resuming.DownloadError as error:
        raise InstallError(str(error)) from error
