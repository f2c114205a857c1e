"""Overlapping tiles over a picture, so that memory is bounded by the tile and not by the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tile:
    """A tile with its overlap (`outer`) and the part that is its own (`inner`), as index pairs into the picture."""

    outer: tuple[slice, slice]
    inner: tuple[slice, slice]

    def ramp(self) -> np.ndarray:
        """Blending weights of `outer`: 1 on `inner`, falling to almost 0 across the overlap; float32."""
        axes = []
        for outer, inner in zip(self.outer, self.inner, strict=True):
            length = outer.stop - outer.start
            weights = np.ones(length, np.float32)
            before, after = inner.start - outer.start, outer.stop - inner.stop
            if before:
                weights[:before] = (np.arange(before) + 1) / (before + 1)
            if after:
                weights[length - after :] = (np.arange(after)[::-1] + 1) / (after + 1)
            axes.append(weights)
        return axes[0][:, None] * axes[1][None, :]

    def own(self) -> tuple[slice, slice]:
        """Index of `inner` within `outer`."""
        return tuple(  # type: ignore[return-value]
            slice(inner.start - outer.start, inner.stop - outer.start)
            for outer, inner in zip(self.outer, self.inner, strict=True)
        )


def tiles_over(shape: tuple[int, ...], side: int, overlap: int) -> Iterator[Tile]:
    """Yield tiles whose inner parts cover an H×W picture exactly once; outer parts reach `overlap` further where
    there is picture."""
    height, width = shape[:2]
    for top in range(0, height, side):
        for left in range(0, width, side):
            bottom, right = min(top + side, height), min(left + side, width)
            yield Tile(
                (
                    slice(max(0, top - overlap), min(height, bottom + overlap)),
                    slice(max(0, left - overlap), min(width, right + overlap)),
                ),
                (slice(top, bottom), slice(left, right)),
            )
