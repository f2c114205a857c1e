"""A report for a bug report: what happened, without the person's name, folders or pictures."""

from __future__ import annotations

import getpass
import os
import platform
import re
from pathlib import Path


def report(version: str, message: str, log: str) -> str:
    """What to paste into a bug report."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    return without_person(f"SAMA for GIMP {version}\n{system}\n\n{message}\n\n{log}\n")


def without_person(text: str) -> str:
    """`text` with the home folder written ~, SAMA's own folder SAMA_HOME, and the user's name USER."""
    places = {str(Path.home()): "~", os.path.realpath(Path.home()): "~", os.environ.get("SAMA_HOME", ""): "SAMA_HOME"}
    for place in sorted(places.keys() - {"", os.sep}, key=len, reverse=True):
        text = text.replace(place, places[place])
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        return text
    # "root" is nobody's name, and a word of its own in many messages.
    return text if name == "root" else re.sub(rf"\b{re.escape(name)}\b", "USER", text)
