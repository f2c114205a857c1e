"""The guided filter on batches: a mask that follows the picture's own edges, as a start for the heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def guided_filter(
    guide: torch.Tensor, mask: torch.Tensor, inside: torch.Tensor, radius: int, epsilon: float
) -> torch.Tensor:
    """Filter masks along the edges of colour pictures; arguments and result as of `GuidedFilter`."""
    return GuidedFilter(guide, inside, radius, epsilon)(mask)


class GuidedFilter:
    """The guided filter of He et al. 2013 (Eq. 14-18) for colour pictures, in float32, without gradients.

    Its coefficients are found at half the resolution and applied at the whole (He & Sun 2015). What depends on the
    pictures alone is computed once, for any number of masks.

    Args:
        guide: B×3×H×W float, H and W even.
        inside: B×1×H×W float, 0 where the picture is padding; windows do not look there.
        radius: of the square windows, pixels, even.
        epsilon: regularisation, in squared units of the guide.
    """

    def __init__(self, guide: torch.Tensor, inside: torch.Tensor, radius: int, epsilon: float) -> None:
        self._radius = radius // 2
        with torch.no_grad(), torch.autocast(guide.device.type, enabled=False):
            self._full = guide.float()
            self._guide, self._inside = (F.avg_pool2d(x.float(), 2) for x in (guide, inside))
            self._share = _box(self._inside, self._radius).clamp(min=1e-6)
            red, green, blue = self._guide.split(1, dim=1)
            products = torch.cat([red * red, red * green, red * blue, green * green, green * blue, blue * blue], dim=1)
            whole = (slice(None), slice(None))
            self._mean, mean_ii = self._means(torch.cat([self._guide, products], dim=1), whole).split([3, 6], dim=1)
            r, g, b = self._mean.split(1, dim=1)
            squares = torch.cat([r * r, r * g, r * b, g * g, g * b, b * b], dim=1)
            rr, rg, rb, gg, gb, bb = (mean_ii - squares).split(1, dim=1)
            # LDLᵀ of the symmetric 3×3 matrix: a grey picture makes it nearly singular, too much for an inverse in
            # float32
            rr = rr + epsilon
            lg, lb = rg / rr, rb / rr
            dg = (gg + epsilon - lg * rg).clamp(min=epsilon)
            lgb = (gb - lb * rg) / dg
            db = (bb + epsilon - lb * rb - lgb * lgb * dg).clamp(min=epsilon)
            self._factors = torch.cat([rr, lg, lb, dg, lgb, db], dim=1)

    def __call__(self, mask: torch.Tensor, window: tuple[slice, slice] | None = None) -> torch.Tensor:
        """Filter.

        Args:
            mask: B×1×H×W float.
            window: the rows and columns wanted, from even numbers on to even numbers; None wants all.

        Returns:
            B×1×h×w float32, of the window; may leave the range of `mask` a little.
        """
        height, width = self._full.shape[-2:]
        rows, columns = window or (slice(0, height), slice(0, width))
        with torch.no_grad(), torch.autocast(mask.device.type, enabled=False):
            # a pixel's coefficients are means of those of a radius around, and these of the pixels of another radius
            reach = 2 * self._radius + 1
            tall, wide = (
                slice(max(0, part.start // 2 - reach), min(length // 2, part.stop // 2 + reach))
                for part, length in ((rows, height), (columns, width))
            )
            outer = slice(2 * tall.start, 2 * tall.stop), slice(2 * wide.start, 2 * wide.stop)
            fitted = self._fit(F.avg_pool2d(mask[..., outer[0], outer[1]].float(), 2), (tall, wide))
            coefficients = F.interpolate(fitted, scale_factor=2, mode="bilinear", align_corners=False)
            top, left = rows.start - outer[0].start, columns.start - outer[1].start
            inner = coefficients[..., top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]
            gain, offset = inner.split([3, 1], 1)
            return (gain * self._full[..., rows, columns]).sum(1, keepdim=True) + offset

    def _fit(self, mask: torch.Tensor, place: tuple[slice, slice]) -> torch.Tensor:
        """Mean gain (three channels) and offset of the linear function of the guide in a part of it: B×4×h×w."""
        guide, mean_i, factors = (x[..., place[0], place[1]] for x in (self._guide, self._mean, self._factors))
        mean_p, mean_ip = self._means(torch.cat([mask, guide * mask], dim=1), place).split([1, 3], dim=1)
        rr, lg, lb, dg, lgb, db = factors.split(1, dim=1)
        x, y, z = (mean_ip - mean_i * mean_p).split(1, dim=1)
        y = y - lg * x
        z = (z - lb * x - lgb * y) / db
        y = y / dg - lgb * z
        gain = torch.cat([x / rr - lg * y - lb * z, y, z], dim=1)
        offset = mean_p - (gain * mean_i).sum(1, keepdim=True)
        return self._means(torch.cat([gain, offset], dim=1), place)

    def _means(self, x: torch.Tensor, place: tuple[slice, slice]) -> torch.Tensor:
        """Means over windows of what lies inside the picture, for a part of it."""
        inside, share = (each[..., place[0], place[1]] for each in (self._inside, self._share))
        return _box(x * inside, self._radius) / share


def _box(x: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over square windows, zero beyond the border; two passes of one dimension.

    As convolutions of each channel by itself, which have fast kernels where average pooling has none.
    """
    size, channels = 2 * radius + 1, x.shape[1]
    x = x.contiguous(memory_format=torch.channels_last)
    weights = x.new_full((channels, 1, size, 1), 1 / size)
    rows = F.conv2d(x, weights, padding=(radius, 0), groups=channels)
    return F.conv2d(rows, weights.transpose(2, 3), padding=(0, radius), groups=channels)
