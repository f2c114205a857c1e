"""Photos and their objects as tensors: all at once where the network is, or read as they are asked for.

Both are data sets for a `DataLoader`, which asks for the photos of a batch together.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from sama_core.data.sets import VOID, Entry, load_rgb, load_targets
from sama_core.errors import DatasetError

#: More objects than this in one photo are left out, the smallest first.
_MOST_OBJECTS = 40
_NO_OBJECT = "No photo of the training split has an object. Check the masks."
#: Pixels, labels, size and number of objects of one photo of a `PhotoStore`.
_Photo = tuple[np.ndarray, np.ndarray, tuple[int, int], int]


@dataclass
class PhotoStore(Dataset):
    """Photos with objects, each scaled to a long side of S and padded at the right and bottom.

    Attributes:
        pixels: N×3×S×S uint8 sRGB.
        labels: N×S×S uint8: number of the object from 1 on, 0 background, `VOID` where nobody knows or padding.
        sizes: N×2 int64, rows and columns that show the photo.
        counts: N int64, objects in each photo, at least 1.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    sizes: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def load(cls, entries: list[Entry], size: int, threads: int | None = None) -> PhotoStore:
        """Read the photos that have a usable object. They take 4·S² bytes of memory each: 1 MB at S = 512.

        Raises:
            DatasetError: no photo has an object.
        """
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            read = [each for each in pool.map(lambda entry: _read(entry, size), entries) if each is not None]
        if not read:
            raise DatasetError(_NO_OBJECT)
        return _stacked(read)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def size(self) -> int:
        """S."""
        return self.pixels.shape[-1]

    def to(self, device: torch.device) -> PhotoStore:
        """Copy to a device."""
        return PhotoStore(*(part.to(device) for part in (self.pixels, self.labels, self.sizes, self.counts)))

    def __getitems__(self, photos: list[int]) -> PhotoStore:
        """The photos of these numbers, in this order."""
        return PhotoStore(self.pixels[photos], self.labels[photos], self.sizes[photos], self.counts[photos])


class PhotoFiles(Dataset):
    """Photos that are read when they are taken, for machines whose memory does not hold them all.

    Reading one takes a small part of the time that a CPU needs to learn from it.
    """

    def __init__(self, entries: list[Entry], size: int) -> None:
        self.entries, self.size = entries, size

    def __len__(self) -> int:
        return len(self.entries)

    def __getitems__(self, photos: list[int]) -> PhotoStore:
        """Read the photos of these numbers; for one without a usable object, the next one that has any.

        Raises:
            DatasetError: no photo has an object.
        """
        read = []
        for number in photos:
            for entry in (*self.entries[number:], *self.entries[:number]):
                one = _read(entry, self.size)
                if one is not None:
                    read.append(one)
                    break
            else:
                raise DatasetError(_NO_OBJECT)
        return _stacked(read)


def _stacked(read: list[_Photo]) -> PhotoStore:
    pixels, labels, sizes, counts = zip(*read, strict=True)
    return PhotoStore(
        torch.from_numpy(np.stack(pixels)),
        torch.from_numpy(np.stack(labels)),
        torch.tensor(sizes, dtype=torch.int64),
        torch.tensor(counts, dtype=torch.int64),
    )


def _read(entry: Entry, size: int) -> _Photo | None:
    objects = sorted(load_targets(entry), key=lambda pair: -int(pair[0].sum()))[:_MOST_OBJECTS]
    rgb = load_rgb(entry.image)
    scale = size / max(rgb.shape[:2])
    height, width = (max(1, round(side * scale)) for side in rgb.shape[:2])
    labels = np.full((size, size), VOID, np.uint8)
    count = 0
    for mask, valid in objects:
        if count == 0:
            void = cv2.resize(valid, (width, height), interpolation=cv2.INTER_NEAREST) == 0
            labels[:height, :width] = np.where(void, np.uint8(VOID), np.uint8(0))
        placed = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
        if placed.any():
            count += 1
            labels[:height, :width][placed] = count
    if count == 0:
        return None
    pixels = np.zeros((3, size, size), np.uint8)
    filter_ = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels[:, :height, :width] = cv2.resize(rgb, (width, height), interpolation=filter_).transpose(2, 0, 1)
    return pixels, labels, (height, width), count
