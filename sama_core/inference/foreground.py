"""Foreground colours free of background: what shines through hair must not come along into the cut-out."""

from __future__ import annotations

import numpy as np

from sama_core.inference.request import Progress, no_progress
from sama_core.inference.tiles import tiles_over

#: PyMatting works on several float copies of its input: 1024² pixels are some 60 MB of them.
_TILE, _MARGIN = 1024, 96


def decontaminate(rgb: np.ndarray, alpha: np.ndarray, progress: Progress = no_progress) -> np.ndarray:
    """Estimate foreground colours where alpha is partial; the photo's own colours stay where it is 0 or 255.

    Fast multi-level estimation (Germer et al. 2020) by PyMatting, tile by tile with a margin.

    Args:
        rgb: H×W×3 uint8.
        alpha: H×W uint8.

    Returns:
        H×W×3 uint8.
    """
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    result = rgb.copy()
    partial = (alpha > 0) & (alpha < 255)
    tiles = [tile for tile in tiles_over(alpha.shape, _TILE, _MARGIN) if partial[tile.inner].any()]
    for number, tile in enumerate(tiles):
        progress(number / len(tiles), "Cleaning the colours")
        estimate = np.asarray(
            estimate_foreground_ml(rgb[tile.outer] / np.float32(255), alpha[tile.outer] / np.float32(255))
        )
        inner, own = partial[tile.inner], tile.own()
        result[tile.inner][inner] = np.rint(np.clip(estimate[own][inner], 0, 1) * 255).astype(np.uint8)
    return result
