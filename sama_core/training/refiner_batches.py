"""From stored tiles to batches: geometry, backgrounds, light, compositing and what a camera does, on the device.

A batch depends on its number, the seed and the pool alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sama_core.training.refiner_tiles import BACKGROUND, BACKGROUNDS, CHANNELS, TILE, TILES, Drawing

#: Standard JPEG quantisation table of luminance; chrominance is taken as twice as coarse.
_JPEG = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_GAMMA = 2.2


class Examples(NamedTuple):
    """What the refiner is shown, and the truth: rgb B×3×S×S, the others B×1×S×S, all float32 in 0..1.

    `taught` is 1 in the part of the band where alpha is the truth, else 0.
    """

    rgb: Tensor
    mask: Tensor
    band: Tensor
    alpha: Tensor
    taught: Tensor


class Pool:
    """Tiles and backgrounds on the device: the newest `capacity` of the drawings added, each at its number's place.

    Args:
        capacity: drawings, 5.9 MB each.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        self._tiles = torch.zeros((capacity, TILES, CHANNELS, TILE, TILE), dtype=torch.uint8, device=device)
        self._grounds = torch.zeros(
            (capacity, BACKGROUNDS, 3, BACKGROUND, BACKGROUND), dtype=torch.uint8, device=device
        )
        self._next = 0

    def begin(self, number: int) -> None:
        """Go on with the drawing of this number, as if those before it had been added."""
        self._next = number

    def add(self, drawings: list[Drawing]) -> None:
        """Store the next drawings, over the oldest ones when the pool is full."""
        for drawing in drawings:
            place = self._next % len(self._tiles)
            self._tiles[place] = torch.from_numpy(drawing.tiles)
            self._grounds[place] = torch.from_numpy(drawing.backgrounds)
            self._next += 1

    @property
    def tiles(self) -> Tensor:
        """Those that are there, N×7×320×320 uint8."""
        return self._tiles[: self._next].flatten(0, 1)

    @property
    def backgrounds(self) -> Tensor:
        """Those that are there, N×3×512×512 uint8."""
        return self._grounds[: self._next].flatten(0, 1)


