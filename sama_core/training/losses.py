"""Losses of the promptable SAM."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def structure_loss(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Boundary-weighted cross-entropy plus boundary-weighted IoU (Wei et al. 2020, F3Net, Eq. 5-10).

    With weight w = 1 + 5·|avg31(y) − y| on valid pixels and p = sigmoid(logits):
    Σ w·BCE / Σ w  +  1 − (Σ w·p·y + 1) / (Σ w·(p + y − p·y) + 1).

    Args:
        logits, target, valid: B×H×W float; target in 0..1, valid 0 or 1.

    Returns:
        B float, one loss for each map.
    """
    # two passes of one dimension: the same mean, sixteen times less work
    rows = F.avg_pool2d(target.unsqueeze(1), (31, 1), stride=1, padding=(15, 0))
    average = F.avg_pool2d(rows, (1, 31), stride=1, padding=(0, 15)).squeeze(1)
    weight = (1 + 5 * (average - target).abs()) * valid
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    total = weight.sum((1, 2)).clamp(min=1)
    bce = (weight * cross_entropy).sum((1, 2)) / total
    p = torch.sigmoid(logits)
    intersection = (weight * p * target).sum((1, 2))
    union = (weight * (p + target - p * target)).sum((1, 2))
    return bce + 1 - (intersection + 1) / (union + 1)


def iou_of(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """IoU of binarised maps (logit > 0, target > 0.5) over valid pixels; B×…×H×W to B×…; 1 where both are empty."""
    answer = (logits > 0) & (valid > 0)
    truth = (target > 0.5) & (valid > 0)
    union = (answer | truth).sum((-2, -1))
    return torch.where(
        union > 0,
        (answer & truth).sum((-2, -1)) / union.clamp(min=1),
        torch.ones_like(union, dtype=torch.float32),
    )
