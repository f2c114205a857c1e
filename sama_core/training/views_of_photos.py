"""Batches of training views: photos scaled, turned, cropped, pasted into one another and recoloured, on any device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from sama_core.images import LOW_RES
from sama_core.training.datasets import VOID
from sama_core.training.photo_store import PhotoStore

#: A target covers at least this share of the frame, and an object this share of its own area in the photo.
_MIN_SHARE, _MIN_SEEN = 0.002, 0.25


@dataclass(frozen=True)
class Augmentation:
    """How views differ from the photos. Probabilities are per photo.

    Attributes:
        whole: shows the whole photo, long side S, as inference does; the others are zoomed.
        zoom: range of the zoom, drawn log-uniformly; a zoomed view is cropped around a point of an object.
        turn: turned, by a normal angle of `turn_degrees`.
        paste: another photo's object pasted over it.
        mosaic: at half its size beside three other photos.
        union: of the last target with another object of its photo.
    """

    whole: float = 0.45
    zoom: tuple[float, float] = (0.75, 2.2)
    turn: float = 0.25
    turn_degrees: float = 8.0
    paste: float = 0.25
    mosaic: float = 0.1
    union: float = 0.25


@dataclass
class Views:
    """A batch of views and what to find in them.

    Attributes:
        pixels: B×3×S×S float32 sRGB 0..255; anything beyond the frame.
        inside: B×1×S×S float32, 1 in the frame, 0 in the padding.
        targets: B×P×256×256 float32, coverage 0..1.
        valid: B×P×256×256 float32, 0 where the target is unknown or padding.
        usable: B×P bool, whether there is enough of the target.
    """

    pixels: torch.Tensor
    inside: torch.Tensor
    targets: torch.Tensor
    valid: torch.Tensor
    usable: torch.Tensor


class Draw:
    """Random numbers on a device, from one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator, self.device = generator, generator.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """Uniform floats."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal floats."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def happens(self, count: int, probability: float) -> torch.Tensor:
        """Bools, each true with the probability."""
        return self.uniform(count) < probability

    def below(self, limits: torch.Tensor) -> torch.Tensor:
        """An integer from 0 to limit − 1 for each limit."""
        return (self.uniform(*limits.shape) * limits).long().clamp(max=limits - 1)

    def pixel(self, where: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A random pixel of each B×H×W bool map: x, y (int64) and whether there was any."""
        flat = where.flatten(1)
        place = (self.uniform(*flat.shape) * flat).argmax(1)
        return place % where.shape[-1], place // where.shape[-1], flat.any(1)


