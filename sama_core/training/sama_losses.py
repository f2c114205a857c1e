"""Losses of SAMA's two tasks (paper, Eq. 10 and the segmentation loss beside it), each its own function.

Everywhere: prediction, target and valid are B×1×H×W; target is 0..1, valid is bool or 0/1. A pixel that is not valid
(padding, void) counts as lying beyond the picture: prediction and target are 0 there, as in the zero padding around the
picture, so that it reaches neither value nor gradient. Means are taken over the valid pixels of each picture, then over
the pictures; a picture without a valid pixel gives 0 (and no gradient). Everything is computed in float32 also under
autocast (in float64 if the prediction is), because SSIM subtracts nearly equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

#: SSIM's window and stabilising constants (Wang et al. 2004) for values in 0..1.
_SSIM_RADIUS, _SSIM_SIGMA = 5, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_SOBEL_SMOOTH, _SOBEL_SLOPE = (1.0, 2.0, 1.0), (-1.0, 0.0, 1.0)
_GRADIENT_PENALTY = 0.01
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
_LEVELS = 5
#: Smallest side of which the fifth level is still 3 pixels, as its mirrored border needs.
_LAPLACIAN_MIN_SIDE = 2**_LEVELS + 1

R = TypeVar("R")
Loss = Callable[[Tensor, Tensor, Tensor], R]


def _in_full_precision(loss: Loss[R]) -> Loss[R]:
    @wraps(loss)
    def run(prediction: Tensor, target: Tensor, valid: Tensor) -> R:
        if not prediction.shape == target.shape == valid.shape or prediction.ndim != 4 or prediction.shape[1] != 1:
            raise ValueError(
                "prediction, target and valid must be B×1×H×W alike, not "
                f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(valid.shape)}"
            )
        dtype = torch.float64 if prediction.dtype == torch.float64 else torch.float32
        with torch.autocast(prediction.device.type, enabled=False):
            return loss(prediction.to(dtype), target.to(dtype), valid.to(dtype))

    return run


@_in_full_precision
def bce_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Binary cross-entropy: mean of −[y log p + (1 − y) log(1 − p)], p = sigmoid(logits).

    Args:
        logits, target, valid: B×1×H×W; target 0..1, valid 0 or 1.

    Returns:
        Scalar.
    """
    each = F.binary_cross_entropy_with_logits(_inside(logits, valid), _inside(target, valid), reduction="none")
    return _mean(each, valid)


@_in_full_precision
def iou_loss(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Soft intersection over union (Qin et al. 2019, BASNet): 1 − (Σpy + 1) / (Σp + Σy − Σpy + 1) of each picture.

    Args:
        prediction, target, valid: B×1×H×W; prediction and target 0..1, valid 0 or 1.

    Returns:
        Scalar, the mean over the pictures.
    """
    p, y = _inside(prediction, valid), _inside(target, valid)
    intersection = (p * y).sum((1, 2, 3))
    union = (p + y).sum((1, 2, 3)) - intersection
    return (1 - (intersection + 1) / (union + 1)).mean()


@_in_full_precision
def ssim_loss(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004; as a loss, BASNet): 1 − mean SSIM.

    SSIM = (2·μx·μy + C1)(2·σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)) with C1 = 0.01², C2 = 0.03², in Gaussian
    windows of 11×11, σ = 1.5, over zero padding.

    Args:
        prediction, target, valid: B×1×H×W; prediction and target 0..1, valid 0 or 1.

    Returns:
        Scalar, 0 where prediction and target agree.
    """
    x, y = _inside(prediction, valid), _inside(target, valid)
    steps = torch.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1, dtype=x.dtype, device=x.device)
    window = torch.exp(-steps.square() / (2 * _SSIM_SIGMA**2))
    window = window / window.sum()
    # σx² and σy² appear only as a sum: four maps to blur instead of five
    maps = torch.cat([x, y, x.square() + y.square(), x * y])
    mean_x, mean_y, mean_squares, mean_xy = _separable(F.pad(maps, (_SSIM_RADIUS,) * 4), window, window).chunk(4)
    means, product = mean_x.square() + mean_y.square(), mean_x * mean_y
    likeness = (2 * product + _C1) * (2 * (mean_xy - product) + _C2)
    ssim = likeness / ((means + _C1) * (mean_squares - means + _C2))
    return _mean(1 - ssim, valid)


