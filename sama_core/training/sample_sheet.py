"""Contact sheets of a training run: what was asked, what was wanted, what came."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sama_core.training.prompts import SimulatedPrompt
from sama_core.training.samples import ViewSample

_SIDE = 320


def write_sheet(
    path: Path, samples: list[ViewSample], answers: np.ndarray, prompts: list[SimulatedPrompt]
) -> np.ndarray:
    """Write one row for each sample: picture with prompt, target, answer, and the answer over green.

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
    sheet = np.vstack(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), sheet[..., ::-1])
    return sheet
