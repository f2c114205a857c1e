"""The folder that PyTorch makes for what it compiles, as soon as some of its parts are imported, used or not.

It is kept in SAMA's own folder: among the system's temporary files, where PyTorch puts it, it would stay for good.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from sama_core import paths

_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def keep_in_home() -> None:
    """Name the folder to PyTorch, for as long as this process lives; before PyTorch is imported.

    Where it cannot be made PyTorch is left to its own ways.
    """
    folder = paths.cache_dir() / "inductor"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ.setdefault(_VARIABLE, str(folder))


@contextlib.contextmanager
def kept_in_home() -> Iterator[None]:
    """Name it for the length of a command, where SAMA's folder is there; take it away afterwards if it is empty."""
    before = os.environ.get(_VARIABLE)
    if before is not None or not paths.home().is_dir():
        yield
        return
    keep_in_home()
    try:
        yield
    finally:
        folder = os.environ.pop(_VARIABLE, None)
        if folder:
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
                paths.cache_dir().rmdir()