@_in_full_precision
def l1_loss(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Absolute difference: mean |α̂ − α|.

    Args:
        prediction, target, valid: B×1×H×W; prediction and target 0..1, valid 0 or 1.

    Returns:
        Scalar.
    """
    return _mean(_inside(prediction - target, valid).abs(), valid)


@_in_full_precision
def gradient_loss(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Gradient loss (Dai et al. 2022, in ViTMatte's form, for the whole picture).

    Σ over the directions x and y of mean |∂α̂ − ∂α| + 0.01·mean |∂α̂|, with ∂ the 3×3 Sobel operator (unnormalised,
    −1 0 1 by 1 2 1) over zero padding.

    Args:
        prediction, target, valid: B×1×H×W; prediction and target 0..1, valid 0 or 1.

    Returns:
        Scalar.
    """
    x, y = _inside(prediction, valid), _inside(target, valid)
    # ∂ is linear, so that the difference of the gradients is the gradient of the difference
    maps = F.pad(torch.cat([x - y, x]), (1, 1, 1, 1))
    smooth, slope = maps.new_tensor(_SOBEL_SMOOTH), maps.new_tensor(_SOBEL_SLOPE)
    strength = _separable(maps, smooth, slope).abs() + _separable(maps, slope, smooth).abs()
    difference, own = strength.chunk(2)
    return _mean(difference + _GRADIENT_PENALTY * own, valid)


@_in_full_precision
def laplacian_loss(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Laplacian pyramid loss (Hou & Liu 2019, in ViTMatte's form): 1/5 · Σ 2^(i−1)·mean |L_i(α̂) − L_i(α)|.

    i = 1..5; L_i = G_i − up(G_(i+1)), G_1 = α, G_(i+1) = every second row and column of G_i blurred by the binomial
    kernel [1 4 6 4 1]/16 in both directions; up() puts zeros between and blurs with four times that kernel. Borders are
    mirrored. Level i's mean is over the valid pixels among those it keeps. At odd sizes a level keeps its last row and
    column (ViTMatte drops them).

    Args:
        prediction, target, valid: B×1×H×W, both sides at least 33; prediction and target 0..1, valid 0 or 1.

    Returns:
        Scalar.

    Raises:
        ValueError: a side is shorter than 33.
    """
    if min(prediction.shape[2:]) < _LAPLACIAN_MIN_SIDE:
        raise ValueError(f"a side of {min(prediction.shape[2:])} is under {_LAPLACIAN_MIN_SIDE}: no five levels fit in")
    # L is linear: one pyramid, of the difference
    level = _inside(prediction - target, valid)
    kernel = level.new_tensor(_BINOMIAL)
    total = level.new_zeros(())
    for number in range(_LEVELS):
        smaller = _blur(level, kernel)[..., ::2, ::2]
        spread = torch.zeros_like(level)
        spread[..., ::2, ::2] = smaller
        total = total + 2**number * _mean((level - _blur(spread, 2 * kernel)).abs(), valid)
        level, valid = smaller, valid[..., ::2, ::2]
    return total / _LEVELS


@_in_full_precision
def segmentation_loss(logits: Tensor, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """L_seg = L_BCE + L_IoU + L_SSIM (weights 1), by its terms; their sum is the loss.

    Args:
        logits, target, valid: B×1×H×W; target 0..1, valid 0 or 1.

    Returns:
        Scalars "bce", "iou", "ssim".
    """
    logits = _inside(logits, valid)
    p = torch.sigmoid(logits)
    return {
        "bce": bce_loss(logits, target, valid),
        "iou": iou_loss(p, target, valid),
        "ssim": ssim_loss(p, target, valid),
    }


@_in_full_precision
def matting_loss(logits: Tensor, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """L_matting = L_l1 + L_SSIM + L_Grad + L_Lap (paper, Eq. 10; weights 1), by its terms; their sum is the loss.

    Args:
        logits, target, valid: B×1×H×W, both sides at least 33; α̂ = sigmoid(logits), target 0..1, valid 0 or 1.

    Returns:
        Scalars "l1", "ssim", "gradient", "laplacian".
    """
    alpha = torch.sigmoid(_inside(logits, valid))
    return {
        "l1": l1_loss(alpha, target, valid),
        "ssim": ssim_loss(alpha, target, valid),
        "gradient": gradient_loss(alpha, target, valid),
        "laplacian": laplacian_loss(alpha, target, valid),
    }


def _inside(x: Tensor, valid: Tensor) -> Tensor:
    """Zero outside; unlike a product with `valid` it also keeps infinities and NaN out."""
    return torch.where(valid > 0, x, torch.zeros((), dtype=x.dtype, device=x.device))


def _mean(each: Tensor, valid: Tensor) -> Tensor:
    count = valid.sum((1, 2, 3)).clamp(min=1)
    return ((each * valid).sum((1, 2, 3)) / count).mean()


def _separable(x: Tensor, down: Tensor, across: Tensor) -> Tensor:
    # pictures as channels of one: PyTorch's depthwise convolution is many times faster than a batch of one channel
    count = x.shape[0]
    y = F.conv2d(x.transpose(0, 1), down.view(1, 1, -1, 1).expand(count, 1, -1, 1), groups=count)
    return F.conv2d(y, across.view(1, 1, 1, -1).expand(count, 1, 1, -1), groups=count).transpose(0, 1)


def _blur(x: Tensor, kernel: Tensor) -> Tensor:
    return _separable(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, kernel)
