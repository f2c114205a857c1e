"""What answers the robot user: the engine, and OpenCV's GrabCut given the same clicks or box."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from sama_core.inference.embedding_cache import EmbeddingCache
from sama_core.inference.engine import Engine
from sama_core.model.views import QUADRANTS
from sama_core.prompts import Prompt


class Segmenter(Protocol):
    """Holds one photo and answers a growing list of clicks, or a box, with a mask."""

    name: str

    def begin(self, rgb: np.ndarray) -> None:
        """Take H×W×3 uint8."""

    def click(self, points: list[tuple[float, float]], labels: list[int]) -> np.ndarray:
        """Answer all clicks so far, of which the last is new: H×W bool."""
        ...

    def box(self, box: tuple[float, float, float, float]) -> np.ndarray:
        """Answer a box: H×W bool."""
        ...


class EngineSegmenter:
    """The product's own way: `Engine.select` at full resolution, the previous logits as prompt of the next click.

    Args:
        model, device, weights, adapter: as for `Engine`.
    """

    def __init__(self, model: str, device: str, weights: Path | None = None, adapter: Path | None = None) -> None:
        self.name = f"SAMA {model}"
        # one photo at a time: its overview and its quadrants, and those of the crop of a second look
        self._engine = Engine(model, device, EmbeddingCache(None, ram_entries=2 * (QUADRANTS + 1)), weights, adapter)
        self._logits: np.ndarray | None = None

    def begin(self, rgb: np.ndarray) -> None:
        """Encode the photo."""
        self._engine.set_image(rgb)
        self._logits = None

    def click(self, points: list[tuple[float, float]], labels: list[int]) -> np.ndarray:
        """Answer the clicks."""
        answer = self._engine.select(Prompt(points, labels, low_res_logits=self._logits))
        self._logits = answer.low_res_logits
        return answer.alpha > 127

    def box(self, box: tuple[float, float, float, float]) -> np.ndarray:
        """Answer the box."""
        return self._engine.select(Prompt(box=box)).alpha > 127


class GrabCut:
    """OpenCV's GrabCut (Rother et al. 2004), five iterations.

    Clicks are sure foreground and background in a disk around them, as in a user's first strokes. With exclude clicks
    still missing GrabCut has no background at all, so the outermost pixels of the photo are background too; all else is
    probably foreground within `reach` of an include click and probably background beyond.
    """

    name = "GrabCut"

    def __init__(self, disk: float = 0.015, reach: float = 0.1, iterations: int = 5) -> None:
        self._disk, self._reach, self._iterations = disk, reach, iterations
        self._bgr = np.zeros((0, 0, 3), np.uint8)

    def begin(self, rgb: np.ndarray) -> None:
        """Keep the photo."""
        self._bgr = np.ascontiguousarray(rgb[..., ::-1])

    def click(self, points: list[tuple[float, float]], labels: list[int]) -> np.ndarray:
        """Answer the clicks."""
        height, width = self._bgr.shape[:2]
        side = max(height, width)
        seeds = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
        for point, label in zip(points, labels, strict=True):
            if label:
                cv2.circle(seeds, _pixel(point), round(self._reach * side), cv2.GC_PR_FGD, -1)
        seeds[:2], seeds[-2:], seeds[:, :2], seeds[:, -2:] = (cv2.GC_BGD,) * 4
        for point, label in zip(points, labels, strict=True):
            cv2.circle(seeds, _pixel(point), max(2, round(self._disk * side)), cv2.GC_FGD if label else cv2.GC_BGD, -1)
        return self._cut(seeds, None, cv2.GC_INIT_WITH_MASK)

    def box(self, box: tuple[float, float, float, float]) -> np.ndarray:
        """Answer the box."""
        x0, y0, x1, y1 = (round(v) for v in box)
        seeds = np.zeros(self._bgr.shape[:2], np.uint8)
        if (x1 - x0, y1 - y0) >= (self._bgr.shape[1], self._bgr.shape[0]):
            # a box over the whole photo would leave GrabCut without background
            x0, y0, x1, y1 = 1, 1, x1 - 1, y1 - 1
        return self._cut(seeds, (x0, y0, x1 - x0, y1 - y0), cv2.GC_INIT_WITH_RECT)

    def _cut(self, seeds: np.ndarray, rectangle: tuple[int, int, int, int] | None, mode: int) -> np.ndarray:
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(self._bgr, seeds, rectangle, *models, self._iterations, mode)  # type: ignore[call-overload]
        return (seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)


def _pixel(point: tuple[float, float]) -> tuple[int, int]:
    return int(point[0]), int(point[1])
