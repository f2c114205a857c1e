"""From the decoder's 256×256 grid to every pixel of the photo, along the photo's own edges."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from sama_core.images import Frame, Reduced, View
from sama_core.inference.guided import GuideStatistics, apply_linear
from sama_core.inference.request import Progress, no_progress

#: Rows handled at once: memory is bounded by the band, not by the picture.
BAND_ROWS = 256
#: Long side at which the guided filter is fitted; its coefficients are smooth and widen well.
_FIT_SIDE = 1024
#: Radius of the guided filter in cells of the decoder's grid, and its regularisation (guide in 0..1).
_RADIUS_CELLS, _EPSILON = 1.5, 1e-4
#: Slope of a selection's edge about one half, relative to the guided filter's.
_STEEPNESS = 3.0
#: Probabilities outside this range, a filter radius away from any inside it, are taken as 0 and 1.
_SURE = 0.02


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logistic function of float32, without overflow."""
    return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))


def probability(frame: Frame, logits: np.ndarray, height: int, width: int) -> np.ndarray:
    """The model's mask drawn at `height` × `width`: float32 in 0..1."""
    mask = np.empty((height, width), np.float32)
    for start in range(0, height, BAND_ROWS):
        stop = min(start + BAND_ROWS, height)
        mask[start:stop] = sigmoid(frame.sample_rows(logits, start, stop, height, width))
    return mask


def fit_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Size of a picture scaled so that its long side is at most `side`."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale H×W×3 uint8 down to `height` × `width`, antialiased."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return Reduced(rgb, max(height, width)).shrink(height, width, Image.Resampling.BOX)


class Upsampler:
    """Brings masks of one picture to its full resolution, along its edges (guided upsampling).

    Args:
        rgb: H×W×3 uint8, kept by reference.
    """

    def __init__(self, rgb: np.ndarray) -> None:
        self._rgb = rgb
        self._statistics: tuple[int, GuideStatistics] | None = None

    def select(
        self, frame: Frame, logits: np.ndarray, progress: Progress = no_progress, view: View | None = None
    ) -> np.ndarray:
        """A selection whose edge follows the photo.

        Args:
            frame: how the picture lies under the logits.
            logits: R×R float32.
            view: what to show of it, at which size; None is the whole picture at its own.

        Returns:
            H×W uint8, of the picture or the view.
        """
        # a selection has a crisp edge: without this a glow as wide as the decoder's cells surrounds the object
        return self._alpha(frame, logits, _STEEPNESS, progress, view)

    def matte(self, frame: Frame, logits: np.ndarray) -> np.ndarray:
        """An alpha by guided upsampling alone, left as soft as it is; matting is measured beside it."""
        return self._alpha(frame, logits, 1.0, no_progress, None)

    def _alpha(
        self, frame: Frame, logits: np.ndarray, steepness: float, progress: Progress, view: View | None
    ) -> np.ndarray:
        height, width = fit_size(self._rgb.shape[0], self._rgb.shape[1], _FIT_SIDE)
        mask = probability(frame, logits, height, width)
        radius = max(1, round(_RADIUS_CELLS * max(height, width) / len(logits)))
        active = _grow((mask > _SURE) & (mask < 1 - _SURE) | edge_of(mask > 0.5), 2 * radius)
        if self._statistics is None or self._statistics[0] != radius:
            guide = shrink(self._rgb, height, width).astype(np.float32) / 255
            self._statistics = radius, GuideStatistics(guide, radius, _EPSILON)
        matte = self._statistics[1].fit(mask, active).steeper(steepness)
        shown = self._rgb if view is None else shrink(self._rgb[view.window.place], view.height, view.width)
        return apply_linear(matte, shown, progress, view)


def select_alpha(frame: Frame, logits: np.ndarray, rgb: np.ndarray, progress: Progress = no_progress) -> np.ndarray:
    """`Upsampler.select` of one mask alone."""
    return Upsampler(rgb).select(frame, logits, progress)


def guided_matte(frame: Frame, logits: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """`Upsampler.matte` of one mask alone."""
    return Upsampler(rgb).matte(frame, logits)


def edge_of(inside: np.ndarray) -> np.ndarray:
    """The pixels of a region (H×W bool) that touch its outside; the picture's border does not count as outside."""
    return inside & np.logical_not(ndimage.binary_erosion(inside, border_value=1))


def _grow(mask: np.ndarray, radius: int) -> np.ndarray:
    return ndimage.maximum_filter(mask, size=2 * radius + 1)
