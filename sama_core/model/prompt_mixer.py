"""Convolutions over image and prompt together, ahead of the mask decoder.

In SAM's decoder image tokens meet one another only through the few prompt tokens: what a click means next to an edge
it cannot see. RITM's networks (Sofiiuk et al. 2022) obey further clicks because picture, clicks and previous mask go
through the same convolutions. This does so on the embedding grid, where it costs little and the picture is still
encoded once. The last layer of each block begins at zero: a SAM with untrained blocks is SAM as published.
"""

from __future__ import annotations

import torch
from torch import nn

from sama_core.model.backbones.base import EMBED_DIM, LayerNorm2d

_WIDTH = 128
#: Of the 3×3 convolutions, in cells of the 64×64 grid; together they see the whole of it.
_DILATIONS = (1, 2, 4, 8)


class PromptMixer(nn.Module):
    """Residual bottleneck blocks on the sum of image and dense prompt embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_block(dilation) for dilation in _DILATIONS)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Mix B×256×64×64 to the same shape."""
        for block in self.blocks:
            image = image + block(image)
        return image


def _block(dilation: int) -> nn.Sequential:
    last = nn.Conv2d(_WIDTH, EMBED_DIM, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return nn.Sequential(
        LayerNorm2d(EMBED_DIM),
        nn.Conv2d(EMBED_DIM, _WIDTH, 1),
        nn.GELU(),
        nn.Conv2d(_WIDTH, _WIDTH, 3, padding=dilation, dilation=dilation),
        nn.GELU(),
        last,
    )
