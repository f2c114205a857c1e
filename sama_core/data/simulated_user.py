"""The simulated user: first prompts on an object, and clicks where an answer is wrong.

Training plays whole batches of users on any device, on the decoder's 256×256 grid, in model-input pixels; evaluation
plays one at a time on the photo itself (`next_click`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from sama_core.images import LOW_RES
from sama_core.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, EXCLUDE, INCLUDE, PAD, REGION_LOGIT

Kind = Literal["click", "clicks", "neighbour", "box", "region"]
#: Distances are exact up to so many cells; deeper inside an object one place is as good as another.
_FAR = 64
#: Share of the first clicks that lie anywhere on the object, its very edge included, as some of real users' do.
_ANYWHERE = 0.3


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


@dataclass
class Prompts:
    """What each of B users has given so far; all have given as many points.

    Attributes:
        points: B×N×2 float32, labels: B×N int64 as in `labels.py`.
        logits: B×1×256×256 float32 mask prompts, has_mask: B bool.
    """

    points: torch.Tensor
    labels: torch.Tensor
    logits: torch.Tensor
    has_mask: torch.Tensor

    def arguments(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """In the order of `PromptableSam.embed_prompts`."""
        return self.points, self.labels, self.logits, self.has_mask


def distance(masks: torch.Tensor) -> torch.Tensor:
    """Euclidean distance of each pixel of B×H×W bool masks to the mask's outside, at most 64; the picture's border
    counts as outside."""
    if masks.device.type == "cpu":
        depths = [
            cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
            for mask in masks.numpy()
        ]
        return torch.from_numpy(np.stack(depths)).clamp_(max=_FAR)
    return _distance_by_rows(masks)


def _distance_by_rows(masks: torch.Tensor) -> torch.Tensor:
    """Along rows, then the lower envelope over columns (Felzenszwalb & Huttenlocher 2012, by brute force)."""
    padded = F.pad(masks, (1, 1, 1, 1))
    columns = torch.arange(padded.shape[-1], device=masks.device)
    outside = torch.where(padded, -_FAR, columns)
    left = columns - outside.cummax(-1).values
    outside = torch.where(padded.flip(-1), -_FAR, columns)
    right = (columns - outside.cummax(-1).values).flip(-1)
    row = torch.minimum(left, right).clamp(max=_FAR).float().square()
    tall = F.pad(row, (0, 0, _FAR, _FAR), value=float(_FAR**2))
    height = row.shape[-2]
    squared = row.clone()
    for shift in range(-_FAR, _FAR + 1):
        torch.minimum(squared, tall[:, _FAR + shift : _FAR + shift + height] + shift**2, out=squared)
    return squared.sqrt()[:, 1:-1, 1:-1]


def first_prompts(
    kind: Kind,
    targets: torch.Tensor,
    valid: torch.Tensor,
    size: int,
    draw: Draw,
    clicks: int = 1,
    others: torch.Tensor | None = None,
) -> Prompts:
    """Draw a first prompt of one kind on each of B×256×256 bool targets.

    Args:
        kind: a click; `clicks` clicks, some of them beside the object; a click on the object and an exclude click on
            another one, or beside it where there is none; a box jittered by up to 15 %; or a rough region, with its
            box or without.
        size: side of the model input.
        others: B×256×256 bool, other things, which two in five of the exclude clicks take.
    """
    batch, scale = len(targets), size / LOW_RES
    empty = torch.zeros(batch, 1, LOW_RES, LOW_RES, device=targets.device)
    without = torch.zeros(batch, dtype=torch.bool, device=targets.device)
    prompts = Prompts(
        torch.zeros(batch, 0, 2, device=targets.device),
        torch.zeros(batch, 0, dtype=torch.int64, device=targets.device),
        empty,
        without,
    )
    if kind in ("click", "clicks", "neighbour"):
        depth = distance(targets)
        peak = depth.amax((1, 2), keepdim=True)
        beside = ~_grown(targets, 2) & valid
        near = beside & _grown(targets, 20)
        others = torch.zeros_like(targets) if others is None else others & ~targets & valid
        crowded = others.flatten(1).any(1)
        for number in range({"click": 1, "neighbour": 2}.get(kind, clicks)):
            deep = ~draw.happens(batch, _ANYWHERE).view(-1, 1, 1)
            inner = depth >= draw.uniform(batch, 1, 1, low=0.15, high=0.95) * peak * deep
            include = draw.happens(batch, 1.0 if number == 0 else 0.0 if kind == "neighbour" else 0.6)
            outer = torch.where(draw.happens(batch, 0.6).view(-1, 1, 1), near, beside)
            taken = crowded & draw.happens(batch, 1.0 if kind == "neighbour" else 0.4)
            outer = torch.where(taken.view(-1, 1, 1), others, outer)
            x, y, found = draw.pixel(torch.where(include.view(-1, 1, 1), inner & targets, outer))
            label = torch.where(include, INCLUDE, EXCLUDE)
            _add_click(prompts, x, y, torch.where(found, label, PAD), scale)
        _add(prompts, torch.zeros(batch, 1, 2, device=targets.device), [PAD])
        return prompts
    box = _boxes(targets).float()
    sides = (box[:, 2:] - box[:, :2]).repeat(1, 2)
    jitter = (0.06 * draw.normal(batch, 4)).clamp(-0.15, 0.15) * draw.happens(batch, 0.8).view(-1, 1)
    box = (box + jitter * sides).clamp(0, LOW_RES) * scale
    if kind == "region":
        prompts.logits = _rough_regions(targets, draw)
        prompts.has_mask = ~without
    if kind == "region" and float(draw.uniform(1)) < 0.4:
        _add(prompts, torch.zeros(batch, 1, 2, device=targets.device), [PAD])
    else:
        _add(prompts, box.view(batch, 2, 2), [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT])
    return prompts


def correct(
    prompts: Prompts,
    logits: torch.Tensor,
    targets: torch.Tensor,
    valid: torch.Tensor,
    size: int,
    draw: Draw | None,
) -> torch.Tensor:
    """Let users see their answers, click where they are wrong, and hand the answers on as mask prompts.

    The robot user of RITM (Sofiiuk et al. 2022): the click lies in the error region that reaches deepest.

    Args:
        prompts: changed in place.
        logits: B×256×256 float32.
        targets, valid: B×256×256 bool.
        draw: where in the region; None clicks the deepest place (evaluation).

    Returns:
        B bool, who found something to click.
    """
    answers = logits > 0
    missed, extra = distance(targets & ~answers & valid), distance(~targets & answers & valid)
    include = missed.amax((1, 2)) > extra.amax((1, 2))
    depth = torch.where(include.view(-1, 1, 1), missed, extra)
    peak = depth.amax((1, 2), keepdim=True)
    if draw is None:
        place = depth.flatten(1).argmax(1)
        x, y = place % LOW_RES, place // LOW_RES
    else:
        x, y, _ = draw.pixel((depth >= draw.uniform(len(depth), 1, 1, low=0.1, high=1.0) * peak) & (depth > 0))
    found = peak.flatten() > 0
    _add_click(prompts, x, y, torch.where(found, torch.where(include, INCLUDE, EXCLUDE), PAD), size / LOW_RES)
    prompts.logits = logits.unsqueeze(1).float()
    prompts.has_mask = torch.ones_like(prompts.has_mask)
    return found


def _add(prompts: Prompts, points: torch.Tensor, labels: list[int]) -> None:
    told = torch.tensor(labels, device=points.device).expand(len(points), -1)
    prompts.points = torch.cat([prompts.points, points], 1)
    prompts.labels = torch.cat([prompts.labels, told], 1)


def _add_click(prompts: Prompts, x: torch.Tensor, y: torch.Tensor, labels: torch.Tensor, scale: float) -> None:
    # clicks go ahead of the box or the padding, as the engine puts them; SAM's tokens know no order
    point = (torch.stack([x, y], -1).float() + 0.5) * scale
    prompts.points = torch.cat([point.unsqueeze(1), prompts.points], 1)
    prompts.labels = torch.cat([labels.unsqueeze(1), prompts.labels], 1)


def _boxes(masks: torch.Tensor) -> torch.Tensor:
    """Tight boxes of B×H×W bool masks that are not empty: B×4 int64, the far corner exclusive."""
    columns, rows = masks.any(1).long(), masks.any(2).long()
    low_x, low_y = columns.argmax(1), rows.argmax(1)
    high_x, high_y = (side.shape[1] - side.flip(1).argmax(1) for side in (columns, rows))
    return torch.stack([low_x, low_y, high_x, high_y], 1)


def _grown(masks: torch.Tensor, radius: int) -> torch.Tensor:
    """Dilate by a square."""
    window = 2 * radius + 1
    maps = F.max_pool2d(masks.float().unsqueeze(1), (window, 1), stride=1, padding=(radius, 0))
    return F.max_pool2d(maps, (1, window), stride=1, padding=(0, radius)).squeeze(1) > 0


def _rough_regions(targets: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Hand-drawn regions around targets as B×1×256×256 logits: grown or shrunk, and wobbly."""
    batch = len(targets)
    wobble = F.interpolate(draw.normal(batch, 1, 20, 20), size=LOW_RES, mode="bicubic", align_corners=False).squeeze(1)
    reach = (0.12 * targets.sum((1, 2)).float().sqrt()).clamp(min=2).view(-1, 1, 1)
    signed = distance(targets) - distance(~targets)
    drawn = signed + reach * (0.5 * wobble + draw.uniform(batch, 1, 1, low=-0.5, high=1.2)) > 0
    drawn = torch.where(drawn.any(2).any(1).view(-1, 1, 1), drawn, targets)
    return torch.where(drawn, REGION_LOGIT, -REGION_LOGIT).float().unsqueeze(1)


