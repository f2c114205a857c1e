"""Batches of training views: photos scaled, turned, cropped, pasted into one another and recoloured, on any device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from sama_core.data.photo_store import PhotoStore
from sama_core.data.sets import VOID
from sama_core.data.simulated_user import Draw
from sama_core.images import LOW_RES
from sama_core.training.drawn_shapes import draw_shape

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
        repeat: its first target shown a second time, mirrored or not, next to itself, behind or in front: like beside
            like, of which one is meant.
        shapes: a drawn lattice, wheel, twig or the like put over it, textured by another photo.
        mosaic: at half its size beside three other photos.
        union: of the last target with another object of its photo.
    """

    whole: float = 0.45
    zoom: tuple[float, float] = (0.75, 2.2)
    turn: float = 0.25
    turn_degrees: float = 8.0
    paste: float = 0.25
    repeat: float = 0.2
    shapes: float = 0.12
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
        others: B×P×256×256 bool, other things that are known to be none of the target.
    """

    pixels: torch.Tensor
    inside: torch.Tensor
    targets: torch.Tensor
    valid: torch.Tensor
    usable: torch.Tensor
    others: torch.Tensor


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
    void = (labels == VOID).unsqueeze(1)
    objects = (labels > 0).unsqueeze(1) & ~void
    maps = torch.cat([masks, objects.float(), void.float()], 1)
    sampled = F.grid_sample(maps, grid, mode="bilinear", align_corners=False)
    masks, things, void = sampled[:, :prompts] * inside, sampled[:, prompts:-1] * inside, sampled[:, -1:]
    unseen = masks.sum((2, 3)) < _MIN_SEEN * full
    masks = torch.where(unseen.view(batch, -1, 1, 1), masks[:, :1], masks)
    if prompts > 1:
        both = draw.happens(batch, augmentation.union) & ~unseen[:, -1]
        joined = torch.maximum(masks[:, -1], masks[:, 0])
        masks[:, -1] = torch.where(both.view(-1, 1, 1), joined, masks[:, -1])
    known = ((void < 0.01).float() * inside).expand(-1, prompts, -1, -1)
    scene = _Scene(pixels, inside, masks, known, things)
    _repeat(scene, augmentation, draw)
    _paste(scene, augmentation, draw)
    _put_shapes(scene, augmentation, draw)
    _mosaic(scene, augmentation, draw)
    pixels, inside, masks, known = scene.pixels, scene.inside, scene.masks, scene.known
    targets = F.avg_pool2d(masks, size // LOW_RES)
    valid = (F.avg_pool2d(known, size // LOW_RES) > 0.99).float()
    usable = ((targets > 0.5) & (valid > 0)).float().mean((2, 3)) > _MIN_SHARE
    others = (F.avg_pool2d(scene.things, size // LOW_RES) > 0.5) & (targets < 0.01) & (valid > 0)
    return Views(_recolour(pixels, draw), inside, targets, valid, usable, others)


@dataclass
class _Scene:
    """Views in the making, at S×S: pictures, frames, targets, where they are known, and all things marked or put in."""

    pixels: torch.Tensor
    inside: torch.Tensor
    masks: torch.Tensor
    known: torch.Tensor
    things: torch.Tensor

    def cover(self, over: torch.Tensor, pixels: torch.Tensor, draw: Draw, share: float) -> None:
        """Put things (B×1×S×S coverage, B×3×S×S colours) over all else. They become the target of those that they
        leave too little of, and of a share of the others."""
        batch, prompts = self.masks.shape[:2]
        soft = torch.minimum(F.avg_pool2d(over, 3, stride=1, padding=1), over)
        self.pixels = soft * pixels + (1 - soft) * self.pixels
        left = self.masks * (1 - over)
        area = self.masks.sum((2, 3)).clamp(min=1)
        put = over.flatten(1).any(1).unsqueeze(1)
        swap = put & ((left.sum((2, 3)) < 0.4 * area) | (draw.uniform(batch, prompts) < share))
        swap = swap.view(batch, prompts, 1, 1)
        self.masks = torch.where(swap, over.expand_as(left), left)
        known = torch.maximum(self.known, (over > 0.5).float())
        self.known = torch.where(swap, self.inside.expand_as(known), known)
        self.things = torch.maximum(self.things, over)


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


def _paste(scene: _Scene, augmentation: Augmentation, draw: Draw) -> None:
    """Put the next view's first object over some of the views: clutter, occlusion, and another thing to click."""
    over = scene.masks[:, :1].roll(1, 0) * scene.inside
    share = over.mean((1, 2, 3))
    chosen = draw.happens(len(over), augmentation.paste) & (share < 0.45) & (share > 2 * _MIN_SHARE)
    scene.cover(over * chosen.view(-1, 1, 1, 1), scene.pixels.roll(1, 0), draw, 0.35)


