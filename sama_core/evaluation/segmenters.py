"""What answers the robot user: the engine, and what needs no model, given the same clicks.

Importing this module does not import torch, so that the memory of a process that runs a peer is the peer's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from sama_core.inference.upsampling import fit_size, shrink
from sama_core.prompts import Prompt

#: Radius of the disk that a click seeds, in long sides of the photo.
DISK = 0.015
#: Values of `click_seeds`; those of `skimage.segmentation.random_walker`.
UNKNOWN, INSIDE, OUTSIDE = 0, 1, 2
#: The random walker solves a larger photo at this long side, and brings its probabilities up.
_WALK_SIDE = 448


class ClickSegmenter(Protocol):
    """Holds one photo and answers a growing list of clicks with a mask."""

    name: str

    def begin(self, rgb: np.ndarray) -> None:
        """Take H×W×3 uint8."""

    def click(self, points: list[tuple[float, float]], labels: list[int]) -> np.ndarray:
        """Answer all clicks so far, of which the last is new: H×W bool."""
        ...


class Segmenter(ClickSegmenter, Protocol):
    """Answers a box too."""

    def box(self, box: tuple[float, float, float, float]) -> np.ndarray:
        """Answer a box: H×W bool."""
        ...


class EngineSegmenter:
    """The product's own way: `Engine.select` at full resolution with all clicks so far, as the plug-in sends them.

    Args:
        model, device, weights, adapter: as for `Engine`.
    """

    def __init__(self, model: str, device: str, weights: Path | None = None, adapter: Path | None = None) -> None:
        from sama_core.inference.embedding_cache import EmbeddingCache
        from sama_core.inference.engine import Engine
        from sama_core.model.views import QUADRANTS

        self.name = f"SAMA {model}"
        # one photo at a time: its overview and its quadrants, and those of the crop of a second look
        self._engine = Engine(model, device, EmbeddingCache(None, ram_entries=2 * (QUADRANTS + 1)), weights, adapter)
        self._prompt = Prompt()

    def begin(self, rgb: np.ndarray) -> None:
        """Encode the photo."""
        self._engine.set_image(rgb)

    def click(self, points: list[tuple[float, float]], labels: list[int]) -> np.ndarray:
        """Answer the clicks."""
        self._prompt = Prompt(list(points), list(labels))
        return self._engine.select(self._prompt).alpha > 127

    def matte(self) -> np.ndarray:
        """Matte of the object last clicked on, from the same prompt as its mask: H×W uint8."""
        return self._engine.matte(self._prompt).alpha

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

    def __init__(self, disk: float = DISK, reach: float = 0.1, iterations: int = 5) -> None:
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


class RandomWalker:
    """Scikit-image's random walker (Grady 2006), from the seeds of `click_seeds`.

    Solved directly: at this size that is faster than conjugate gradients, which at such a `beta` end far from the
    solution (up to 8 % of the mask's pixels differed).

    Args:
        beta: how much a difference in colour holds the walker up.
    """

    name = "random walker"

    def __init__(self, beta: float = 16000.0) -> None:
        self._beta = beta
        self._size = self._small_size = (0, 0)
        self._picture = np.zeros((0, 0, 3))

    def begin(self, rgb: np.ndarray) -> None:
        """Keep the photo, not larger than the walker can solve in seconds."""
        self._size = (rgb.shape[0], rgb.shape[1])
        self._small_size = fit_size(*self._size, _WALK_SIDE)
        self._picture = shrink(rgb, *self._small_size) / 255.0

    def click(self, points: list[tuple[float, float]], labels: list[int]) -> np.ndarray:
        """Answer the clicks."""
        from skimage.segmentation import random_walker

        (height, width), (small_height, small_width) = self._size, self._small_size
        small = [(x * small_width / width, y * small_height / height) for x, y in points]
        seeds = click_seeds(self._small_size, small, labels)
        shares = random_walker(self._picture, seeds, beta=self._beta, mode="bf", channel_axis=-1, return_full_prob=True)
        return cv2.resize(shares[INSIDE - 1], (width, height), interpolation=cv2.INTER_LINEAR) > 0.5


def click_seeds(size: tuple[int, int], points: list[tuple[float, float]], labels: list[int]) -> np.ndarray:
    """What is known after some clicks, for methods that need to be shown both object and background.

    A disk of `DISK` long sides around each click, later ones over earlier ones, but every click has its own pixel. The
    two outermost pixels of the photo are background: also after the first exclude click, as it proved better so for the
    random walker and for GIMP.

    Args:
        size: height and width.

    Returns:
        H×W uint8 of UNKNOWN, INSIDE and OUTSIDE.
    """
    seeds = np.full(size, UNKNOWN, np.uint8)
    seeds[:2], seeds[-2:], seeds[:, :2], seeds[:, -2:] = (OUTSIDE,) * 4
    known = [(_pixel(point), INSIDE if label else OUTSIDE) for point, label in zip(points, labels, strict=True)]
    for centre, value in known:
        cv2.circle(seeds, centre, max(2, round(DISK * max(size))), value, -1)
    for (x, y), value in known:
        seeds[y, x] = value
    return seeds


def _pixel(point: tuple[float, float]) -> tuple[int, int]:
    return int(point[0]), int(point[1])
