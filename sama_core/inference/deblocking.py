"""Strongly compressed pictures without the blocks of their JPEG, for what follows the picture's edges.

A plug-in sends pixels and not files, so how strong the blocks are is measured in the pixels themselves: at the borders
of 8 by 8 pixels (16 where the colours were halved) a compressed picture steps further than beside them. A picture
without such a grid is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sama_core.images import Window

#: Side of a JPEG block in the samples that it codes (ITU-T T.81), and in pixels where colours have half the samples.
BLOCK, HALVED_BLOCK = 8, 16
#: Excess of the steps at block borders over those beside them, in levels of luma out of 255, from which a picture
#: counts as blocky. Photos without blocks measure under 0.1, JPEGs of quality 92 about 0.3, of quality 75 about 0.9.
_BLOCKY = 0.45
#: The same for chroma, once luma has told that there are blocks.
_BLOCKY_CHROMA = 0.1
#: Steps larger than this, in levels, are the picture's own edges and say nothing of blocks.
_EDGE = 24.0
#: The excess is so many times the spread of the same figure at places that are no borders; chance stays under this.
_CERTAIN = 4.0
#: A step is evened out up to so many times the mean excess, and by half where what is beside it steps so many times the
#: excess: in lively parts blocks are not seen, and much is the picture's own. The two, and the shape of `_even_out`'s
#: ramp, are those with which photos came nearest to what they were before compression (docs/results.md).
_REACH, _LIVELY = 6.0, 4.0
#: Levels of alpha that a level of luma's excess may have become, and how far from 0 and 255 alpha is soft.
_ALPHA_GAIN, _SOFT_ALPHA = 6.0, 6
#: Rows that are measured of a large picture, in strips; and rows that are evened out at once.
_MEASURED_PIXELS, _STRIP = 2_000_000, 64
_ROWS = 256
#: R'G'B' to luma and chroma (ITU-T T.871), chroma about 0.
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
_TO_RGB = np.linalg.inv(_TO_YCC).astype(np.float32)


class Borders(NamedTuple):
    """Block borders of a plane along one axis.

    Attributes:
        first: index of the first sample after a border, 0 to period − 1.
        period: distance of the borders in pixels.
        excess: by how much the steps there exceed those beside them in the mean, in levels.
    """

    first: int
    period: int
    excess: float


class Grid(NamedTuple):
    """The block borders of a picture's planes: those down (axis 0) and across (axis 1), None where there are none."""

    luma: tuple[Borders, Borders]
    chroma: tuple[tuple[Borders | None, Borders | None], ...]

    def within(self, window: Window) -> Grid:
        """The same borders in a crop."""

        def moved(pair: tuple[Borders | None, ...]) -> tuple:
            return tuple(
                borders and borders._replace(first=(borders.first - start) % borders.period)
                for borders, start in zip(pair, (window.top, window.left), strict=True)
            )

        return Grid(moved(self.luma), tuple(moved(pair) for pair in self.chroma))


def even_picture(rgb: np.ndarray, grid: Grid) -> np.ndarray:
    """A picture with the steps at its block borders evened out.

    At each border the step that the slopes on both sides do not explain is spread over the half blocks beside it. The
    picture's own edges are larger and stay.

    Args:
        rgb: H×W×3 uint8, not changed.

    Returns:
        H×W×3 uint8.
    """
    result = np.empty_like(rgb)
    for inner, outer, own in _strips(len(rgb)):
        planes = rgb[outer].astype(np.float32) @ _TO_YCC.T
        for number, pair in enumerate((grid.luma, *grid.chroma)):
            _even_both_ways(planes[..., number], pair, outer.start)
        result[inner] = np.clip(np.rint(planes[own] @ _TO_RGB.T), 0, 255).astype(np.uint8)
    return result


def even_alpha(alpha: np.ndarray, grid: Grid) -> np.ndarray:
    """A matte whose soft parts have no steps at the picture's block borders.

    Matting goes by small differences of colour, and so brings out again what little is left of the blocks.

    Args:
        alpha: H×W uint8, not changed.

    Returns:
        H×W uint8.
    """
    result = alpha.copy()
    pair = tuple(borders._replace(excess=_ALPHA_GAIN * borders.excess) for borders in grid.luma)
    for inner, outer, own in _strips(len(alpha)):
        soft = (alpha[inner] >= _SOFT_ALPHA) & (alpha[inner] <= 255 - _SOFT_ALPHA)
        if soft.any():
            plane = alpha[outer].astype(np.float32)
            _even_both_ways(plane, pair, outer.start)
            result[inner][soft] = np.clip(np.rint(plane[own][soft]), 0, 255).astype(np.uint8)
    return result


def _strips(height: int) -> Iterator[tuple[slice, slice, slice]]:
    """Strips of rows, the rows that they depend on, and where they lie in those."""
    for top in range(0, height, _ROWS):
        bottom = min(top + _ROWS, height)
        outer = slice(max(0, top - HALVED_BLOCK), min(height, bottom + HALVED_BLOCK))
        yield slice(top, bottom), outer, slice(top - outer.start, bottom - outer.start)


def _even_both_ways(plane: np.ndarray, pair: tuple[Borders | None, ...], top: int) -> None:
    """Spread the steps of a plane, rows from `top` of a picture, in place."""
    for axis, (borders, start) in enumerate(zip(pair, (top, 0), strict=True)):
        if borders is not None:
            _even_out(_across(plane, axis), borders._replace(first=(borders.first - start) % borders.period))