def draw_views(
    store: PhotoStore, photos: torch.Tensor, prompts: int, augmentation: Augmentation, generator: torch.Generator
) -> Views:
    """Make a view of each photo (B int64 numbers) with `prompts` targets.

    The first target is always the object that the view was framed around; others are objects of the photo, the last
    one at times the union of two.
    """
    draw = Draw(generator)
    batch, size = len(photos), store.size
    labels, counts = store.labels[photos], store.counts[photos]
    numbers = 1 + torch.stack([draw.below(counts) for _ in range(prompts)], dim=1)
    anchor = labels == numbers[:, 0].view(-1, 1, 1).to(labels.dtype)
    grid, inside, scale = _frame(store.sizes[photos], anchor, size, augmentation, draw)
    pixels = F.grid_sample(
        store.pixels[photos].float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    masks = (labels.unsqueeze(1) == numbers.view(batch, -1, 1, 1).to(labels.dtype)).float()
    full = masks.sum((2, 3)) * scale.view(-1, 1) ** 2
    void = (labels == VOID).float().unsqueeze(1)
    sampled = F.grid_sample(torch.cat([masks, void], 1), grid, mode="bilinear", align_corners=False)
    masks, void = sampled[:, :prompts] * inside, sampled[:, prompts:]
    unseen = masks.sum((2, 3)) < _MIN_SEEN * full
    masks = torch.where(unseen.view(batch, -1, 1, 1), masks[:, :1], masks)
    if prompts > 1:
        both = draw.happens(batch, augmentation.union) & ~unseen[:, -1]
        joined = torch.maximum(masks[:, -1], masks[:, 0])
        masks[:, -1] = torch.where(both.view(-1, 1, 1), joined, masks[:, -1])
    known = ((void < 0.01).float() * inside).expand(-1, prompts, -1, -1)
    pixels, masks, known = _paste(pixels, masks, known, inside, augmentation, draw)
    pixels, inside, masks, known = _mosaic(pixels, inside, masks, known, augmentation, draw)
    targets = F.avg_pool2d(masks, size // LOW_RES)
    valid = (F.avg_pool2d(known, size // LOW_RES) > 0.99).float()
    usable = ((targets > 0.5) & (valid > 0)).float().mean((2, 3)) > _MIN_SHARE
    return Views(_recolour(pixels, draw), inside, targets, valid, usable)


def _frame(
    sizes: torch.Tensor, anchor: torch.Tensor, size: int, augmentation: Augmentation, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Choose what each view shows: sampling grid B×S×S×2, frame B×1×S×S, scale B."""
    batch = len(sizes)
    height, width = sizes[:, 0].float(), sizes[:, 1].float()
    low, high = (math.log(bound) for bound in augmentation.zoom)
    whole = draw.happens(batch, augmentation.whole)
    scale = torch.where(whole, torch.ones(batch, device=draw.device), draw.uniform(batch, low=low, high=high).exp())
    shown_h, shown_w = ((side * scale).round().clamp(1, size) for side in (height, width))
    x, y, _ = draw.pixel(anchor)

    def offset(place: torch.Tensor, side: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        begin = place * scale - shown * draw.uniform(batch, low=0.2, high=0.8)
        return torch.minimum(begin.clamp(min=0), (side * scale - shown).clamp(min=0))

    left, top = offset(x, width, shown_w), offset(y, height, shown_h)
    angle = draw.normal(batch) * math.radians(augmentation.turn_degrees) * draw.happens(batch, augmentation.turn)
    angle = torch.where(whole, torch.zeros_like(angle), angle)
    mirror = torch.where(draw.happens(batch, 0.5), -1.0, 1.0)
    centres = torch.arange(size, device=draw.device) + 0.5
    # around the middle of the frame: turned, mirrored, then back to the photo's own pixels
    dx = (centres.view(1, 1, -1) - shown_w.view(-1, 1, 1) / 2) * mirror.view(-1, 1, 1)
    dy = centres.view(1, -1, 1) - shown_h.view(-1, 1, 1) / 2
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    source_x = (cos * dx - sin * dy + (left + shown_w / 2).view(-1, 1, 1)) / scale.view(-1, 1, 1)
    source_y = (sin * dx + cos * dy + (top + shown_h / 2).view(-1, 1, 1)) / scale.view(-1, 1, 1)
    inside = (centres < shown_h.view(-1, 1)).unsqueeze(2) & (centres < shown_w.view(-1, 1)).unsqueeze(1)

    def mirrored(place: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        # what a turned frame shows beyond the photo is the photo mirrored, unknown to the targets
        side = side.view(-1, 1, 1)
        return side - (side - place.abs()).abs()

    beyond = (source_x < 0) | (source_y < 0) | (source_x > width.view(-1, 1, 1)) | (source_y > height.view(-1, 1, 1))
    inside = (inside & ~beyond).float().unsqueeze(1)
    grid = torch.stack([mirrored(source_x, width), mirrored(source_y, height)], dim=-1) * (2 / size) - 1
    return grid, inside, scale


def _paste(
    pixels: torch.Tensor,
    masks: torch.Tensor,
    known: torch.Tensor,
    inside: torch.Tensor,
    augmentation: Augmentation,
    draw: Draw,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Put the next view's first object over some of the views: clutter, occlusion, and another thing to click."""
    batch, prompts = masks.shape[:2]
    over = masks[:, :1].roll(1, 0) * inside
    fits = (over.mean((1, 2, 3)) < 0.45) & (over.mean((1, 2, 3)) > 2 * _MIN_SHARE)
    over = over * (draw.happens(batch, augmentation.paste) & fits).view(-1, 1, 1, 1)
    soft = torch.minimum(F.avg_pool2d(over, 3, stride=1, padding=1), over)
    pixels = soft * pixels.roll(1, 0) + (1 - soft) * pixels
    left = masks * (1 - over)
    area = masks.sum((2, 3)).clamp(min=1)
    pasted = over.flatten(1).any(1).unsqueeze(1)
    swap = pasted & ((left.sum((2, 3)) < 0.4 * area) | (draw.uniform(batch, prompts) < 0.35))
    masks = torch.where(swap.view(batch, prompts, 1, 1), over.expand_as(left), left)
    known = torch.where(
        swap.view(batch, prompts, 1, 1), inside.expand_as(known), torch.maximum(known, (over > 0.5).float())
    )
    return pixels, masks, known


def _mosaic(
    pixels: torch.Tensor,
    inside: torch.Tensor,
    masks: torch.Tensor,
    known: torch.Tensor,
    augmentation: Augmentation,
    draw: Draw,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Show some of the views at half their size beside three others: small objects among other things."""
    chosen = torch.nonzero(draw.happens(len(pixels), augmentation.mosaic)).flatten()
    if not len(chosen):
        return pixels, inside, masks, known
    half = pixels.shape[-1] // 2
    small, framed, targets, certain = (F.avg_pool2d(x, 2) for x in (pixels, inside, masks, known))
    pixels, inside, masks, known = pixels.clone(), inside.clone(), masks.clone(), known.clone()
    own = int(draw.uniform(1) * 4)
    masks[chosen], known[chosen], inside[chosen] = 0, 0, 0
    for place in range(4):
        rows = slice(place // 2 * half, (place // 2 + 1) * half)
        columns = slice(place % 2 * half, (place % 2 + 1) * half)
        source = (chosen + (place - own)) % len(small)
        pixels[chosen, :, rows, columns] = small[source]
        inside[chosen, :, rows, columns] = framed[source].round()
        known[chosen, :, rows, columns] = framed[source].round().expand(-1, known.shape[1], -1, -1)
        if place == own:
            masks[chosen, :, rows, columns] = targets[chosen]
            known[chosen, :, rows, columns] = (certain[chosen] > 0.99).float()
    return pixels, inside, masks, known


def _recolour(pixels: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Vary exposure, contrast, colour, sharpness and noise of B×3×H×W sRGB 0..255."""
    batch = len(pixels)

    def per_photo(low: float, high: float, probability: float) -> torch.Tensor:
        change = draw.uniform(batch, low=low, high=high)
        changed = torch.where(draw.happens(batch, probability), change, torch.ones_like(change))
        return changed.view(-1, 1, 1, 1)

    blurred = _blur(pixels, draw.uniform(batch, low=0.4, high=1.8))
    pixels = torch.where(draw.happens(batch, 0.2).view(-1, 1, 1, 1), blurred, pixels)
    grey = pixels.mean(1, keepdim=True)
    colour = per_photo(0.5, 1.4, 0.8) * (~draw.happens(batch, 0.05)).view(-1, 1, 1, 1)
    pixels = grey + (pixels - grey) * colour
    mean = pixels.mean((1, 2, 3), keepdim=True)
    pixels = (pixels - mean) * per_photo(0.65, 1.35, 0.8) + mean * per_photo(0.65, 1.35, 0.8)
    pixels = pixels * draw.uniform(batch, 3, 1, 1, low=0.9, high=1.1)
    noise = draw.uniform(batch, 1, 1, 1, high=10.0) * draw.happens(batch, 0.25).view(-1, 1, 1, 1)
    return (pixels + noise * draw.normal(*pixels.shape)).clamp(0, 255)


def _blur(pixels: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """Gaussian blur of B×3×H×W by B standard deviations, pixels, below 2."""
    taps = torch.arange(-5, 6, device=pixels.device).float()
    kernel = torch.exp(-(taps**2) / (2 * sigmas.view(-1, 1) ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    maps = pixels.flatten(0, 1).unsqueeze(0)
    maps = F.conv2d(F.pad(maps, (0, 0, 5, 5), mode="replicate"), kernel.view(-1, 1, 11, 1), groups=len(kernel))
    maps = F.conv2d(F.pad(maps, (5, 5, 0, 0), mode="replicate"), kernel.view(-1, 1, 1, 11), groups=len(kernel))
    return maps.view_as(pixels)
