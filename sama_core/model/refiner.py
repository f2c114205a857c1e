"""The alpha refiner: a small U-Net that finds alpha inside an unknown band, at the resolution of the pixels it gets.

It sees what a solver would be given, a tile of the photo, a coarse mask and a band, and what makes solvers strong: the
colours of the known foreground and background carried into the band, the alpha that they imply, and a guided filter of
the mask.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sama_core.model.guided_filter import guided_filter

#: Sides of the pictures given to the network are multiples of this.
STRIDE = 32
#: Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the resolution.
_WIDTHS = (32, 48, 64, 96, 96)
#: Channels of the last layers, at full resolution.
_FINE = 8
#: Guided filter of the coarse mask: radius in pixels and regularisation (guide in 0..1).
_RADIUS, _EPSILON = 12, 1e-4
#: Levels of the pyramid that carries known colours into the band. Further off than some 60 pixels the picture's own
#: colours stand in. The shipped weights were trained so; with a pyramid up to the whole tile the alpha that the colours
#: imply is much nearer to the truth in wide bands, so let the next training have one.
_COLOUR_LEVELS = 6
#: Keeps the alpha implied by two colours finite where they agree.
_ALIKE = 3e-3
#: Share of the gradient that passes where alpha is clamped, in training.
_LEAK = 0.02


class Refiner(nn.Module):
    """Alpha inside an unknown band.

    1.4 M parameters, 29 thousand multiplications for each pixel of a tile.

    Args:
        folded: without batch normalisation, which `fold` has drawn into the convolutions; for use, not for training.
    """

    def __init__(self, folded: bool = False) -> None:
        super().__init__()

        def convolution(before: int, width: int, stride: int = 1) -> nn.Sequential:
            return nn.Sequential(*_normalised(before, width, stride, folded), nn.ReLU())

        def block(width: int, count: int) -> _Residual:
            return _Residual(
                nn.Sequential(convolution(width, width), *_normalised(width, width, 1, folded)) for _ in range(count)
            )

        self.stem = convolution(8 * 4 + 6, _WIDTHS[0])
        self.encoder = nn.ModuleList([block(_WIDTHS[0], 1)])
        self.down = nn.ModuleList()
        for before, width in pairwise(_WIDTHS):
            self.down.append(convolution(before, width, stride=2))
            self.encoder.append(block(width, 2 if width >= 64 else 1))
        self.up = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for before, width in pairwise(_WIDTHS[::-1]):
            self.up.append(nn.Conv2d(before, width, 1))
            self.decoder.append(block(width, 1))
        self.spread = nn.Conv2d(_WIDTHS[0], 4 * _FINE, 3, padding=1)
        self.fine = nn.Conv2d(_FINE + 8, 16, 3, padding=1)
        self.last = nn.Conv2d(16, 1, 3, padding=1)
        # at first the answer is the coarse mask
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, rgb: Tensor, mask: Tensor, band: Tensor) -> Tensor:
        """Refine.

        Args:
            rgb: B×3×H×W float 0..1; H and W multiples of `STRIDE`.
            mask: B×1×H×W float 0..1, a coarse alpha.
            band: B×1×H×W float, 1 where alpha is unknown, else 0; elsewhere the mask above one half is foreground.

        Returns:
            B×1×H×W float32: alpha in 0..1, outside the band 0 or 1. In training mode values a little outside of 0..1
            stay, so that they have a gradient.
        """
        with torch.no_grad(), torch.autocast(rgb.device.type, enabled=False):
            full, half, start = evidence(rgb.float(), mask.float(), band.float())
        x = self.stem(torch.cat([F.pixel_unshuffle(full, 2), half], 1))
        skips = []
        for number, block in enumerate(self.encoder):
            x = block(self.down[number - 1](x) if number else x)
            skips.append(x)
        for up, block, skip in zip(self.up, self.decoder, skips[-2::-1], strict=True):
            x = block(F.interpolate(up(x), scale_factor=2, mode="bilinear", align_corners=False) + skip)
        x = torch.cat([F.relu(F.pixel_shuffle(self.spread(x), 2)), full.to(x.dtype)], 1)
        change = self.last(F.relu(self.fine(x))).float()
        alpha = start + change
        clamped = alpha.clamp(0, 1)
        if self.training:
            clamped = clamped + _LEAK * (alpha - clamped)
        known = (mask.float() > 0.5).float()
        return torch.where(band > 0.5, clamped, known)


def evidence(rgb: Tensor, mask: Tensor, band: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the network is shown.

    Args:
        rgb, mask, band: as for `Refiner.forward`, float32.

    Returns:
        At full resolution B×8×H×W: colour (centred), coarse mask, known foreground, known background, alpha implied by
        the known colours nearby, guided filter of the mask; at half resolution B×6×H/2×W/2: known foreground's and
        background's colours less the pixel's own; and the alpha to start from, B×1×H×W.
    """
    known = 1 - band
    front = known * (mask > 0.5)
    back = known - front
    start = torch.where(band > 0.5, mask, front)
    small = F.avg_pool2d(rgb, 2)
    colours_f, colours_b = (spread_colours(small, F.avg_pool2d(rgb * w, 2), F.avg_pool2d(w, 2)) for w in (front, back))
    line = _twice(colours_f - colours_b)
    implied = ((rgb - _twice(colours_b)) * line).sum(1, keepdim=True) / (line.square().sum(1, keepdim=True) + _ALIKE)
    implied = torch.where(band > 0.5, implied.clamp(-0.5, 1.5), front)
    guided = guided_filter(rgb, start, torch.ones_like(mask), _RADIUS, _EPSILON)
    guided = torch.where(band > 0.5, guided.clamp(-0.5, 1.5), front)
    full = torch.cat([rgb - 0.5, start, front, back, implied, guided], 1)
    return full, torch.cat([colours_f - small, colours_b - small], 1), start


