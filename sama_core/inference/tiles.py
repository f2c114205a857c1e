"""Overlapping tiles over a picture, so that memory is bounded by the tile and not by the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


class Blend:
    """Puts overlapping tiles together, each weighted by its ramp, while it holds the rows of two rows of tiles only.

    Args:
        result: H×W uint8 to write into.
        inside: for rows `slice` and columns `slice` of the picture, bool: where to write.
    """

    def __init__(self, result: np.ndarray, inside: Callable[[tuple[slice, slice]], np.ndarray]) -> None:
        self._result, self._inside = result, inside
        self._first = 0
        self._total = self._weight = np.zeros((0, result.shape[1]), np.float32)

    @property
    def held(self) -> int:
        """Rows that are held."""
        return len(self._total)

    def add(self, tile: Tile, part: tuple[slice, slice], values: np.ndarray) -> None:
        """Add values (float32 0..1) of a part of a tile, given as index pairs into the tile; tiles come in the order of
        `tiles_over`."""
        rows, columns = tile.outer
        self._advance(rows.start, rows.stop)
        ramp = tile.ramp()[part]
        here = (
            slice(rows.start - self._first + part[0].start, rows.start - self._first + part[0].stop),
            slice(columns.start + part[1].start, columns.start + part[1].stop),
        )
        self._total[here] += values * ramp
        self._weight[here] += ramp

    def finish(self) -> None:
        """Write what is still held."""
        self._advance(self._result.shape[0], self._result.shape[0])

    def _advance(self, first: int, last: int) -> None:
        """Write the rows before `first` and hold those from there to `last`."""
        done = min(first - self._first, len(self._total))
        if done > 0:
            total, weight = self._total[:done], self._weight[:done]
            columns = np.flatnonzero(weight.any(axis=0))
            if columns.size:
                span = slice(int(columns[0]), int(columns[-1]) + 1)
                index = (slice(self._first, self._first + done), span)
                written = self._inside(index) & (weight[:, span] > 0)
                mean = total[:, span] / np.maximum(weight[:, span], 1e-6)
                self._result[index][written] = np.rint(np.clip(mean, 0, 1) * 255).astype(np.uint8)[written]
            self._total, self._weight = self._total[done:], self._weight[done:]
        self._first = max(first, self._first)
        more = last - self._first - len(self._total)
        if more > 0:
            empty = np.zeros((more, self._result.shape[1]), np.float32)
            self._total = np.concatenate([self._total, empty])
            self._weight = np.concatenate([self._weight, empty])


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