class Batches:
    """Draws examples from a pool.

    Args:
        pool: of tiles and backgrounds.
        size: examples in a batch.
        side: S of `Examples`, at most `TILE`.
        seed: of everything random.
    """

    def __init__(self, pool: Pool, size: int, side: int, seed: int, device: torch.device) -> None:
        self._pool, self._size, self._side, self._device, self._seed = pool, size, side, device, seed
        self._random, self._grains = torch.Generator(), torch.Generator(device)
        table = torch.tensor(_JPEG, dtype=torch.float32, device=device)
        self._table = torch.stack([table, 2 * table, 2 * table])[None, :, None, :, None, :] / 255
        step = torch.arange(8, dtype=torch.float32)
        dct = torch.cos(math.pi / 8 * (step[None] + 0.5) * step[:, None]) / 2
        dct[0] /= math.sqrt(2)
        self._dct = dct.to(device)

    def draw(self, number: int) -> Examples:
        """Make the batch of this number from what is in the pool, which is not empty."""
        for generator in (self._random, self._grains):
            generator.manual_seed(1_000_003 * self._seed + number)
        tile = self._taken(self._pool.tiles)
        shown = self._warp(tile, self._tile_geometry())
        colour, alpha, mask, band, cover = shown.split([3, 1, 1, 1, 1], 1)
        alpha, cover = self._flattened(alpha), self._flattened(cover)
        ground = self._warp(self._taken(self._pool.backgrounds), self._ground_geometry())
        ground = self._blurred(ground, self._some(0.35) * self._between(0.5, 7.0), 10)
        # light and colour: each on its own, then a part of the way to each other, as in one scene
        colour, ground = self._recoloured(colour), self._recoloured(ground)
        pull = self._some(0.4) * self._between(0.2, 1.0)
        weight = cover.sum((2, 3), keepdim=True).clamp(min=1)
        gain = ((colour * cover).sum((2, 3), keepdim=True) / weight + 0.06) / (ground.mean((2, 3), keepdim=True) + 0.06)
        ground = (ground * gain.clamp(0.4, 2.5) ** pull).clamp(0, 1)
        rgb = self._composited(colour, ground, cover)
        sigma = self._some(0.35) * self._between(0.4, 1.3)
        both = self._blurred(torch.cat([rgb, alpha], 1), sigma, 4)
        rgb, alpha = both.split([3, 1], 1)
        rgb = self._photographed(rgb)
        return Examples(rgb, mask, (band > 0.25).float(), alpha.clamp(0, 1), (band > 0.75).float())

    # Random numbers: always for the whole batch, B×1×1×1, on the device.
    def _uniform(self) -> Tensor:
        return torch.rand((self._size, 1, 1, 1), generator=self._random)

    def _between(self, low: float, high: float) -> Tensor:
        return (low + (high - low) * self._uniform()).to(self._device)

    def _some(self, share: float) -> Tensor:
        return (self._uniform() < share).float().to(self._device)

    def _whole(self, below: int, count: int) -> Tensor:
        return torch.randint(below, (count,), generator=self._random)

    def _taken(self, pictures: Tensor) -> Tensor:
        """As many as a batch has, float32 0..1."""
        return pictures[self._whole(len(pictures), self._size).to(pictures.device)].float() / 255

    def _noise(self, shape: tuple[int, ...]) -> Tensor:
        # on a CPU all random numbers come from one generator
        generator = self._random if self._device.type == "cpu" else self._grains
        return torch.randn(shape, generator=generator, device=self._device)

    def _tile_geometry(self) -> Tensor:
        """Half of the examples are only shifted by whole pixels, turned by quarters and mirrored; the others also
        turned and scaled freely."""
        size, free = self._size, (self._uniform() < 0.5).float().flatten()
        quarter = self._whole(4, size).float() * (math.pi / 2)
        turn = quarter + free * (self._uniform().flatten() - 0.5) * 0.7
        scale = torch.exp(free * (self._uniform().flatten() - 0.5) * 0.6)
        mirror = torch.where(self._uniform().flatten() < 0.5, -1.0, 1.0)
        room = (TILE - self._side) // 2
        shift = (self._whole(2 * room + 1, 2 * size) - room).view(size, 2).float()
        return self._affine(turn, scale, mirror, shift, TILE)

    def _ground_geometry(self) -> Tensor:
        size = self._size
        scale = torch.exp(self._uniform().flatten() * 1.4 - 0.9)
        mirror = torch.where(self._uniform().flatten() < 0.5, -1.0, 1.0)
        room = (BACKGROUND - self._side) / 2
        shift = (torch.rand((size, 2), generator=self._random) * 2 - 1) * room
        return self._affine(torch.zeros(size), scale, mirror, shift, BACKGROUND)

    def _affine(self, turn: Tensor, scale: Tensor, mirror: Tensor, shift: Tensor, whole: int) -> Tensor:
        """Matrices for `affine_grid` that show a window of the batch's side in a picture of side `whole`.

        Args:
            turn: B, radians; scale: B, picture pixels per pixel; mirror: B, ±1; shift: B×2, picture pixels.
        """
        ratio = self._side / whole * scale
        cos, sin = torch.cos(turn) * ratio, torch.sin(turn) * ratio
        move = shift * (2 / whole)
        rows = torch.stack([mirror * cos, -sin, move[:, 0], mirror * sin, cos, move[:, 1]], 1)
        return rows.view(-1, 2, 3).to(self._device)

    def _warp(self, picture: Tensor, matrix: Tensor) -> Tensor:
        shape = (picture.shape[0], picture.shape[1], self._side, self._side)
        grid = F.affine_grid(matrix, list(shape), align_corners=False)
        return F.grid_sample(picture, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    @staticmethod
    def _flattened(alpha: Tensor) -> Tensor:
        """Take the haze of 8 bits off the ends."""
        return ((alpha - 0.004) / 0.992).clamp(0, 1)

    def _blurred(self, picture: Tensor, sigma: Tensor, radius: int) -> Tensor:
        """Gaussian blur with an own sigma (B×1×1×1, 0 for none) for each picture."""
        size, channels = picture.shape[:2]
        step = torch.arange(-radius, radius + 1, device=picture.device, dtype=torch.float32).view(1, 1, 1, -1)
        kernel = torch.exp(-step.square() / (2 * sigma.clamp(min=0.05).square()))
        kernel = (kernel / kernel.sum(3, keepdim=True)).repeat_interleave(channels, 0)
        flat = picture.reshape(1, size * channels, *picture.shape[2:])
        flat = F.pad(flat, (radius,) * 4, mode="reflect")
        flat = F.conv2d(flat, kernel, groups=size * channels)
        flat = F.conv2d(flat, kernel.transpose(2, 3), groups=size * channels)
        return flat.view_as(picture)

    def _recoloured(self, picture: Tensor) -> Tensor:
        """Vary exposure, contrast, saturation and white balance."""
        size = self._size
        picture = picture.clamp(1e-4, 1) ** torch.exp(self._some(0.5) * (self._between(-0.5, 0.5)))
        grey = picture.mean(1, keepdim=True)
        picture = grey + (picture - grey) * self._between(0.4, 1.4)
        mean = picture.mean((1, 2, 3), keepdim=True)
        picture = (picture - mean) * self._between(0.7, 1.3) + mean * self._between(0.7, 1.3)
        balance = 1 + 0.1 * torch.randn((size, 3, 1, 1), generator=self._random).to(picture.device)
        return (picture * balance).clamp(0, 1)

    def _composited(self, colour: Tensor, ground: Tensor, alpha: Tensor) -> Tensor:
        """I = αF + (1 − α)B, of stored values or, for a third, of light."""
        light = self._some(0.35)
        plain = alpha * colour + (1 - alpha) * ground
        power = [part.clamp(min=1e-4) ** _GAMMA for part in (colour, ground)]
        mixed = (alpha * power[0] + (1 - alpha) * power[1]).clamp(min=1e-6) ** (1 / _GAMMA)
        return light * mixed + (1 - light) * plain

    def _photographed(self, rgb: Tensor) -> Tensor:
        """Sharpening, noise, compression and rounding."""
        amount = self._some(0.25) * self._between(0.2, 1.0)
        rgb = rgb + amount * (rgb - self._blurred(rgb, torch.full_like(amount, 1.0), 3))
        noise = self._noise(tuple(rgb.shape))
        coarse = self._some(0.5)
        noise = coarse * 2 * F.avg_pool2d(noise, 3, 1, 1) + (1 - coarse) * noise
        rgb = (rgb + self._some(0.7) * self._between(0, 0.03) * noise).clamp(0, 1)
        rgb = torch.where(self._some(0.35) > 0, self._compressed(rgb), rgb)
        return (rgb.clamp(0, 1) * 255).round() / 255

    def _compressed(self, rgb: Tensor) -> Tensor:
        """JPEG at qualities of about 35 to 95, without subsampling."""
        size, _, height, width = rgb.shape
        red, green, blue = rgb.split(1, 1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        ycc = torch.cat([luma - 0.5, (blue - luma) * 0.564, (red - luma) * 0.713], 1)
        blocks = ycc.view(size, 3, height // 8, 8, width // 8, 8)
        frequencies = torch.einsum("ui,bchiwj,vj->bchuwv", self._dct, blocks, self._dct)
        steps = self._table * torch.exp(self._between(math.log(0.1), math.log(1.4)))[..., None, None]
        steps = steps.clamp(min=1 / 255)
        frequencies = (frequencies / steps).round() * steps
        y, cb, cr = torch.einsum("ui,bchuwv,vj->bchiwj", self._dct, frequencies, self._dct).reshape_as(rgb).split(1, 1)
        y = y + 0.5
        blue, red = y + cb / 0.564, y + cr / 0.713
        return torch.cat([red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue], 1).clamp(0, 1)
