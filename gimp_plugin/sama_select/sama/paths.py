"""Where the engine's files live. The same rule as `sama_core/paths.py`, stated for GIMP's own Python.

It does not read XDG_* and the like, which GIMP's packagings move about (flatpak, snap, the macOS bundle): plug-in,
engine and installer must agree on the folder whoever started them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def home() -> Path:
    """The product's own folder: `$SAMA_HOME`, or the platform's place for application data."""
    override = os.environ.get("SAMA_HOME")
    if override:
        return Path(override)
    user = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or user / "AppData" / "Local") / "SAMA"
    if sys.platform == "darwin":
        return user / "Library" / "Application Support" / "SAMA"
    return user / ".local" / "share" / "sama-gimp"


def install_record() -> Path:
    """JSON written by the installer: how to start the engine."""
    return home() / "install.json"


def state_file() -> Path:
    """JSON written by a running engine: port, token, pid, versions."""
    return home() / "run" / "engine.json"


def lock_file() -> Path:
    """Held by a running engine; while nobody holds it, the state file is a dead engine's."""
    return home() / "run" / "engine.lock"


def weights_folder() -> Path:
    """The weights that were fetched for the engine; those that come with it lie elsewhere."""
    return home() / "weights"


def log_file() -> Path:
    """The engine's own log."""
    return home() / "logs" / "engine.log"


def start_log() -> Path:
    """What the engine's process printed while starting, before it could open its own log."""
    return home() / "logs" / "engine-start.log"
