"""Filling of outlines, in the standard library alone: GIMP's Python need not have NumPy.

GIMP could do it with a temporary selection or channel, but each of those leaves a trace in the user's undo history.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple, Optional, Sequence, Tuple

Point = Tuple[float, float]


class Filled(NamedTuple):
    """A filled region: `mask` is width·height bytes, 255 inside; `bounds` left, top, right, bottom in whole pixels."""

    mask: bytearray
    bounds: Optional[Tuple[int, int, int, int]]

    def is_rectangle(self, width: int) -> bool:
        """True when the region is exactly its bounds; `width` is that of the mask."""
        if self.bounds is None:
            return False
        left, top, right, bottom = self.bounds
        full = b"\xff" * (right - left)
        return all(self.mask[y * width + left : y * width + right] == full for y in range(top, bottom))


def fill(outlines: Sequence[Sequence[Point]], width: int, height: int) -> Filled:
    """Fill closed outlines into a mask of `width` × `height`; several outlines make their union.

    A pixel is inside when its centre is (non-zero winding, so a stroke that crosses itself leaves no hole). Outlines
    may lie partly or wholly off the mask.
    """
    mask = bytearray(width * height)
    left, top, right, bottom = width, height, 0, 0
    for outline in outlines:
        for y, spans in _spans(outline, height):
            start_of_row = y * width
            for x0, x1 in spans:
                x0, x1 = max(0, x0), min(width, x1)
                if x0 < x1:
                    mask[start_of_row + x0 : start_of_row + x1] = b"\xff" * (x1 - x0)
                    left, right = min(left, x0), max(right, x1)
                    top, bottom = min(top, y), max(bottom, y + 1)
    return Filled(mask, (left, top, right, bottom) if left < right else None)


def _spans(outline, height):
    """Yield (y, [(x0, x1), …]) in whole pixels for each row whose centre line meets the outline."""
    crossings = {}
    for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]] if outline else []):
        if y0 == y1:
            continue
        slope = (x1 - x0) / (y1 - y0)
        winding = 1 if y1 > y0 else -1
        first, last = max(0, ceil(min(y0, y1) - 0.5)), min(height, ceil(max(y0, y1) - 0.5))
        for y in range(first, last):
            crossings.setdefault(y, []).append((x0 + (y + 0.5 - y0) * slope, winding))
    for y, row in crossings.items():
        row.sort()
        spans, winding, start = [], 0, 0.0
        for x, step in row:
            if winding == 0:
                start = x
            winding += step
            if winding == 0:
                spans.append((ceil(start - 0.5), ceil(x - 0.5)))
        yield y, spans
