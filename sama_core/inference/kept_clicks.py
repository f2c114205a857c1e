"""A click is never contradicted: where an answer is wrong under a click, it is mended around it.

A network weighs a click against all else that it sees, and sometimes overrules it. The user cannot be wrong about the
pixel under the click, and seldom is about its like nearby. So the smallest region that the photo suggests is given to
the click: what can be reached from it over colours like its own, within a radius, and nearer to it than to any click
that says the opposite.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from sama_core.images import pixels_under
from sama_core.inference.guided import LinearMatte, apply_linear, fit_guided
from sama_core.inference.upsampling import shrink

#: How far a click reaches over its own colour, as a share of the picture's long side, and at least so many pixels.
_REACH, _LEAST_REACH = 0.03, 4
#: The region is looked for with at most this many cells to the radius, whatever the photo's size.
_CELLS = 40
#: A colour this far from the click's own (Euclidean, channels in 0..1) makes the way twice as long; where the colours
#: under the click vary more than that among themselves (fur, leaves), so much is tolerated. They are gathered within
#: this share of the radius.
_TOLERANCE, _SAMPLE = 0.08, 0.15
#: Guided filter that gives the region the photo's own edges: radius in cells, regularisation, and slope of the edge.
_RADIUS, _EPSILON, _STEEPNESS = 2, 1e-4, 3.0
#: Pixels selected have alpha above this.
_HALF = 127


def keep_clicks(alpha: np.ndarray, rgb: np.ndarray, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mend an answer where it contradicts clicks.

    Of two clicks on one pixel the later counts. No other click is contradicted by the mending of one.

    Args:
        alpha: H×W uint8, not changed.
        rgb: H×W×3 uint8.
        points: N×2 float (x, y) in pixels of the picture.
        labels: N int, 1 = include, 0 = exclude.

    Returns:
        H×W uint8, above 127 under every include click and below 128 under every exclude click; `alpha` itself where no
        click is contradicted.
    """
    last = {tuple(pixel): int(label) for pixel, label in zip(pixels_under(points, *alpha.shape), labels, strict=True)}
    wrong = [pixel for pixel, label in last.items() if (alpha[pixel[1], pixel[0]] > _HALF) != bool(label)]
    if not wrong:
        return alpha
    alpha = alpha.copy()
    for pixel in wrong:
        label = last[pixel]
        others = np.array([other for other, theirs in last.items() if theirs != label], int).reshape(-1, 2)
        window, region = _region(rgb, pixel, others)
        here = alpha[window]
        alpha[window] = np.maximum(here, region) if label else np.minimum(here, 255 - region)
    return alpha


def _region(rgb: np.ndarray, click: tuple[int, int], others: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """What belongs to a click: a window of the picture, and h×w uint8 there; 255 under the click, 0 under the others.

    Args:
        rgb: H×W×3 uint8.
        click: column and row.
        others: M×2 int, columns and rows of the clicks that say the opposite.
    """
    height, width = rgb.shape[:2]
    reach = max(_LEAST_REACH, round(_REACH * max(height, width)))
    x, y = click
    top, left = max(0, y - reach), max(0, x - reach)
    window = slice(top, min(height, y + reach + 1)), slice(left, min(width, x + reach + 1))
    photo = rgb[window]
    scale = min(1.0, _CELLS / reach)
    rows, columns = (max(1, round(side * scale)) for side in photo.shape[:2])
    small = shrink(np.ascontiguousarray(photo), rows, columns).astype(np.float32) / 255
    centre = np.array([(x - left + 0.5) * columns / photo.shape[1], (y - top + 0.5) * rows / photo.shape[0]])
    rivals = (others - (left, top) + 0.5) * (columns / photo.shape[1], rows / photo.shape[0])
    way = _way(small, centre, reach * scale)
    mask = ((way < 1) & _nearest(way.shape, centre, rivals)).astype(np.float32)
    fitted = fit_guided(small, mask, _RADIUS, _EPSILON, np.ones(mask.shape, bool))
    steep = LinearMatte(
        _STEEPNESS * fitted.gain, _STEEPNESS * (fitted.offset - 0.5) + 0.5, way < 1 + 2 * _RADIUS, fitted.base
    )
    region = apply_linear(steep, photo)
    # the filter may thin out what is finer than its radius, and leak over a border between clicks
    inside = ((others >= (left, top)) & (others < (left + photo.shape[1], top + photo.shape[0]))).all(1)
    region[others[inside, 1] - top, others[inside, 0] - left] = 0
    region[y - top, x - left] = 255
    return window, region


def _way(rgb: np.ndarray, centre: np.ndarray, reach: float) -> np.ndarray:
    """Length of the shortest way from a click to every cell, in units of `reach`: h×w float, infinite beyond 2.

    A geodesic distance as in Bai & Sapiro 2009 ("Geodesic matting"), slower the less a colour is like the click's.

    Args:
        rgb: h×w×3 float32 in 0..1.
        centre: (x, y) of the click in cells.
        reach: cells.
    """
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    near = np.hypot(x - centre[0], y - centre[1]) <= max(1.0, _SAMPLE * reach)
    own = np.median(rgb[near], axis=0) if near.any() else rgb[int(centre[1]), int(centre[0])]
    unlike = np.linalg.norm(rgb - own, axis=-1)
    tolerance = max(_TOLERANCE, float(np.median(unlike[near])) * 2 if near.any() else 0.0)
    cost = (1 + (unlike / tolerance) ** 2) / reach
    number = np.arange(height * width).reshape(height, width)
    starts, ends, lengths = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = number[: height - dy, max(0, -dx) : width - max(0, dx)]
        there = number[dy:, max(0, dx) : width - max(0, -dx)]
        starts.append(here.ravel())
        ends.append(there.ravel())
        lengths.append(np.hypot(dy, dx) * (cost.ravel()[starts[-1]] + cost.ravel()[ends[-1]]) / 2)
    size = height * width
    graph = sparse.csr_matrix(
        (np.concatenate(lengths), (np.concatenate(starts), np.concatenate(ends))), shape=(size, size)
    )
    source = number[min(height - 1, int(centre[1])), min(width - 1, int(centre[0]))]
    return csgraph.dijkstra(graph, directed=False, indices=int(source), limit=2.0).reshape(height, width)


def _nearest(shape: tuple[int, int], centre: np.ndarray, rivals: np.ndarray) -> np.ndarray:
    """The cells that lie nearer to `centre` than to any of the M×2 `rivals`: h×w bool."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    mine = np.hypot(x - centre[0], y - centre[1])
    near = np.ones(shape, bool)
    for rival in rivals:
        near &= mine < np.hypot(x - rival[0], y - rival[1])
    return near
