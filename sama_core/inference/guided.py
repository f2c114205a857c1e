"""Guided filter for single photos in numpy: fitted on a small grid, evaluated on the photo's own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sama_core.images import View
from sama_core.inference.request import Progress, no_progress
from sama_core.inference.tiles import tiles_over

#: A matte is evaluated in blocks of so many pixels a side: small ones hug the edge.
_BLOCK = 128


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

    def steeper(self, slope: float) -> LinearMatte:
        """The matte with its slope about one half multiplied."""
        return LinearMatte(slope * self.gain, slope * (self.offset - 0.5) + 0.5, self.active, self.base)


class GuideStatistics:
    """What the guided filter of He et al. 2013 (Eq. 14-18, colour guide) needs of a picture, whatever it filters.

    Args:
        rgb: h×w×3 float32 in 0..1, the guide.
        radius: of the square windows, pixels.
        epsilon: regularisation.
    """

    def __init__(self, rgb: np.ndarray, radius: int, epsilon: float) -> None:
        self._rgb, self._radius = rgb, radius
        self._mean_i = self._mean(rgb)
        r, g, b = (rgb[..., i] for i in range(3))
        mean_r, mean_g, mean_b = (self._mean_i[..., i] for i in range(3))
        rr = self._mean(r * r) - mean_r * mean_r + epsilon
        # LDLᵀ of the symmetric 3×3 matrix Σ + εI
        rg = self._mean(r * g) - mean_r * mean_g
        rb = self._mean(r * b) - mean_r * mean_b
        lg, lb = rg / rr, rb / rr
        dg = np.maximum(self._mean(g * g) - mean_g * mean_g + epsilon - lg * rg, epsilon)
        lgb = (self._mean(g * b) - mean_g * mean_b - lb * rg) / dg
        db = np.maximum(self._mean(b * b) - mean_b * mean_b + epsilon - lb * rb - lgb * lgb * dg, epsilon)
        self._factors = rr, lg, lb, dg, lgb, db

    def fit(self, mask: np.ndarray, active: np.ndarray) -> LinearMatte:
        """Fit the filter to a map.

        Args:
            mask: h×w float32 in 0..1, the map to filter.
            active: h×w bool, where the fit will be used; it is made in the rectangle around.
        """
        gain, offset = np.zeros((*mask.shape, 3), np.float32), np.zeros(mask.shape, np.float32)
        matte = LinearMatte(gain, offset, active, mask > 0.5)
        rows, columns = np.flatnonzero(active.any(1)), np.flatnonzero(active.any(0))
        if not rows.size:
            return matte
        # a cell's coefficients are means of those of a radius around, and these of the cells of another radius; one
        # more is looked up between cells
        reach = 2 * self._radius + 1
        box = tuple(slice(max(0, int(used[0]) - reach), int(used[-1]) + 1 + reach) for used in (rows, columns))
        rgb, p, mean_i = self._rgb[box], mask[box], self._mean_i[box]
        rr, lg, lb, dg, lgb, db = (factor[box] for factor in self._factors)
        mean_p = self._mean(p)
        covariance = self._mean(rgb * p[..., None]) - mean_i * mean_p[..., None]
        x, y, z = (covariance[..., i] for i in range(3))
        y = y - lg * x
        z = (z - lb * x - lgb * y) / db
        y = y / dg - lgb * z
        inner = np.stack([x / rr - lg * y - lb * z, y, z], axis=-1)
        gain[box] = self._mean(inner)
        offset[box] = self._mean(mean_p - (inner * mean_i).sum(-1))
        return matte

    def _mean(self, array: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(array, size=2 * self._radius + 1, axes=(0, 1), mode="nearest")


def fit_guided(rgb: np.ndarray, mask: np.ndarray, radius: int, epsilon: float, active: np.ndarray) -> LinearMatte:
    """Fit the guided filter to one map; arguments as of `GuideStatistics` and its `fit`."""
    return GuideStatistics(rgb, radius, epsilon).fit(mask, active)


def apply_linear(
    matte: LinearMatte, rgb: np.ndarray, progress: Progress = no_progress, view: View | None = None
) -> np.ndarray:
    """Evaluate a `LinearMatte` on the photo (fast guided filter, He & Sun 2015), only where it does not say all or
    nothing.

    Args:
        rgb: H×W×3 uint8, the photo or what `view` shows of it.
        view: what `rgb` shows; None is the whole photo.

    Returns:
        H×W uint8.
    """
    height, width = rgb.shape[:2]
    alpha = np.zeros((height, width), np.uint8)
    spans = ((0.0, 1.0), (0.0, 1.0)) if view is None else view.shares
    tall, wide = (
        _Axis(length, small, span) for length, small, span in zip((height, width), matte.base.shape, spans, strict=True)
    )
    for tile in tiles_over((height, width), _BLOCK, 0):
        rows, columns = tile.outer
        if columns.start == 0:
            progress(rows.start / height, "Following the edge")
        cells = tall.cells(rows), wide.cells(columns)
        base, active = matte.base[cells], matte.active[cells]
        if base.all():
            alpha[tile.outer] = 255
        elif base.any():
            alpha[tile.outer] = np.where(base[tall.nearest(rows)[:, None], wide.nearest(columns)], 255, 0)
        if not active.any():
            continue
        down, across = tall.between(rows), wide.between(columns)
        value = _widen(matte.offset[cells], down, across)
        for channel in range(3):
            guide = rgb[tile.outer][..., channel] / np.float32(255)
            value += _widen(matte.gain[cells][..., channel], down, across) * guide
        here = active[tall.nearest(rows)[:, None], wide.nearest(columns)]
        np.copyto(alpha[tile.outer], np.rint(np.clip(value, 0, 1) * 255).astype(np.uint8), where=here)
    return alpha


class _Axis:
    """Where the pixels of one axis, which shows a share of the photo, lie between the cells of a smaller one."""

    def __init__(self, length: int, small: int, span: tuple[float, float]) -> None:
        index = np.arange(length, dtype=np.float64)
        share = span[0] + (index + 0.5) * ((span[1] - span[0]) / length)
        position = np.clip(share * small - 0.5, 0, small - 1)
        self._lower = position.astype(np.intp)
        self._upper = np.minimum(self._lower + 1, small - 1)
        self._weight = (position - self._lower).astype(np.float32)
        self._nearest = np.minimum(np.rint(position).astype(np.intp), small - 1)

    def cells(self, part: slice) -> slice:
        """The cells that pixels lie between."""
        return slice(int(self._lower[part.start]), int(self._upper[part.stop - 1]) + 1)

    def nearest(self, part: slice) -> np.ndarray:
        """For each pixel the nearest of `cells`."""
        return self._nearest[part] - self._lower[part.start]

    def between(self, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each pixel the two of `cells` it lies between, and the weight of the second."""
        first = self._lower[part.start]
        return self._lower[part] - first, self._upper[part] - first, self._weight[part]


def _widen(array: np.ndarray, down: tuple, across: tuple) -> np.ndarray:
    # not as products of small matrices, which a library shares among threads that wait more than they work
    first, second, weight = across
    wide = array[:, first] * (1 - weight) + array[:, second] * weight
    first, second, weight = down[0], down[1], down[2][:, None]
    return wide[first] * (1 - weight) + wide[second] * weight
