"""Errors of an alpha matte (Rhemann et al. 2009), with the conventions of the matting tables.

Every error is a sum or mean over a region: the whole picture, or the unknown region of a trimap. SAD, Grad and Conn are
sums divided by 1000; MSE and MAD are means. Tables of Composition-1K and Distinctions-646 print MSE times 1000.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sama_core.errors import InvalidImage

#: Value of the unknown region in a trimap.
UNKNOWN = 128
_SIGMA = 1.4
#: Half the side of the gradient filter: where the Gaussian of `_SIGMA` has fallen to 0.01, rounded up.
_RADIUS = 4
_STEPS = 10
_THETA = 0.15


@dataclass(frozen=True)
class MattingErrors:
    """Errors of one matte over one region.

    Attributes:
        sad: Σ |α̂ − α| / 1000.
        mse: mean (α̂ − α)².
        mad: mean |α̂ − α|.
        grad: Σ (|∇α̂| − |∇α|)² / 1000.
        conn: Σ |φ(α̂) − φ(α)| / 1000.
    """

    sad: float
    mse: float
    mad: float
    grad: float
    conn: float


def matting_errors(prediction: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> MattingErrors:
    """Measure a matte over the whole picture, or over the pixels of `region` (`trimap == UNKNOWN`).

    A prediction made without a trimap is not clamped to it where the trimap is certain; gradients and connectivity are
    those of the whole matte, and only the sums are limited to the region.

    Args:
        prediction, truth: H×W uint8.
        region: H×W bool with at least one pixel, or None.

    Raises:
        InvalidImage: sizes or types are not as above, or the region is empty.
    """
    region = np.ones(truth.shape, bool) if region is None else region
    if not prediction.shape == truth.shape == region.shape or truth.ndim != 2:
        raise InvalidImage(
            f"A matte of {prediction.shape} cannot be measured against one of {truth.shape} in a region of "
            f"{region.shape}. Give them the same height and width."
        )
    if prediction.dtype != np.uint8 or truth.dtype != np.uint8 or region.dtype != bool:
        raise InvalidImage("Mattes are measured in 8 bits and regions as true or false. Convert them first.")
    if not region.any():
        raise InvalidImage("The region to measure has no pixel. Measure the whole picture instead.")
    predicted, true = prediction / 255.0, truth / 255.0
    difference = np.abs(predicted - true)[region]
    slope = (gradient_magnitude(predicted) - gradient_magnitude(true)) ** 2
    connected = connectedness(predicted, true)
    broken = np.abs(_phi(predicted, connected) - _phi(true, connected))
    return MattingErrors(
        sad=float(difference.sum() / 1000),
        mse=float(np.mean(difference**2)),
        mad=float(difference.mean()),
        grad=float(slope[region].sum() / 1000),
        conn=float(broken[region].sum() / 1000),
    )


def gradient_magnitude(alpha: np.ndarray) -> np.ndarray:
    """Magnitude of the gradient by first-order Gaussian derivatives, σ = 1.4, over replicated borders.

    The filter G(y)·G'(x) is cut to 9×9 and scaled to the norm Σh² = 1, as in the alpha matting benchmark's code.

    Args:
        alpha: H×W float64, 0..1.

    Returns:
        H×W float64.
    """
    steps = np.arange(-_RADIUS, _RADIUS + 1, dtype=np.float64)
    gauss = np.exp(-(steps**2) / (2 * _SIGMA**2))
    slope = steps * gauss
    # the sum of squares of an outer product is the product of the sums of squares
    gauss, slope = gauss / np.linalg.norm(gauss), slope / np.linalg.norm(slope)
    across, down = (
        cv2.sepFilter2D(alpha, cv2.CV_64F, kernel_x, kernel_y, borderType=cv2.BORDER_REPLICATE)
        for kernel_x, kernel_y in ((slope, gauss), (gauss, slope))
    )
    return np.hypot(across, down)


def connectedness(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Highest threshold up to which each pixel belongs to the source region (Rhemann et al. 2009, l in Eq. 6).

    The source region at a threshold is the largest 4-connected component of the pixels that reach it in both mattes;
    thresholds are 0.1, 0.2 … 1. A pixel that leaves it at one threshold does not come back. Some published Python code
    takes the background for a component too, which gives errors about 5 % smaller than the benchmark's own.

    Args:
        prediction, truth: H×W float64, 0..1.

    Returns:
        H×W float64, a multiple of 0.1.
    """
    level = np.zeros(truth.shape)
    connected = np.ones(truth.shape, bool)
    both = np.minimum(prediction, truth)
    for number in range(1, _STEPS + 1):
        threshold = number / _STEPS  # as a quotient, so that the grey level 153 reaches 0.6
        connected &= _largest_component(both >= threshold)
        level[connected] = threshold
    return level


def _phi(alpha: np.ndarray, connected: np.ndarray) -> np.ndarray:
    gap = alpha - connected
    return 1 - gap * (gap >= _THETA)


def _largest_component(mask: np.ndarray) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count == 1:
        return np.zeros_like(mask)
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
