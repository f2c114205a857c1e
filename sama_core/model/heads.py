"""Prediction heads: interpolate, convolve, normalise, and let the task's token say what to look for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class DetailBranch(nn.Module):
    """Shallow features of the fine picture itself at half its resolution (the shallow branch of MVANet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.GELU(),
        )

    def forward(self, fine: torch.Tensor) -> torch.Tensor:
        """Map B×3×2S×2S normalised pixels to B×channels×S×S."""
        return self.layers(fine)


class Head(nn.Module):
    """From 128×128 features to a map of logits.

    Each stage is interpolation ×2, 3×3 convolution, BatchNorm, GELU (paper section 3.4). The token passes a two-layer
    MLP and meets the features in a dot product, as in SAM and HQ-SAM (Ke et al. 2023): the paper's "semantic features
    as global priors".

    Args:
        dim: width of the token.
        features_dim: channels of the features.
        channels: of the stages; the side of the output is 128·2^len(channels).
        prior_channels: of the maps joined to the first stage (256×256).
        detail_channels: of maps of the picture itself, joined to the last stage.
        polish: further convolutions at the last resolution.
    """

    def __init__(
        self,
        dim: int,
        features_dim: int,
        channels: tuple[int, ...],
        prior_channels: int,
        detail_channels: int,
        polish: int = 0,
    ) -> None:
        super().__init__()
        widths = [features_dim, *channels]
        joined = [0] * len(channels)
        joined[0] += prior_channels
        joined[-1] += detail_channels
        self.stages = nn.ModuleList(_block(widths[i] + joined[i], widths[i + 1]) for i in range(len(channels)))
        self.polish = nn.Sequential(*(_block(widths[-1], widths[-1]) for _ in range(polish)))
        self.token_mlp = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, channels[-1]))

    def forward(
        self,
        features: torch.Tensor,
        token: torch.Tensor,
        prior: torch.Tensor | None = None,
        details: Sequence[torch.Tensor] = (),
    ) -> torch.Tensor:
        """Predict.

        Args:
            features: B×features_dim×h×w; h = w = 128 for a whole picture.
            token: B×dim, the task's token as the decoder left it.
            prior: B×prior_channels×2h×2w.
            details: maps with detail_channels together, resized to the last stage.

        Returns:
            B×1×H×W logits, H = h·2^stages.
        """
        x = features
        for number, stage in enumerate(self.stages):
            parts = [F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)]
            if prior is not None and number == 0:
                parts.append(prior)
            if number == len(self.stages) - 1:
                size = parts[0].shape[-2:]
                parts += [F.interpolate(each, size=size, mode="bilinear", align_corners=False) for each in details]
            assert isinstance(stage, nn.Sequential)
            x = stage[1:](_convolve(stage[0], parts))
        weights = self.token_mlp(token)
        return torch.einsum("bc,bchw->bhw", weights, self.polish(x)).unsqueeze(1)


def fold(head: Head) -> None:
    """Draw the batch normalisation of a trained head in evaluation mode into its convolutions."""
    for block in [*head.stages, *head.polish]:
        assert isinstance(block, nn.Sequential)
        if isinstance(block[1], nn.BatchNorm2d):
            block[0], block[1] = fuse_conv_bn_eval(block[0], block[1]), nn.Identity()  # type: ignore[type-var]


def _convolve(convolution: nn.Module, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The convolution of maps side by side, one by one: kernels work on channels in sixteens, and 65 cost twice 64."""
    assert isinstance(convolution, nn.Conv2d)
    weights = convolution.weight.split([part.shape[1] for part in parts], dim=1)
    result = F.conv2d(parts[0], weights[0], convolution.bias, padding=1)
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        result = result + F.conv2d(part, weight, padding=1)
    return result


def _block(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.GELU())
