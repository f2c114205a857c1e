"""Where compilers keep what they made: that work is not to be done twice, and nothing of it is to stay behind for good.

PyTorch makes a folder for what it compiles as soon as some of its parts are imported, used or not, among the system's
temporary files; here it lies in SAMA's own folder.
"""

from __future__ import annotations

import contextlib
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from sama_core import paths

_INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"


def prepare_numba() -> None:
    """Point numba at a writable folder when site-packages is read-only; call before PyMatting is imported.

    PyMatting compiles its loops when it is first imported, which takes about a minute.
    """
    packages = Path(sysconfig.get_paths()["purelib"])
    if "NUMBA_CACHE_DIR" not in os.environ and not os.access(packages, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(paths.cache_dir() / "numba")


def prepare_inductor() -> None:
    """Name to PyTorch the folder for what it compiles, for as long as this process lives; before PyTorch is imported.

    Where it cannot be made PyTorch is left to its own ways.
    """
    folder = paths.cache_dir() / "inductor"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ.setdefault(_INDUCTOR, str(folder))


@contextlib.contextmanager
def inductor_prepared() -> Iterator[None]:
    """Name it for the length of a command, where SAMA's folder is there; take it away afterwards if it is empty."""
    before = os.environ.get(_INDUCTOR)
    if before is not None or not paths.home().is_dir():
        yield
        return
    prepare_inductor()
    try:
        yield
    finally:
        folder = os.environ.pop(_INDUCTOR, None)
        if folder:
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
                paths.cache_dir().rmdir()
