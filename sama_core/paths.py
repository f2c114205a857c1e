"""Where things live on the user's machine.

One folder for everything, by a fixed rule that does not read XDG_* or other variables which GIMP's packagings move
about (flatpak, snap, the macOS bundle): the plug-in, the engine and the installer must agree on it whoever started
them.
`gimp_plugin/sama_select/sama/state.py` states the same rule for GIMP's Python; a test compares the two.
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


def make_home() -> Path:
    """Make the product's folder, for its owner only, and return it.

    Raises:
        OSError: it cannot be made, or is another user's.
    """
    folder = home()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def install_record() -> Path:
    """JSON written by the installer: how to start the engine."""
    return home() / "install.json"


def state_file() -> Path:
    """JSON written by a running engine: port, token, pid, versions. Mode 0600."""
    return home() / "run" / "engine.json"


def lock_file() -> Path:
    """Held by a running engine; while nobody holds it, the state file is a dead engine's."""
    return home() / "run" / "engine.lock"


def cache_dir() -> Path:
    """Embeddings kept between runs; may be deleted at any time."""
    return home() / "cache"


def weights_dir() -> Path:
    """Weight files that do not come with the package: SAM's checkpoints and their SAMA adapters."""
    return home() / "weights"


def log_file() -> Path:
    """The engine's log."""
    return home() / "logs" / "engine.log"
