"""The one kind of failure the installer reports."""

from __future__ import annotations


class InstallError(Exception):
    """The installation cannot go on. `str(error)` tells the user what happened and what to do."""
