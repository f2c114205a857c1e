"""Pixels of the images clients have sent, so that the second click sends only its prompt."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class ImageStore:
    """Least-recently-used images by id, capped in bytes; the newest is kept whatever its size.

    Used from the event loop only, hence without a lock. A job holds its own reference to its pixels, so
    dropping an image here never takes it from under one.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._images: OrderedDict[str, np.ndarray] = OrderedDict()

    def get(self, image_id: str) -> np.ndarray | None:
        """Return the image (H×W×3 uint8) and mark it as just used, or None."""
        rgb = self._images.get(image_id)
        if rgb is not None:
            self._images.move_to_end(image_id)
        return rgb

    def put(self, image_id: str, rgb: np.ndarray) -> None:
        """Keep an image, dropping those unused longest until the rest fits."""
        self._images[image_id] = rgb
        self._images.move_to_end(image_id)
        held = sum(image.nbytes for image in self._images.values())
        full = held > self._capacity
        while held > self._capacity and len(self._images) > 1:
            held -= self._images.popitem(last=False)[1].nbytes
        if full:
            give_back_memory()


def give_back_memory() -> None:
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
