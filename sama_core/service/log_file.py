"""The engine's log: a rotating file that also takes what libraries print. Never pictures or tokens."""

from __future__ import annotations

import faulthandler
import logging
import logging.handlers
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1_000_000
BACKUPS = 2


class _LogFile(logging.handlers.RotatingFileHandler):
    """A rotating log file that, when `capture` is set, is the process's stdout and stderr too."""

    def __init__(self, path: Path, capture: bool) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8")
        self._capture = capture
        self._connect()

    def doRollover(self) -> None:
        """Rotate, letting go of the file first: Windows does not rename a file that is open."""
        if self._capture:
            _point_output_at(os.devnull)
        super().doRollover()
        self._connect()

    def _connect(self) -> None:
        if self._capture:
            _point_output_at(self.baseFilename)


def _point_output_at(path: str) -> None:
    target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for descriptor in (1, 2):
        os.dup2(target, descriptor)
    os.close(target)


def open_log(path: Path, detached: bool) -> None:
    """Send the log to `path`; when detached, also everything printed, and read stdin from the null device.

    In the foreground the log goes to stderr as well, and the terminal stays connected.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [_LogFile(path, capture=detached)]
    if detached:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        # Under pythonw these are None, and a library that prints would fail.
        sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", errors="replace", buffering=1)
        sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", errors="replace", buffering=1)
        faulthandler.enable(2)
    else:
        handlers.append(logging.StreamHandler())
    logging.basicConfig(
        level=logging.INFO,
        handlers=handlers,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    # Libraries' own chatter at INFO says nothing to a user.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