def depth_of(mask: np.ndarray) -> np.ndarray:
    """Euclidean distance of each pixel of a 0/1 mask to the mask's outside; the picture's border counts as outside."""
    padded = np.pad(mask.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def next_click(
    target: np.ndarray, answer: np.ndarray, valid: np.ndarray, rng: np.random.Generator | None = None
) -> tuple[float, float, int] | None:
    """Where one user clicks next: the middle of the largest error region (Sofiiuk et al. 2022, RITM).

    Args:
        target, answer, valid: H×W bool.
        rng: None clicks the exact centre (evaluation); otherwise a random pixel well inside the region (training).

    Returns:
        (x, y, label) in pixels of the grid, or None when nothing is wrong.
    """
    missed, extra = depth_of(target & ~answer & valid), depth_of(~target & answer & valid)
    label, field_ = (INCLUDE, missed) if missed.max() > extra.max() else (EXCLUDE, extra)
    peak = float(field_.max())
    if peak <= 0:
        return None
    if rng is None:
        y, x = np.unravel_index(int(field_.argmax()), field_.shape)
    else:
        ys, xs = np.nonzero(field_ >= rng.uniform(0.3, 1.0) * peak)
        pick = rng.integers(len(ys))
        y, x = ys[pick], xs[pick]
    return float(x) + 0.5, float(y) + 0.5, label
