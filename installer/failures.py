"""The one kind of failure the installer reports."""

from __future__ import annotations


class InstallError(Exception):
    """The installation cannot go on. `str(error)` tells the user what happened and what to do."""


def sentence(error: BaseException) -> str:
    """What to tell a person of an error."""
    if isinstance(error, OSError):
        return f"{error}. Correct that and run this again."
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "Stopped."
    return str(error) or type(error).__name__
