"""The parts of an answer: which of them the user meant.

A network that is asked for one thing sometimes finds a piece of another as well. A part that nobody pointed at, that
touches nothing pointed at and is small beside it, is such a piece. A thing in two parts keeps both where both are
clicked or lie in the region drawn, and where they are of like size.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from sama_core.images import pixels_under
from sama_core.prompts import Prompt

#: An island is smaller than this share of the largest part that was pointed at.
ISLAND = 0.25
#: Parts are told apart on at most so many cells along the long side.
_CELLS = 512
#: A cell is of a part where alpha is above this somewhere in it; only a part that is solid somewhere is another thing:
#: what is soft all through is hair or haze of the thing itself.
_FAINT, _SOLID = 25, 200
#: Parts touch over gaps of up to twice so many cells: strands of hair stand off a head further than pots off pots.
_REACH_OF_SELECTION, _REACH_OF_MATTE = 1, 4
_EIGHT = np.ones((3, 3), bool)


def parts_meant(parts: np.ndarray, count: int, sizes: np.ndarray, pointed_at: np.ndarray, share: float) -> np.ndarray:
    """Which parts hold what was pointed at or are not small beside the largest that does; beside the largest of all
    where none does.

    Args:
        parts: h×w int, 0 outside of all parts, else 1 … `count`.
        sizes: of the parts, `count` numbers.
        pointed_at: h×w bool.
        share: smaller than this share is small.

    Returns:
        `count` bool.
    """
    held = np.bincount(parts[pointed_at], minlength=count + 1)[1:] > 0
    return held | (sizes >= share * (sizes[held] if held.any() else sizes).max())


def without_islands(alpha: np.ndarray, prompt: Prompt, soft: bool) -> np.ndarray:
    """An answer without the parts that the user did not mean.

    Args:
        alpha: H×W uint8, not changed.
        prompt: validated, in pixels of the picture. An earlier answer alone points at nothing, and nothing is left out.
        soft: whether this is a matte, whose strands may stand off its body.

    Returns:
        H×W uint8; `alpha` itself where there is no island.
    """
    block = max(1, math.ceil(max(alpha.shape) / _CELLS))
    tops, lefts = (np.arange(0, side, block) for side in alpha.shape)
    highest = np.maximum.reduceat(np.maximum.reduceat(alpha, tops, axis=0), lefts, axis=1)
    pointed_at = _pointed_at(prompt, block, highest.shape)
    if not pointed_at.any():
        return alpha
    found = highest > _FAINT
    reach = _REACH_OF_MATTE if soft else _REACH_OF_SELECTION
    parts = np.empty(found.shape, np.int32)
    around = ndimage.binary_dilation(found, _EIGHT, iterations=reach)
    count = int(ndimage.label(around, _EIGHT, output=parts))  # type: ignore[arg-type]
    if count < 2:
        return alpha
    sizes = np.bincount(parts.ravel(), np.where(found, highest, 0).ravel(), count + 1)[1:]
    solid = np.asarray(ndimage.maximum(highest, parts, np.arange(1, count + 1))) > _SOLID
    island = solid & ~parts_meant(parts, count, sizes, pointed_at, ISLAND)
    if not island.any():
        return alpha
    left_out = np.concatenate([[False], island])[parts]
    rows, columns = (np.arange(side) // block for side in alpha.shape)
    return np.where(left_out[rows[:, None], columns], 0, alpha).astype(np.uint8)


def _pointed_at(prompt: Prompt, block: int, shape: tuple[int, int]) -> np.ndarray:
    """The cells of `block` × `block` pixels that a prompt points at: those of include clicks, of a box and a region."""
    cells = np.zeros(shape, bool)
    include = np.asarray(prompt.points).reshape(-1, 2)[np.asarray(prompt.labels) == 1]
    columns, rows = pixels_under(include / block, *shape).T
    cells[rows, columns] = True
    if prompt.box is not None:
        left, top, right, bottom = (np.asarray(prompt.box) / block).tolist()
        cells[int(top) : math.ceil(bottom), int(left) : math.ceil(right)] = True
    if prompt.mask is not None:
        tops, lefts = (np.arange(0, side, block) for side in prompt.mask.shape)
        cells |= np.logical_or.reduceat(np.logical_or.reduceat(prompt.mask, tops, axis=0), lefts, axis=1)
    return cells
