"""Closed-form matting (Levin et al. 2008) inside an unknown band, with PyMatting's Laplacian and solver."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse

from sama_core.images import LOW_RES, Frame
from sama_core.inference.guided import apply_linear, fit_guided
from sama_core.inference.request import Progress, no_progress
from sama_core.inference.tiles import tiles_over
from sama_core.inference.upsampling import edge_of, fit_size, probability, shrink

#: Probabilities between these are uncertain.
SURE_OUT, SURE_IN = 0.08, 0.92
#: Half width of the band in cells of the logits: a head's answer is finer than stock SAM's, and no surer of its edge.
_STOCK_CELLS, _HEAD_CELLS = 2.0, 6.0
#: Uncertain pixels belong to the band up to so many times its half width.
_DOUBT = 2.0
#: The picture is matted at most at this many pixels of unknown band; a longer band is matted smaller and brought
#: up again.
MAX_UNKNOWN = 400_000
#: Weight of the model's own opinion inside the band; keeps a tile that sees no sure foreground from fading out.
_PRIOR = 1e-3
_TILE, _OVERLAP = 512, 48
_EPSILON = 1e-5
#: Long side at which the band is first looked for, and the largest at which it is matted.
_FIRST_SIDE, LARGEST_SIDE = 1024, 4096
#: Guided filter that brings a smaller matte to full resolution: tight, for the matte has its edges already.
_UPSAMPLE_RADIUS, _UPSAMPLE_EPSILON = 2, 1e-5


def matte_alpha(frame: Frame, logits: np.ndarray, rgb: np.ndarray, progress: Progress = no_progress) -> np.ndarray:
    """A matte at full resolution from the model's mask.

    The band is matted at the photo's own resolution when it has at most `MAX_UNKNOWN` pixels, else at the largest
    scale where it
    has; a guided filter then carries the matte to full resolution. Time and memory are bounded whatever the
    photo's size.

    Args:
        frame: how the photo lies under the logits.
        logits: R×R float32.
        rgb: H×W×3 uint8.

    Returns:
        H×W uint8.
    """
    full = (rgb.shape[0], rgb.shape[1])
    side = min(max(full), _FIRST_SIDE)
    height, width = fit_size(*full, side)
    mask = probability(frame, logits, height, width)
    unknown = unknown_band(mask, band_reach(mask, len(logits)))
    # the band's area grows with the square of the scale
    scale = np.sqrt(MAX_UNKNOWN / max(1, int(unknown.sum())))
    wanted = fit_size(*full, max(64, int(side * min(scale, LARGEST_SIDE / side))))
    if wanted != (height, width):
        height, width = wanted
        mask = probability(frame, logits, height, width)
        unknown = unknown_band(mask, band_reach(mask, len(logits)))
    small = shrink(rgb, height, width)
    alpha = closed_form(small, mask, unknown, lambda done, text: progress(0.8 * done, text))
    if (height, width) == full:
        return np.rint(alpha * 255).astype(np.uint8)
    linear = fit_guided(small.astype(np.float32) / 255, alpha, _UPSAMPLE_RADIUS, _UPSAMPLE_EPSILON, unknown)
    return apply_linear(linear, rgb, lambda done, text: progress(0.8 + 0.2 * done, text))


def unknown_band(mask: np.ndarray, reach: float) -> np.ndarray:
    """Where closed-form matting decides: `reach` pixels to both sides of the mask's edge, and uncertain pixels near it.

    Args:
        mask: H×W float32 probability.

    Returns:
        H×W bool.
    """
    edge = edge_of(mask > 0.5)
    if not edge.any():
        return np.zeros(mask.shape, bool)
    distance = np.asarray(ndimage.distance_transform_edt(~edge))
    uncertain = (mask > SURE_OUT) & (mask < SURE_IN)
    # doubt far inside or outside is the model's weakness and not a soft edge: matting it would leave glassy patches
    return (distance <= reach) | (uncertain & (distance <= _DOUBT * reach))


def band_reach(mask: np.ndarray, grid: int) -> float:
    """Half width of the band, in pixels of `mask`: what the decoder's grid cannot resolve, and hair in proportion
    to the object.

    `grid` is the side of the logits from which the mask was drawn.
    """
    height, width = mask.shape
    cell = max(height, width) / grid
    return (_STOCK_CELLS if grid == LOW_RES else _HEAD_CELLS) * cell + 0.008 * float(np.sqrt((mask > 0.5).sum()))


def closed_form(
    rgb: np.ndarray,
    mask: np.ndarray,
    unknown: np.ndarray,
    progress: Progress = no_progress,
    prior: float = _PRIOR,
) -> np.ndarray:
    """Solve for alpha inside the band.

    Minimises αᵀLα + γ Σ_unknown (α − mask)² with α fixed to 0 or 1 outside the band (Levin et al. 2008, Eq. 10,
    with hard
    constraints and a weak prior), tile by tile; overlapping tiles are blended linearly.

    Args:
        rgb: H×W×3 uint8.
        mask: H×W float32 probability, or an alpha found by other means.
        unknown: H×W bool.
        prior: γ, the weight of `mask` inside the band.

    Returns:
        H×W float32 in 0..1.
    """
    alpha = (mask > 0.5).astype(np.float32)
    total = np.zeros(mask.shape, np.float32)
    weight = np.zeros(mask.shape, np.float32)
    tiles = [tile for tile in tiles_over(mask.shape, _TILE, _OVERLAP) if unknown[tile.inner].any()]
    for number, tile in enumerate(tiles):
        progress(number / len(tiles), "Finding the edge")
        solved = _solve_tile(rgb[tile.outer], mask[tile.outer], unknown[tile.outer], alpha[tile.outer], prior)
        ramp = tile.ramp()
        total[tile.outer] += solved * ramp
        weight[tile.outer] += ramp
    done = unknown & (weight > 0)
    alpha[done] = total[done] / weight[done]
    return np.clip(alpha, 0, 1)


def _solve_tile(
    rgb: np.ndarray, mask: np.ndarray, unknown: np.ndarray, known_alpha: np.ndarray, weight: float
) -> np.ndarray:
    from pymatting.laplacian.cf_laplacian import cf_laplacian
    from pymatting.preconditioner.ichol import ichol
    from pymatting.solver.cg import cg

    box = _bounds(unknown, margin=2)
    rgb, mask, inner = rgb[box], mask[box], unknown[box]
    result = known_alpha.copy()
    solved = known_alpha[box].copy()
    if min(inner.shape) < 3:
        solved[inner] = mask[inner]
    else:
        flat = inner.ravel()
        laplacian = cf_laplacian(rgb.astype(np.float64) / 255, epsilon=_EPSILON, is_known=~inner)
        rows = laplacian[flat]
        prior = sparse.identity(int(flat.sum()), format="csr") * weight
        matrix = (rows[:, flat] + prior).tocsc()
        right = weight * mask.ravel()[flat] - rows[:, ~flat] @ known_alpha[box].ravel()[~flat]
        solved[inner] = cg(
            matrix, right, x0=mask.ravel()[flat].astype(np.float64), M=ichol(matrix), rtol=1e-4, maxiter=300
        )
    result[box] = solved
    return np.clip(result, 0, 1)


def _bounds(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(0, rows[0] - margin), min(mask.shape[0], rows[-1] + 1 + margin)),
        slice(max(0, columns[0] - margin), min(mask.shape[1], columns[-1] + 1 + margin)),
    )
