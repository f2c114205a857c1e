"""What every backbone gives the rest of the model, whichever network computes it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch

#: Width of an image embedding and side of its grid; SAM's own numbers (Kirillov et al. 2023), kept by every backbone.
EMBED_DIM = 256
GRID = 64


class Features(NamedTuple):
    """Output of a backbone.

    Attributes:
        embedding: B×256×64×64 float, the image embedding that SAM's mask decoder reads.
        early: B×C×64×64 float, an early layer on the same grid (C is the backbone's `early_channels`); the
            Local-Adapters of SAMA add it to their keys (paper Eq. 5-6, after HQ-SAM).
    """

    embedding: torch.Tensor
    early: torch.Tensor


class Backbone(Protocol):
    """An image encoder. Implementations are `nn.Module`s; `input_size` is a multiple of 64."""

    input_size: int
    early_channels: int
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]

    def __call__(self, x: torch.Tensor) -> Features:
        """Encode B×3×S×S normalised sRGB, padded with zeros at the right and bottom, S = `input_size`."""
        ...
