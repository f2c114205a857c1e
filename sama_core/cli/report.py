"""What the doctor finds, and a report of it to attach to a bug report: nothing in it says who or where the user is."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import platform
import re
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sama_core import __version__, paths
from sama_core.errors import SamaError

REINSTALL = "Run the installer again; it repairs what is missing."

TITLE = "# SAMA for GIMP: the doctor's report"

#: How much of each log is in a report: its last lines, each cut.
LOG_LINES, LINE_LENGTH = 200, 300


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, whether it is well, what was found, and what to do if it is not well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


class NotAReport(SamaError):
    """The file in which a report would go is something else."""

    code = "report"
    status = 422


def write_report(path: Path, findings: list[Check]) -> None:
    """Write a report, replacing an older one.

    Raises:
        NotAReport: there is such a file, and it is no report.
        OSError: it cannot be written.
    """
    check_place(path)
    path.write_text(report(findings), encoding="utf-8")


def check_place(path: Path) -> None:
    """See, before any work, that a report may go to `path`.

    Raises:
        NotAReport: as `write_report`.
    """
    if path.is_dir():
        raise NotAReport(f"'{path}' is a folder. Give the name of a file.")
    if path.exists() and (not path.is_file() or path.open("rb").read(len(TITLE.encode())) != TITLE.encode()):
        raise NotAReport(f"'{path}' is not a report and is not overwritten. Choose another file.")


def report(findings: list[Check]) -> str:
    """Return the report's text (Markdown)."""
    lines = [TITLE, "", f"SAMA {__version__}, {time.strftime('%Y-%m-%d')}", ""]
    lines += [f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}", ""]
    for check in findings:
        lines.append(f"- {'ok' if check.ok else 'NOT WELL'} {check.name}: {check.detail}")
        if not check.ok:
            lines.append(f"  - {check.remedy}")
    for path in (paths.install_record(), paths.log_file(), paths.log_file().with_name("engine-start.log")):
        lines += ["", f"## {path.name}", "", *_last_lines(path)]
    return Anonymous().text("\n".join(lines) + "\n")


def _last_lines(path: Path) -> Iterable[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    except OSError as error:
        return [f"({error.strerror})"]
    # Indented, which Markdown shows as it is. What is no text becomes a blank.
    return ["    " + "".join(c if c.isprintable() else " " for c in line[:LINE_LENGTH]) for line in lines]


class Anonymous:
    """Takes the names of the user, of the home folder and of the computer out of a text, and the engine's token."""

    def __init__(self) -> None:
        homes = {str(Path.home()), os.path.realpath(Path.home()), os.environ.get("HOME", "")}
        homes.add(os.environ.get("USERPROFILE", ""))
        own = {str(paths.home()), os.path.realpath(paths.home())}
        users = {Path(home).name for home in homes if home}
        with contextlib.suppress(OSError, KeyError, ImportError):
            users.add(getpass.getuser())
        computers = {platform.node(), socket.gethostname()}
        computers |= {name.split(".")[0] for name in computers}
        self._folders = [(folder, "SAMA_HOME") for folder in own] + [(folder, "HOME") for folder in homes]
        self._folders.append((sys.prefix, "PYTHON"))
        self._names = [(name, "USER") for name in users] + [(name, "COMPUTER") for name in computers]
        self._token = _token()

    def text(self, text: str) -> str:
        """Return a text without those names."""
        if self._token:
            text = text.replace(self._token, "TOKEN")
        for folder, stand_in in sorted(self._folders, key=lambda pair: -len(pair[0])):
            # A home of "/" says nothing of anybody.
            if len(folder) > 1:
                for spelling in (folder, json.dumps(folder)[1:-1], folder.replace("\\", "/")):
                    text = text.replace(spelling, stand_in)
        # Others' homes, in paths that point there.
        text = re.sub(r"((?:^|[/\\])(?:home|Users|media)[/\\]+)[^/\\\s\"']+", r"\1USER", text, flags=re.IGNORECASE)
        for name, stand_in in sorted(self._names, key=lambda pair: -len(pair[0])):
            for spelling in {name, json.dumps(name)[1:-1]} - {"", stand_in}:
                text = re.sub(rf"(?<![^\W_]){re.escape(spelling)}(?![^\W_])", stand_in, text, flags=re.IGNORECASE)
        return text


def _token() -> str:
    try:
        token = json.loads(paths.state_file().read_bytes())["token"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return token if isinstance(token, str) else ""
