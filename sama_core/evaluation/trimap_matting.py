"""Mattes from a trimap by PyMatting's solvers with their default settings: peers of the engine's matte."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sama_core.inference import compile_caches
from sama_core.inference.upsampling import edge_of

#: Values of a trimap.
OUTSIDE, UNKNOWN, INSIDE = 0, 128, 255


def trimap_around(mask: np.ndarray, reach: float) -> np.ndarray:
    """Unknown up to `reach` pixels to both sides of a mask's edge: H×W uint8 of OUTSIDE, UNKNOWN and INSIDE.

    Args:
        mask: H×W bool.
    """
    trimap = np.where(mask, INSIDE, OUTSIDE).astype(np.uint8)
    edge = edge_of(mask)
    if edge.any():
        trimap[np.asarray(ndimage.distance_transform_edt(~edge)) <= reach] = UNKNOWN
    return trimap


def closed_form(rgb: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Closed-form matting (Levin et al. 2008), `pymatting.estimate_alpha_cf`.

    Args:
        rgb: H×W×3 uint8.
        trimap: H×W uint8, 0 outside, 255 inside, all else unknown.

    Returns:
        H×W uint8.

    Raises:
        ValueError: the trimap has no sure inside or no sure outside.
    """
    compile_caches.prepare_numba()
    from pymatting import estimate_alpha_cf

    return _eight_bits(estimate_alpha_cf(rgb / 255.0, _known(trimap)))


def knn(rgb: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """KNN matting (Chen et al. 2013), `pymatting.estimate_alpha_knn`; as `closed_form`."""
    compile_caches.prepare_numba()
    from pymatting import estimate_alpha_knn

    return _eight_bits(estimate_alpha_knn(rgb / 255.0, _known(trimap)))


def _known(trimap: np.ndarray) -> np.ndarray:
    known = np.full(trimap.shape, 0.5)
    known[trimap == OUTSIDE], known[trimap == INSIDE] = 0.0, 1.0
    return known


def _eight_bits(alpha: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)