def find_grid(rgb: np.ndarray) -> Grid | None:
    """The block borders of a picture, or None: a grid counts only if luma shows it both ways.

    Args:
        rgb: H×W×3 uint8.
    """
    strips = [rgb[rows].astype(np.float32) @ _TO_YCC.T for rows in _measured_rows(*rgb.shape[:2])]
    down, across = (_luma_borders([_across(strip[..., 0], axis) for strip in strips]) for axis in (0, 1))
    if down is None or across is None:
        return None
    chroma = (
        [
            _chroma_borders([_across(strip[..., number], axis) for strip in strips], luma.first)
            for axis, luma in enumerate((down, across))
        ]
        for number in (1, 2)
    )
    return Grid((down, across), tuple((first, second) for first, second in chroma))


def _measured_rows(height: int, width: int) -> list[slice]:
    """Strips spread over a picture, at whole blocks from its top; all of a picture that is no larger than they are."""
    count = max(1, _MEASURED_PIXELS // (width * _STRIP))
    if count * _STRIP >= height:
        return [slice(0, height)]
    starts = np.linspace(0, height - _STRIP, count).astype(int) // HALVED_BLOCK * HALVED_BLOCK
    return [slice(start, start + _STRIP) for start in starts]


def _across(plane: np.ndarray, axis: int) -> np.ndarray:
    """The plane with the axis that crosses the borders in front."""
    return plane if axis == 0 else plane.T


def _luma_borders(planes: list[np.ndarray]) -> Borders | None:
    excess = _excess(planes)
    first = int(excess.argmax())
    # a step makes what is beside it look the smaller, so the two neighbours do not tell what chance does
    others = np.roll(excess, -first)[2:-1]
    if excess[first] < _BLOCKY or excess[first] - others.mean() < _CERTAIN * others.std():
        return None
    return Borders(first, BLOCK, float(excess[first]))


def _chroma_borders(planes: list[np.ndarray], luma_first: int) -> Borders | None:
    # where colours were halved every second border of luma is one of chroma, blurred by the decoder over four pixels
    odd = luma_first % 2
    halves = _excess([_halved(plane[odd:]) for plane in planes])
    here = luma_first // 2 % BLOCK
    there = (here + BLOCK // 2) % BLOCK
    strong, weak = (here, there) if halves[here] >= halves[there] else (there, here)
    if halves[weak] < halves[strong] / 2:
        found = Borders(2 * strong + odd, HALVED_BLOCK, float(halves[strong]))
    else:
        found = Borders(luma_first, BLOCK, float(_excess(planes)[luma_first]))
    return found if found.excess > _BLOCKY_CHROMA else None


def _excess(planes: list[np.ndarray]) -> np.ndarray:
    """How much larger the steps at every eighth place are than those beside them: 8 means, in levels.

    Number k belongs to the steps that end at samples k, k + 8, k + 16 … of the first axis.
    """
    total, count = np.zeros(BLOCK), np.zeros(BLOCK)
    for plane in planes:
        steps = np.abs(np.diff(plane, axis=0))
        excess = steps[1:-1] - (steps[:-2] + steps[2:]) / 2
        plain = np.maximum(np.maximum(steps[:-2], steps[2:]), steps[1:-1]) < _EDGE
        for first in range(BLOCK):
            here = slice((first - 2) % BLOCK, None, BLOCK)
            total[first] += excess[here][plain[here]].sum(dtype=np.float64)
            count[first] += plain[here].sum()
    return total / np.maximum(count, 1)


def _halved(plane: np.ndarray) -> np.ndarray:
    """Means of neighbouring pairs along the first axis."""
    even = plane[: len(plane) // 2 * 2]
    return (even[::2] + even[1::2]) / 2


def _even_out(plane: np.ndarray, borders: Borders) -> None:
    """Spread the steps at the borders along the first axis, in place."""
    at = np.arange(borders.first, len(plane), borders.period)
    at = at[(at >= 4) & (at <= len(plane) - 4)]
    reach = borders.period // 2
    share = 0.5 * (1 - (np.arange(reach, dtype=np.float32) + 0.5) / reach) ** 2
    if borders.period == BLOCK:
        further, before, after, beyond = (plane[at + offset] for offset in (-2, -1, 0, 1))
        seen = 1.0
    else:
        # a decoder draws halved colours as 3/4 and 1/4 of the two nearest samples (libjpeg's "fancy upsampling"): 5/8
        # of a step are left in the means of pairs, and a quarter of it has been moved across the border already
        further, before, after, beyond = ((plane[at + o] + plane[at + o + 1]) / 2 for o in (-4, -2, 0, 2))
        seen = 5 / 8
        share[0] -= 0.25
    step = (after - before - (before - further + beyond - after) / 2) / seen
    activity = (np.abs(before - further) + np.abs(beyond - after)) / 2 / seen
    step = np.clip(step, -_REACH * borders.excess, _REACH * borders.excess)
    step *= 1 / (1 + (activity / (_LIVELY * borders.excess)) ** 2)
    for distance, part in enumerate(share):
        left, right = at - 1 - distance, at + distance
        inside = left >= 0
        plane[left[inside]] += part * step[inside]
        inside = right < len(plane)
        plane[right[inside]] -= part * step[inside]
