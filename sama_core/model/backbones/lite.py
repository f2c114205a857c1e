"""The bundled backbone: EfficientNet-Lite2 with a small feature-pyramid neck, for machines without a GPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from sama_core.model.backbones.base import EMBED_DIM, Features, LayerNorm2d
from sama_core.model.backbones.efficientnet_lite import EfficientNetLite2
from sama_core.model.prompt_maps import PromptMaps
from sama_core.model.prompt_mixer import PromptMixer
from sama_core.model.sam import PromptableSam

_NECK_DIM = 128


class LiteBackbone(nn.Module):
    """EfficientNet-Lite2 read at strides 8, 16 and 32.

    The three maps are brought to 128 channels, summed on the stride-8 grid (Lin et al. 2017, feature pyramids), mixed
    by one 3×3 convolution and widened to SAM's 256. At 512² input the grid is SAM's own 64×64.
    """

    input_size = 512
    early_channels = 48
    # ImageNet weights of the lite family expect (x - 127.5) / 127.5.
    pixel_mean = (127.5, 127.5, 127.5)
    pixel_std = (127.5, 127.5, 127.5)

    def __init__(self) -> None:
        super().__init__()
        self.body = EfficientNetLite2()
        self.lateral = nn.ModuleList(nn.Conv2d(width, _NECK_DIM, 1) for width in self.body.channels)
        self.mix = nn.Sequential(
            nn.Conv2d(_NECK_DIM, _NECK_DIM, 3, padding=1, bias=False),
            LayerNorm2d(_NECK_DIM),
            nn.GELU(),
            nn.Conv2d(_NECK_DIM, EMBED_DIM, 1, bias=False),
            LayerNorm2d(EMBED_DIM),
        )

    def forward(self, x: torch.Tensor) -> Features:
        """Encode B×3×512×512 to `Features` (early: B×48×64×64, the raw stride-8 map)."""
        maps = self.body(x)
        fine = self.lateral[0](maps[0])
        for lateral, coarse in zip(list(self.lateral)[1:], maps[1:], strict=True):
            fine = fine + F.interpolate(lateral(coarse), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return Features(self.mix(fine), maps[0])


def build_lite() -> PromptableSam:
    """Build the bundled model with random weights: SAM's prompt encoder and mask decoder behind this backbone, with
    maps of the prompt and a mixer ahead of the decoder."""
    return PromptableSam(LiteBackbone(), PromptMaps(), PromptMixer())
