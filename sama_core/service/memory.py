"""Memory that was freed but that the allocator keeps."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable


def give_back() -> None:
    """Give freed memory back to the system.

    glibc keeps what lies between pieces still in use, and pictures of many sizes come and go. Does nothing where
    there is no such function.
    """
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], object]:
    try:
        return ctypes.CDLL(None).malloc_trim if sys.platform == "linux" else _nothing
    except (AttributeError, OSError):
        return _nothing


def _nothing(_: int) -> None:
    pass
