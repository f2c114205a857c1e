"""Where the matting head begins: closed-form matting around the segmentation head's edge, on the head's own grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from sama_core.images import Frame
from sama_core.inference.answer import Progress, no_progress
from sama_core.inference.matting import SURE_IN, SURE_OUT, band_reach, closed_form, matte_alpha, unknown_band
from sama_core.inference.upsampling import BAND_ROWS, probability, sigmoid
from sama_core.model.sama import LEAST

#: The head may change alpha up to so many times the band's half width beyond the band: hair reaches further than the
#: edge that the segmentation head sees, and further out there is nothing to mend. Patches that the segmentation head is
#: in doubt of are not the head's either: there it would decide what belongs to the object, which is for clicks to say.
_BEYOND = 2.0


class GridStart(NamedTuple):
    """A start on the grid of a head, padding at 0.

    Attributes:
        alpha: R×R float32 in 0..1.
        open: R×R bool, where the head may change it.
    """

    alpha: np.ndarray
    open: np.ndarray


def solve(rgb: np.ndarray, mask: np.ndarray, grid: int) -> GridStart:
    """Closed-form matting on the grid itself, as training does it.

    Args:
        rgb: h×w×3 uint8, h and w at most `grid`.
        mask: h×w float32, the segmentation head's probability.
        grid: R.
    """
    reach = band_reach(mask, grid)
    band = unknown_band(mask, reach)
    return _place(closed_form(rgb, mask, band), mask, band, reach, grid)


def start_from(
    frame: Frame,
    logits: np.ndarray,
    rgb: np.ndarray,
    under: Frame,
    grid: int,
    progress: Progress = no_progress,
) -> tuple[np.ndarray, GridStart]:
    """Matte a photo around a mask, and bring the matte to a head's grid.

    Args:
        frame: how the photo lies under the logits.
        logits: N×N float32 of the mask.
        rgb: H×W×3 uint8.
        under: how the photo lies under the head's grid.
        grid: R of the head.

    Returns:
        The matte, H×W uint8, and the start.
    """
    alpha = matte_alpha(frame, logits, rgb, progress)
    height, width = shown(under, grid)
    mask = probability(frame, logits, height, width)
    reach = band_reach(mask, len(logits))
    filter_ = Image.Resampling.BOX if alpha.shape[0] > height else Image.Resampling.BILINEAR
    small = np.asarray(Image.fromarray(alpha).resize((width, height), filter_), np.float32) / 255
    return alpha, _place(small, mask, unknown_band(mask, reach), reach, grid)


def correct(alpha: np.ndarray, frame: Frame, start: GridStart, logits: np.ndarray) -> np.ndarray:
    """Carry what a head changed on its grid to the photo: H×W uint8 to H×W uint8.

    Args:
        alpha: the matte that the start was made from.
        frame: how the photo lies under the grid.
        start: that start.
        logits: R×R float32, the head's answer.
    """
    # against what the head was given: an answer that leaves the start alone is to leave the photo's matte alone
    change = np.where(start.open, sigmoid(logits) - np.clip(start.alpha, LEAST, 1 - LEAST), 0).astype(np.float32)
    height, width = alpha.shape
    result = np.empty_like(alpha)
    for first in range(0, height, BAND_ROWS):
        last = min(first + BAND_ROWS, height)
        moved = alpha[first:last] + 255 * frame.sample_rows(change, first, last, height, width)
        result[first:last] = np.rint(np.clip(moved, 0, 255))
    return result


def shown(frame: Frame, grid: int) -> tuple[int, int]:
    """Rows and columns of a head's grid that show the photo."""
    return max(1, round(frame.input_height * grid / frame.size)), max(1, round(frame.input_width * grid / frame.size))


def _place(alpha: np.ndarray, mask: np.ndarray, band: np.ndarray, reach: float, grid: int) -> GridStart:
    height, width = alpha.shape
    start = GridStart(np.zeros((grid, grid), np.float32), np.zeros((grid, grid), bool))
    start.alpha[:height, :width] = alpha
    if band.any():
        near = np.asarray(ndimage.distance_transform_edt(~band)) <= _BEYOND * reach
        start.open[:height, :width] = near & ~_patches((mask > SURE_OUT) & (mask < SURE_IN), reach)
    return start


def _patches(region: np.ndarray, width: float) -> np.ndarray:
    """The parts of a region (h×w bool) that hold a disk of diameter `width`, and two pixels around them."""
    cores = np.asarray(ndimage.distance_transform_edt(region)) >= width / 2
    return np.asarray(ndimage.distance_transform_edt(~cores)) <= width / 2 + 2 if cores.any() else cores
