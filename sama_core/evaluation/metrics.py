"""How good a mask is."""

from __future__ import annotations

import cv2
import numpy as np


def iou(answer: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> float:
    """Intersection over union of H×W bool masks over the valid pixels; 1 where both are empty."""
    union = np.count_nonzero((answer | truth) & valid)
    return np.count_nonzero(answer & truth & valid) / union if union else 1.0


def boundary_iou(answer: np.ndarray, truth: np.ndarray, valid: np.ndarray, ratio: float = 0.02) -> float:
    """IoU of the inner boundary bands (Cheng et al. 2021, Boundary IoU); the band is `ratio` of the picture's
    diagonal wide."""
    width = max(1, round(ratio * float(np.hypot(*answer.shape))))
    return iou(_inner_band(answer, width), _inner_band(truth, width), valid)


def _inner_band(mask: np.ndarray, width: int) -> np.ndarray:
    padded = np.pad(mask.astype(np.uint8), 1)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return mask & (eroded == 0)


def clicks_needed(curve: list[float], target: float, limit: int) -> int:
    """Number of clicks (NoC, Sofiiuk et al. 2022): the first click whose IoU reaches `target`, `limit` if none does."""
    return next((count for count, value in enumerate(curve, start=1) if value >= target), limit)
