"""Clicks and boxes as maps: what the sparse tokens say in words, drawn where it is meant.

SAM turns clicks into tokens and must learn from a billion masks to find their places again. A small network
trained on a
few thousand photos obeys far sooner when it also sees the clicks as disks (RITM, Sofiiuk et al. 2022, section 3.1). The
maps join the dense prompt embedding; their last layer begins at zero, so that a SAM without them is reproduced exactly.
"""

from __future__ import annotations

import torch
from torch import nn

from sama_core.images import LOW_RES
from sama_core.model.backbones.base import EMBED_DIM
from sama_core.model.stock_sam import LayerNorm2d
from sama_core.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, EXCLUDE, INCLUDE

#: Radius of a click's disk, in cells of the 256×256 grid.
_RADIUS = 4.0


class PromptMaps(nn.Module):
    """Three maps (include disks, exclude disks, box) brought to the embedding grid, as SAM brings mask prompts
    there."""

    def __init__(self) -> None:
        super().__init__()
        self.downscaling = nn.Sequential(
            nn.Conv2d(3, 16, kernel_size=2, stride=2),
            LayerNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, 64, kernel_size=2, stride=2),
            LayerNorm2d(64),
            nn.GELU(),
        )
        self.widen = nn.Conv2d(64, EMBED_DIM, kernel_size=1)
        nn.init.zeros_(self.widen.weight)
        nn.init.zeros_(self.widen.bias)  # type: ignore[arg-type]

    def forward(self, points: torch.Tensor, labels: torch.Tensor, size: int) -> torch.Tensor:
        """Draw and embed.

        Args:
            points: B×N×2 float in model-input pixels.
            labels: B×N int64 as in `labels.py`.
            size: side of the model input.

        Returns:
            B×256×64×64 float, to be added to the dense prompt embedding.
        """
        return self.widen(self.downscaling(draw(points * (LOW_RES / size), labels)))


def draw(points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Draw prompts as B×3×256×256 maps.

    Channels: include disks (0 or 1), exclude disks (0 or 1), box (1 inside, −1 outside, 0 everywhere without a box).
    `points` are in cells of the grid.
    """
    centres = torch.arange(LOW_RES, device=points.device, dtype=torch.float32) + 0.5
    x, y = points[..., 0, None], points[..., 1, None]
    # disks as outer products would be squares: B×N×256×256 of squared distances is small for the few clicks there are
    squared = ((centres - x) ** 2).unsqueeze(-2) + ((centres - y) ** 2).unsqueeze(-1)
    disks = squared <= _RADIUS**2
    maps = [(disks & (labels == label)[..., None, None]).any(1) for label in (INCLUDE, EXCLUDE)]

    def corner(label: int) -> torch.Tensor:
        return (points * (labels == label).unsqueeze(-1)).sum(1)

    low, high = corner(BOX_TOP_LEFT), corner(BOX_BOTTOM_RIGHT)
    columns = (centres >= low[:, :1]) & (centres < high[:, :1])
    rows = (centres >= low[:, 1:]) & (centres < high[:, 1:])
    inside = (rows.unsqueeze(-1) & columns.unsqueeze(-2)).float()
    has_box = (labels == BOX_TOP_LEFT).any(1).view(-1, 1, 1).float()
    return torch.stack([maps[0].float(), maps[1].float(), (2 * inside - 1) * has_box], dim=1)
