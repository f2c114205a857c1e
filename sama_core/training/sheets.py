"""Contact sheets of a training run: what was asked, what was wanted, what came."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from sama_core.data.simulated_user import Prompts
from sama_core.training.prompts import SimulatedPrompt
from sama_core.training.samples import ViewSample
from sama_core.training.views_of_photos import Views

_SIDE = 320


def modules_sheet(samples: list[ViewSample], answers: np.ndarray, prompts: list[SimulatedPrompt]) -> np.ndarray:
    """Draw one row for each sample: picture with prompt, target, answer, and the answer over green.

    Args:
        answers: B×T×T float32 in 0..1.
        prompts: in model-input pixels, half the scale of a sample's pixels.

    Returns:
        The sheet, H×W×3 uint8 RGB.
    """
    rows = []
    for sample, answer, prompt in zip(samples, answers, prompts, strict=True):
        side = sample.pixels.shape[0]
        marked = sample.pixels.copy()
        for (x, y), label in zip(prompt.points, prompt.labels, strict=True):
            cv2.circle(marked, (round(2 * x), round(2 * y)), side // 80, (60, 140, 255) if label else (255, 40, 40), -1)
        if prompt.box is not None:
            x0, y0, x1, y1 = (round(2 * float(v)) for v in prompt.box)
            cv2.rectangle(marked, (x0, y0), (x1, y1), (255, 220, 0), side // 200)
        alpha = cv2.resize(answer, (side, side))[..., None]
        over = sample.pixels * alpha + np.array((0, 170, 60), np.float32) * (1 - alpha)
        grey = [np.repeat(m[..., None], 3, axis=2) for m in (sample.target, np.rint(answer * 255).astype(np.uint8))]
        cells = [marked, *grey, over.astype(np.uint8)]
        rows.append(np.hstack([cv2.resize(c, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for c in cells]))
    return np.vstack(rows)


def small_sam_sheet(views: Views, asked: list[int], answers: list[tuple[Prompts, torch.Tensor]]) -> np.ndarray:
    """Draw the first photos of a step, a row for each question: target green, answer yellow, clicks blue and red.

    Returns:
        The sheet, H×W×3 uint8 RGB.
    """
    rows = []
    for number, (prompts, logits) in zip(asked, answers, strict=True):
        tiles = []
        for i in range(min(8, len(logits))):
            picture = views.pixels[i].permute(1, 2, 0).to(torch.uint8).cpu().numpy().copy()
            size = picture.shape[0]
            for mask, colour in ((views.targets[i, number] - 0.5, (0, 255, 0)), (logits[i], (255, 255, 0))):
                drawn = cv2.resize(mask.float().cpu().numpy(), (size, size)) > 0
                contours, _ = cv2.findContours(drawn.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(picture, contours, -1, colour, 2)
            for (px, py), label in zip(prompts.points[i].tolist(), prompts.labels[i].tolist(), strict=True):
                if label >= 0:
                    cv2.circle(picture, (round(px), round(py)), 6, (0, 80, 255) if label else (255, 0, 0), -1)
            tiles.append(cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA))
        rows.append(np.hstack(tiles))
    return np.vstack(rows)
