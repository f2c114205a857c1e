"""The guided filter on batches: a mask that follows the picture's own edges, as a start for the heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def guided_filter(
    guide: torch.Tensor, mask: torch.Tensor, inside: torch.Tensor, radius: int, epsilon: float
) -> torch.Tensor:
    """Filter masks along the edges of colour pictures (He et al. 2013, Eq. 14-18), in float32, without gradients.

    Its coefficients are found at half the resolution and applied at the whole (He & Sun 2015).

    Args:
        guide: B×3×H×W float, H and W even.
        mask: B×1×H×W float.
        inside: B×1×H×W float, 0 where the picture is padding; windows do not look there.
        radius: of the square windows, pixels, even.
        epsilon: regularisation, in squared units of the guide.

    Returns:
        B×1×H×W float32; may leave the range of `mask` a little.
    """
    with torch.no_grad(), torch.autocast(guide.device.type, enabled=False):
        guide = guide.float()
        small_guide, small_mask, small_inside = (F.avg_pool2d(x.float(), 2) for x in (guide, mask, inside))
        coefficients = _fit(small_guide, small_mask, small_inside, radius // 2, epsilon)
        gain, offset = F.interpolate(coefficients, scale_factor=2, mode="bilinear", align_corners=False).split(
            [3, 1], 1
        )
        return (gain * guide).sum(1, keepdim=True) + offset


def _fit(guide: torch.Tensor, mask: torch.Tensor, inside: torch.Tensor, radius: int, epsilon: float) -> torch.Tensor:
    """Mean gain (three channels) and offset of the linear function of the guide: B×4×H×W."""
    share = _box(inside, radius).clamp(min=1e-6)

    def mean(x: torch.Tensor) -> torch.Tensor:
        return _box(x * inside, radius) / share

    red, green, blue = guide.split(1, dim=1)
    products = torch.cat([red * red, red * green, red * blue, green * green, green * blue, blue * blue], dim=1)
    means = mean(torch.cat([guide, mask, guide * mask, products], dim=1))
    mean_i, mean_p, mean_ip, mean_ii = means.split([3, 1, 3, 6], dim=1)
    r, g, b = mean_i.split(1, dim=1)
    squares = torch.cat([r * r, r * g, r * b, g * g, g * b, b * b], dim=1)
    rr, rg, rb, gg, gb, bb = (mean_ii - squares).split(1, dim=1)
    # LDLᵀ of the symmetric 3×3 matrix: a grey picture makes it nearly singular, too much for an inverse in float32
    rr = rr + epsilon
    lg, lb = rg / rr, rb / rr
    dg = (gg + epsilon - lg * rg).clamp(min=epsilon)
    lgb = (gb - lb * rg) / dg
    db = (bb + epsilon - lb * rb - lgb * lgb * dg).clamp(min=epsilon)
    x, y, z = (mean_ip - mean_i * mean_p).split(1, dim=1)
    y = y - lg * x
    z = (z - lb * x - lgb * y) / db
    y = y / dg - lgb * z
    gain = torch.cat([x / rr - lg * y - lb * z, y, z], dim=1)
    offset = mean_p - (gain * mean_i).sum(1, keepdim=True)
    return mean(torch.cat([gain, offset], dim=1))


def _box(x: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over square windows, zero beyond the border; two passes of one dimension."""
    size = 2 * radius + 1
    rows = F.avg_pool2d(x, (size, 1), stride=1, padding=(radius, 0))
    return F.avg_pool2d(rows, (1, size), stride=1, padding=(0, radius))