def spread_colours(fallback: Tensor, weighted: Tensor, weight: Tensor) -> Tensor:
    """Carry known colours to every pixel (pull-push, Gortler et al. 1996).

    Args:
        fallback: B×3×H×W, colours to use where nothing is known within reach.
        weighted: B×3×H×W, known colours times their weight.
        weight: B×1×H×W, 0..1.

    Returns:
        B×3×H×W: the known colours where the weight is 1, elsewhere those of the neighbourhood.
    """
    levels = [(weighted, weight)]
    colour = fallback
    while len(levels) < _COLOUR_LEVELS and min(weight.shape[-2:]) >= 2:
        weighted, weight, colour = (F.avg_pool2d(x, 2, ceil_mode=True) for x in (weighted, weight, colour))
        levels.append((weighted, weight))
    for weighted, weight in reversed(levels):
        if colour.shape[-2:] != weight.shape[-2:]:
            colour = F.interpolate(colour, size=weight.shape[-2:], mode="bilinear", align_corners=False)
        # a level that knows a quarter of a cell has an opinion of its own
        own = (4 * weight).clamp(max=1)
        colour = own * weighted / weight.clamp(min=1e-4) + (1 - own) * colour
    return colour


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _normalised(before: int, width: int, stride: int, folded: bool) -> tuple[nn.Module, nn.Module]:
    convolution = nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=folded)
    return convolution, nn.Identity() if folded else nn.BatchNorm2d(width)


class _Residual(nn.Module):
    """x ← relu(x + layer(x)), for each layer."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(x + layer(x))
        return x


def fold(network: Refiner) -> Refiner:
    """The same function as a trained network in evaluation mode, without its batch normalisation; float32, on the
    CPU."""
    result = Refiner(folded=True)
    state = {name: value.detach().float().cpu() for name, value in network.state_dict().items()}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            prefix, number = name.rsplit(".", 1)
            convolution = f"{prefix}.{int(number) - 1}"
            mean, variance, weight, bias = (
                state.pop(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias")
            )
            state.pop(f"{name}.num_batches_tracked")
            gain = weight / torch.sqrt(variance + module.eps)
            state[f"{convolution}.weight"] = state[f"{convolution}.weight"] * gain[:, None, None, None]
            state[f"{convolution}.bias"] = bias - mean * gain
    result.load_state_dict(state)
    return result.eval()
