"""Files in the making: written under another name and then renamed, so that nobody meets half a file.

A process that is killed meanwhile leaves its draft behind; whoever writes next to it later removes it when it is stale.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

#: Seconds after which a draft is nobody's any more.
STALE_SECONDS = 24 * 3600


def is_stale(draft: Path) -> bool:
    """Say whether a file was last written more than a day ago, or is dated more than a day ahead.

    The latter was written before the clock was set back.

    Raises:
        OSError: it has gone.
    """
    return abs(time.time() - draft.stat().st_mtime) > STALE_SECONDS


@contextlib.contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within this context an error tells of `path`, the file that is being made, not of its draft.

    Raises:
        OSError: the one that was met, with another file name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