def _repeat(scene: _Scene, augmentation: Augmentation, draw: Draw) -> None:
    """Show the first target of some of the views twice."""
    first = scene.masks[:, :1]
    batch, size = len(first), first.shape[-1]
    area = first.sum((1, 2, 3))
    fits = (area < 0.3 * size**2) & (area > 2 * _MIN_SHARE * size**2)
    chosen = draw.happens(batch, augmentation.repeat) & fits
    places = torch.arange(size, device=draw.device).float()
    weights = first[:, 0] / area.clamp(min=1).view(-1, 1, 1)
    middle = torch.stack([(weights.sum(1) * places).sum(1), (weights.sum(2) * places).sum(1)], 1)
    seen = torch.stack([(first[:, 0] > 0.5).any(axis).sum(1) for axis in (1, 2)], 1)
    angle = draw.uniform(batch, high=2 * math.pi)
    away = torch.stack([angle.cos(), angle.sin()], 1) * seen * draw.uniform(batch, 1, low=0.5, high=1.0)
    zoom = draw.uniform(batch, low=0.8, high=1.2).view(-1, 1, 1)
    mirror = torch.where(draw.happens(batch, 0.5), -1.0, 1.0).view(-1, 1, 1)
    x, y = (middle[:, axis].view(-1, 1, 1) for axis in (0, 1))
    across, down = (away[:, axis].view(-1, 1, 1) for axis in (0, 1))
    source_x = x + mirror * (places.view(1, 1, -1) - x - across) / zoom
    source_y = y + (places.view(1, -1, 1) - y - down) / zoom
    grid = torch.stack(torch.broadcast_tensors(source_x, source_y), -1) * (2 / size) + (1 / size - 1)
    sampled = F.grid_sample(torch.cat([first, scene.pixels], 1), grid, mode="bilinear", align_corners=False)
    over = sampled[:, :1] * scene.inside
    behind = draw.happens(batch, 0.5).view(-1, 1, 1, 1)
    over = torch.where(behind, over * (1 - first), over)
    chosen &= over.sum((1, 2, 3)) > 0.35 * area
    pixels = sampled[:, 1:] * draw.uniform(batch, 3, 1, 1, low=0.85, high=1.15)
    scene.cover(over * chosen.view(-1, 1, 1, 1), pixels.clamp(0, 255), draw, 0.35)


def _put_shapes(scene: _Scene, augmentation: Augmentation, draw: Draw) -> None:
    """Put drawn shapes over some of the views, lit evenly and textured by the view before the last."""
    batch, size = len(scene.masks), scene.masks.shape[-1]
    chosen = draw.happens(batch, augmentation.shapes)
    seeds = (draw.uniform(batch) * 2**31).long().tolist()
    over = torch.zeros_like(scene.inside)
    for number in torch.nonzero(chosen).flatten().tolist():
        over[number, 0] = torch.from_numpy(draw_shape(size, np.random.default_rng(seeds[number])))
    over = over * scene.inside
    colour = draw.uniform(batch, 3, 1, 1, high=255.0)
    texture = draw.uniform(batch, 1, 1, 1, high=0.8)
    scene.cover(over, texture * scene.pixels.roll(2, 0) + (1 - texture) * colour, draw, 0.6)


def _mosaic(scene: _Scene, augmentation: Augmentation, draw: Draw) -> None:
    """Show some of the views at half their size beside three others: small objects among other things."""
    chosen = torch.nonzero(draw.happens(len(scene.pixels), augmentation.mosaic)).flatten()
    if not len(chosen):
        return
    half = scene.pixels.shape[-1] // 2
    pixels, inside, masks, known, things = (
        F.avg_pool2d(x, 2) for x in (scene.pixels, scene.inside, scene.masks, scene.known, scene.things)
    )
    own = int(draw.uniform(1) * 4)
    scene.masks[chosen] = 0
    for place in range(4):
        rows = slice(place // 2 * half, (place // 2 + 1) * half)
        columns = slice(place % 2 * half, (place % 2 + 1) * half)
        source = (chosen + (place - own)) % len(pixels)
        framed = inside[source].round()
        scene.pixels[chosen, :, rows, columns] = pixels[source]
        scene.inside[chosen, :, rows, columns] = framed
        scene.things[chosen, :, rows, columns] = things[source]
        scene.known[chosen, :, rows, columns] = framed.expand(-1, known.shape[1], -1, -1)
        if place == own:
            scene.masks[chosen, :, rows, columns] = masks[chosen]
            scene.known[chosen, :, rows, columns] = (known[chosen] > 0.99).float()


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
