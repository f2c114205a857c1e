"""What every backbone gives the rest of the model, whichever network computes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import nn

#: Width of an image embedding and side of its grid; SAM's own numbers (Kirillov et al. 2023), kept by every backbone.
EMBED_DIM = 256
GRID = 64


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of B×C×H×W maps, at each place by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise each of B×C×H×W's places over its C numbers."""
        channels_last = x.permute(0, 2, 3, 1)
        return F.layer_norm(channels_last, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class Features(NamedTuple):
    """Output of a backbone.

    Attributes:
        embedding: B×256×64×64 float, the image embedding that SAM's mask decoder reads.
        early: B×C×64×64 float, an early layer on the same grid (C is the backbone's `early_channels`); the
            Local-Adapters of SAMA add it to their keys (paper Eq. 5-6, after HQ-SAM).
        high_res: finer maps that the family's mask decoder adds while it enlarges its own, B×c×h×w float each; SAM
            has none.
    """

    embedding: torch.Tensor
    early: torch.Tensor
    high_res: tuple[torch.Tensor, ...] = ()

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Features:
        """The same features with every tensor changed."""
        return Features(change(self.embedding), change(self.early), tuple(change(each) for each in self.high_res))

    def split(self, count: int) -> list[Features]:
        """Features of a batch as those of its `count` equal parts, in order."""
        return [self.map(lambda tensor, i=i: tensor.chunk(count)[i]) for i in range(count)]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor by a name; `from_tensors` is the inverse."""
        names = {f"high_res.{i}": each for i, each in enumerate(self.high_res)}
        return {"embedding": self.embedding, "early": self.early} | names

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> Features:
        """Features of tensors by name.

        Raises:
            ValueError: they are not those of `tensors`.
        """
        found = {name for name in tensors if name.startswith("high_res.")}
        wanted = [f"high_res.{i}" for i in range(len(found))]
        if set(tensors) != {"embedding", "early", *wanted}:
            raise ValueError(f"these are not the tensors of an embedding: {sorted(tensors)}")
        return cls(tensors["embedding"], tensors["early"], tuple(tensors[name] for name in wanted))


class Backbone(Protocol):
    """An image encoder. Implementations are `nn.Module`s; `input_size` is a multiple of 64."""

    input_size: int
    early_channels: int
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]

    def __call__(self, x: torch.Tensor) -> Features:
        """Encode B×3×S×S normalised sRGB, padded with zeros at the right and bottom, S = `input_size`."""
        ...
