"""Simulated users: the first prompt on an object, and corrective clicks where an answer is wrong.

All coordinates are model-input pixels; masks are on the decoder's 256×256 grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from sama_core.data.simulated_user import depth_of, next_click
from sama_core.images import LOW_RES
from sama_core.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, EXCLUDE, INCLUDE, PAD, REGION_LOGIT


@dataclass
class SimulatedPrompt:
    """What the user has given so far for one object."""

    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    box: np.ndarray | None = None
    mask_logits: np.ndarray | None = None


def first_prompt(target: np.ndarray, valid: np.ndarray, size: int, rng: np.random.Generator) -> SimulatedPrompt:
    """Draw a first prompt on a 256×256 bool target: one click (most often), several clicks, a jittered box, or a
    rough region."""
    prompt = SimulatedPrompt()
    kind = rng.choice(4, p=(0.46, 0.12, 0.3, 0.12))
    scale = size / LOW_RES
    if kind in (0, 1):
        depth = depth_of(target)
        count = 1 if kind == 0 else int(rng.integers(2, 9))
        for i in range(count):
            positive = i == 0 or rng.random() < 0.6
            if positive:
                where = depth >= rng.uniform(0.15, 0.9) * depth.max()
            else:
                where = ~cv2.dilate(target.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & valid
            ys, xs = np.nonzero(where)
            if len(ys):
                pick = rng.integers(len(ys))
                prompt.points.append(((xs[pick] + 0.5) * scale, (ys[pick] + 0.5) * scale))
                prompt.labels.append(INCLUDE if positive else EXCLUDE)
        return prompt
    ys, xs = np.nonzero(target)
    box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32)
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    if rng.random() < 0.8:
        box = np.clip(box + np.clip(rng.normal(0, 0.06, 4), -0.15, 0.15) * sides, 0, LOW_RES)
    prompt.box = box * scale
    if kind == 3:
        prompt.mask_logits = rough_region(target, rng)
        if rng.random() < 0.3:
            prompt.box = None
    return prompt


def correct(
    prompts: list[SimulatedPrompt],
    answers: np.ndarray,
    truth: np.ndarray,
    valid: np.ndarray,
    size: int,
    rng: np.random.Generator,
) -> None:
    """Let the users see their answers and click where they are wrong; the answer becomes the next mask prompt.

    Args:
        prompts: changed in place.
        answers: B×256×256 float32 logits.
        truth, valid: B×256×256 bool.
        size: side of the model input.
    """
    scale = size / answers.shape[-1]
    for i, prompt in enumerate(prompts):
        click = next_click(truth[i], answers[i] > 0, valid[i], rng)
        if click is not None:
            prompt.points.append((click[0] * scale, click[1] * scale))
            prompt.labels.append(click[2])
        prompt.mask_logits = answers[i]


def hq_sam_prompt(target: np.ndarray, valid: np.ndarray, size: int, rng: np.random.Generator) -> SimulatedPrompt:
    """Draw a prompt as HQ-SAM's training does (Ke et al. 2023): tight box, include clicks or noisy mask, uniformly.

    HQ-SAM clicks ten times; here it is one to ten. Its noise sits where the coarse mask differs from the mask.

    Args:
        target, valid: 256×256 bool.
        size: side of the model input.
    """
    prompt = SimulatedPrompt()
    scale = size / LOW_RES
    ys, xs = np.nonzero(target)
    kind = rng.integers(3)
    if kind == 0:
        prompt.box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32) * scale
    elif kind == 1:
        for pick in rng.integers(len(ys), size=int(rng.integers(1, 11))):
            prompt.points.append((float(xs[pick] + 0.5) * scale, float(ys[pick] + 0.5) * scale))
            prompt.labels.append(INCLUDE)
    else:
        mask = target.astype(np.float32)
        coarse = cv2.resize(mask, (LOW_RES // 8, LOW_RES // 8), interpolation=cv2.INTER_LINEAR)
        coarse = cv2.resize(coarse, (LOW_RES, LOW_RES), interpolation=cv2.INTER_LINEAR)
        noise = rng.normal(0, 1, mask.shape) * (np.abs(mask - coarse) >= 0.01)
        prompt.mask_logits = np.where(mask + noise > 0.5, REGION_LOGIT, -REGION_LOGIT).astype(np.float32)
    return prompt


def rough_region(target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A hand-drawn region around a 256×256 bool target, as logits: grown or shrunk, wobbly, sometimes its convex
    hull."""
    mask = target.astype(np.uint8)
    if rng.random() < 0.3:
        hull = cv2.convexHull(np.argwhere(mask)[:, ::-1].astype(np.int32))
        mask = cv2.fillConvexPoly(np.zeros_like(mask), hull, 1)
    wobble = cv2.GaussianBlur(rng.normal(0, 1, mask.shape).astype(np.float32), (0, 0), float(rng.uniform(6, 14)))
    wobble /= wobble.std() + 1e-6
    reach = max(2.0, 0.12 * float(np.sqrt(mask.sum())))
    signed = depth_of(mask) - depth_of(1 - mask)
    drawn = signed + reach * (0.5 * wobble + rng.uniform(-0.5, 1.2)) > 0
    if not drawn.any():
        drawn = mask.astype(bool)
    return np.where(drawn, REGION_LOGIT, -REGION_LOGIT).astype(np.float32)


def to_arrays(prompts: list[SimulatedPrompt]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Batch prompts: points B×N×2 float32, labels B×N int64 (PAD filled), mask logits B×1×256×256 float32,
    has_mask B bool."""
    rows = []
    for prompt in prompts:
        row = list(zip(prompt.points, prompt.labels, strict=True))
        if prompt.box is None:
            row.append(((0.0, 0.0), PAD))
        else:
            x0, y0, x1, y1 = (float(v) for v in prompt.box)
            row += [((x0, y0), BOX_TOP_LEFT), ((x1, y1), BOX_BOTTOM_RIGHT)]
        rows.append(row)
    longest = max(len(row) for row in rows)
    rows = [row + [((0.0, 0.0), PAD)] * (longest - len(row)) for row in rows]
    points = np.array([[point for point, _ in row] for row in rows], np.float32)
    labels = np.array([[label for _, label in row] for row in rows], np.int64)
    empty = np.zeros((LOW_RES, LOW_RES), np.float32)
    masks = np.stack([empty if p.mask_logits is None else p.mask_logits for p in prompts])[:, None]
    return points, labels, masks.astype(np.float32), np.array([p.mask_logits is not None for p in prompts])
