"""From the decoder's 256×256 grid to every pixel of the photo, along the photo's own edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from sama_core.images import Frame, Reduced
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


@dataclass(frozen=True)
class LinearMatte:
    """A matte as a locally linear function of the photo: alpha = gain·I + offset, on a small grid over a region.

    Attributes:
        gain: h×w×3 float32, offset: h×w float32.
        active: h×w bool, where the function holds; elsewhere `base` does.
        base: h×w bool, inside or outside.
    """

    gain: np.ndarray
    offset: np.ndarray
    active: np.ndarray
    base: np.ndarray


def fit_guided(rgb: np.ndarray, mask: np.ndarray, radius: int, epsilon: float, active: np.ndarray) -> LinearMatte:
    """Fit the guided filter of He et al. 2013 (Eq. 14-18, colour guide).

    Args:
        rgb: h×w×3 float32 in 0..1, the guide.
        mask: h×w float32 in 0..1, the map to filter.
        active: h×w bool, where the fit will be used.
    """

    def mean(array: np.ndarray) -> np.ndarray:
        size = 2 * radius + 1
        return ndimage.uniform_filter(array, size=size, axes=(0, 1), mode="nearest")

    mean_i, mean_p = mean(rgb), mean(mask)
    covariance_ip = mean(rgb * mask[..., None]) - mean_i * mean_p[..., None]
    sigma = np.empty((*mask.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            sigma[..., i, j] = sigma[..., j, i] = mean(rgb[..., i] * rgb[..., j]) - mean_i[..., i] * mean_i[..., j]
    sigma += epsilon * np.eye(3, dtype=np.float32)
    gain = np.linalg.solve(sigma, covariance_ip[..., None])[..., 0].astype(np.float32)
    offset = mean_p - (gain * mean_i).sum(-1)
    return LinearMatte(mean(gain), mean(offset), active, mask > 0.5)


def apply_linear(matte: LinearMatte, rgb: np.ndarray, progress: Progress = no_progress) -> np.ndarray:
    """Evaluate a `LinearMatte` on the full photo (fast guided filter, He & Sun 2015): H×W×3 uint8 to H×W uint8."""
    height, width = rgb.shape[:2]
    alpha = np.empty((height, width), np.uint8)
    rows, columns = matte.base.shape
    wide = _Axis(width, columns)
    tall = _Axis(height, rows)
    for start in range(0, height, BAND_ROWS):
        progress(start / height, "Following the edge")
        stop = min(start + BAND_ROWS, height)
        vertical = tall.part(start, stop)
        nearest_rows = matte.base[vertical.nearest]
        alpha[start:stop] = np.where(nearest_rows[:, wide.nearest], np.uint8(255), np.uint8(0))
        used = np.flatnonzero(matte.active[vertical.nearest.min() : vertical.nearest.max() + 1].any(axis=0))
        if not used.size:
            continue
        first = int(used[0] * width / columns)
        last = min(width, int(np.ceil((used[-1] + 1) * width / columns)))
        horizontal = wide.part(first, last)
        value = _widen(matte.offset, vertical, horizontal)
        for channel in range(3):
            guide = rgb[start:stop, first:last, channel].astype(np.float32) / 255
            value += _widen(matte.gain[..., channel], vertical, horizontal) * guide
        value = np.rint(np.clip(value, 0, 1) * 255).astype(np.uint8)
        here = matte.active[vertical.nearest][:, horizontal.nearest]
        alpha[start:stop, first:last][here] = value[here]
    return alpha


class _Axis:
    """Where the pixels of one axis lie on a smaller axis."""

    def __init__(self, length: int, small: int, start: int = 0, stop: int | None = None) -> None:
        self.length, self.small = length, small
        index = np.arange(start, length if stop is None else stop, dtype=np.float32)
        position = np.clip((index + 0.5) * (small / length) - 0.5, 0, small - 1)
        self.lower = position.astype(np.intp)
        self.upper = np.minimum(self.lower + 1, small - 1)
        self.weight = (position - self.lower).astype(np.float32)
        self.nearest = np.minimum(np.rint(position).astype(np.intp), small - 1)

    def part(self, start: int, stop: int) -> _Axis:
        return _Axis(self.length, self.small, start, stop)


def _widen(array: np.ndarray, vertical: _Axis, horizontal: _Axis) -> np.ndarray:
    first, last = int(vertical.lower[0]), int(vertical.upper[-1]) + 1
    band = array[first:last]
    wide = band[:, horizontal.lower] * (1 - horizontal.weight) + band[:, horizontal.upper] * horizontal.weight
    weight = vertical.weight[:, None]
    return wide[vertical.lower - first] * (1 - weight) + wide[vertical.upper - first] * weight


def fit_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Size of a picture scaled so that its long side is at most `side`."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale H×W×3 uint8 down to `height` × `width`, antialiased."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return Reduced(rgb, max(height, width)).shrink(height, width, Image.Resampling.BOX)


def select_alpha(frame: Frame, logits: np.ndarray, rgb: np.ndarray, progress: Progress = no_progress) -> np.ndarray:
    """A selection at full resolution whose edge follows the photo: guided upsampling of the model's mask.

    Args:
        frame: how the photo lies under the logits.
        logits: R×R float32.
        rgb: H×W×3 uint8.

    Returns:
        H×W uint8.
    """
    return _guided_alpha(frame, logits, rgb, _STEEPNESS, progress)


def guided_matte(frame: Frame, logits: np.ndarray, rgb: np.ndarray, progress: Progress = no_progress) -> np.ndarray:
    """An alpha at full resolution by guided upsampling alone, left as soft as it is; matting is measured beside it.

    Args and returns as for `select_alpha`.
    """
    return _guided_alpha(frame, logits, rgb, 1.0, progress)


def _guided_alpha(
    frame: Frame, logits: np.ndarray, rgb: np.ndarray, steepness: float, progress: Progress
) -> np.ndarray:
    height, width = fit_size(rgb.shape[0], rgb.shape[1], _FIT_SIDE)
    mask = probability(frame, logits, height, width)
    radius = max(1, round(_RADIUS_CELLS * max(height, width) / len(logits)))
    active = _grow((mask > _SURE) & (mask < 1 - _SURE) | edge_of(mask > 0.5), 2 * radius)
    guide = shrink(rgb, height, width).astype(np.float32) / 255
    fitted = fit_guided(guide, mask, radius, _EPSILON, active)
    # a selection has a crisp edge: without this a glow as wide as the decoder's cells surrounds the object
    steep = LinearMatte(steepness * fitted.gain, steepness * (fitted.offset - 0.5) + 0.5, active, fitted.base)
    return apply_linear(steep, rgb, progress)


def edge_of(inside: np.ndarray) -> np.ndarray:
    """The pixels of a region (H×W bool) that touch its outside; the picture's border does not count as outside."""
    return inside & np.logical_not(ndimage.binary_erosion(inside, border_value=1))


def _grow(mask: np.ndarray, radius: int) -> np.ndarray:
    return ndimage.maximum_filter(mask, size=2 * radius + 1)
