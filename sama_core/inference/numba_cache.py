"""PyMatting compiles its loops when it is first imported (about a minute); keep that work where it can be kept."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from sama_core import paths


def prepare() -> None:
    """Point numba at a writable folder when site-packages is read-only; call before PyMatting is imported."""
    packages = Path(sysconfig.get_paths()["purelib"])
    if "NUMBA_CACHE_DIR" not in os.environ and not os.access(packages, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(paths.cache_dir() / "numba")
