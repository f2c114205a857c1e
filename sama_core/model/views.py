"""Global and local views, and the arithmetic between quadrants and whole maps.

Quadrants come in the order top left, top right, bottom left, bottom right, on an axis of their own right after the
batch (never folded into it, where MVANet's patch-major order is easily mistaken).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

#: Local views of a picture.
QUADRANTS = 4


def quarter(maps: torch.Tensor) -> torch.Tensor:
    """Cut B×C×2h×2w maps into their quadrants: B×4×C×h×w."""
    batch, channels, height, width = maps.shape
    grid = maps.view(batch, channels, 2, height // 2, 2, width // 2)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(batch, QUADRANTS, channels, height // 2, width // 2)


def tile(quadrants: torch.Tensor) -> torch.Tensor:
    """Put B×4×C×h×w quadrants together: B×C×2h×2w. Inverse of `quarter`."""
    batch, _, channels, height, width = quadrants.shape
    grid = quadrants.view(batch, 2, 2, channels, height, width)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, 2 * height, 2 * width)


def quarter_tokens(tokens: torch.Tensor) -> torch.Tensor:
    """Cut B×(2s·2s)×C row-major image tokens into their quadrants: B×4×(s·s)×C."""
    batch, count, channels = tokens.shape
    side = round(count**0.5) // 2
    grid = tokens.view(batch, 2, side, 2, side, channels)
    return grid.permute(0, 1, 3, 2, 4, 5).reshape(batch, QUADRANTS, side * side, channels)


def tile_tokens(tokens: torch.Tensor) -> torch.Tensor:
    """Put B×4×(s·s)×C quadrant tokens together: B×(2s·2s)×C. Inverse of `quarter_tokens`."""
    batch, _, count, channels = tokens.shape
    side = round(count**0.5)
    grid = tokens.view(batch, 2, 2, side, side, channels)
    return grid.permute(0, 1, 3, 2, 4, 5).reshape(batch, QUADRANTS * count, channels)


def to_tokens(quadrants: torch.Tensor) -> torch.Tensor:
    """B×4×C×h×w maps as B×4×(h·w)×C tokens, row-major."""
    return quadrants.flatten(3).transpose(2, 3)


def to_maps(tokens: torch.Tensor) -> torch.Tensor:
    """B×4×(s·s)×C tokens as B×4×C×s×s maps. Inverse of `to_tokens` for square maps."""
    side = round(tokens.shape[2] ** 0.5)
    return tokens.transpose(2, 3).unflatten(3, (side, side))


def enlarge_input(x: torch.Tensor) -> torch.Tensor:
    """The fine picture of the paper's own reading: B×3×S×S model input to B×3×2S×2S.

    The input's quadrants are cut first and enlarged then (paper section "Inputs": crop evenly, upsample to H×W), so
    that nothing of a neighbour leaks over a border. `quarter` of the result gives the local views.
    """
    quadrants = quarter(x)
    larger = F.interpolate(quadrants.flatten(0, 1), scale_factor=2, mode="bilinear", align_corners=False)
    return tile(larger.unflatten(0, (len(x), QUADRANTS)))


def stand_in(maps: torch.Tensor) -> torch.Tensor:
    """What the global view's B×C×s×s maps show of each quadrant, on the local views' grid: B×4×C×s×s.

    For a quadrant that was not encoded on its own.
    """
    quadrants = quarter(maps)
    larger = F.interpolate(quadrants.flatten(0, 1), scale_factor=2, mode="bilinear", align_corners=False)
    return larger.unflatten(0, (len(maps), QUADRANTS))
