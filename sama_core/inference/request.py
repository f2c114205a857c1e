"""One question on its way through an engine: how far it is, what it took, what the user should know, and its answer.

Each question has a request of its own, so that no answer tells of another one's troubles. Whoever works for it, be it a
helper engine, is handed the request and writes into it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from sama_core.images import Window

#: Told how far the work is (0..1) and what is being done; raises `Cancelled` to stop it.
Progress = Callable[[float, str], None]


def no_progress(fraction: float, text: str) -> None:
    """Ignore progress."""


def part(progress: Progress, low: float, high: float) -> Progress:
    """The progress of a step that takes the work from `low` to `high` of its whole, both 0..1."""

    def told(fraction: float, text: str) -> None:
        progress(low + (high - low) * fraction, text)

    return told


class Request:
    """What is gathered about one question.

    Args:
        progress: told how far the work is. A step that has to be done again, on another device, does not take it back.

    Attributes:
        notes: what the user should know: fallbacks, and what was left out; each once, in the order it was found.
        seconds: time of each step by its name; a step within another one is not counted twice.
        device: where a network ran last: cpu, cuda or mps; None before one did.
    """

    def __init__(self, progress: Progress = no_progress) -> None:
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        self.device: str | None = None
        self._progress = progress
        self._furthest = 0.0

    def note(self, text: str) -> None:
        """Tell the user something."""
        if text not in self.notes:
            self.notes.append(text)

    def progress(self, fraction: float, text: str) -> None:
        """Tell how far the work is.

        Raises:
            Cancelled: it is not wanted any more.
        """
        self._furthest = max(self._furthest, fraction)
        self._progress(self._furthest, text)

    def part(self, low: float, high: float) -> Progress:
        """The progress of a step that takes this request from `low` to `high`."""
        return part(self.progress, low, high)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the time of a step; steps of one name add up."""
        began, counted = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            within = sum(self.seconds.values()) - counted
            own = time.perf_counter() - began - within
            self.seconds[name] = self.seconds.get(name, 0.0) + own

    def follows(self, earlier: Request) -> None:
        """Take over what was noted and spent for this question before it was asked: its picture's encoding."""
        self.notes = list(dict.fromkeys([*earlier.notes, *self.notes]))
        for name, seconds in earlier.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.device = self.device or earlier.device


@dataclass
class Answer:
    """A selection or a matte of one image.

    Attributes:
        alpha: H×W uint8, 255 = wholly the object.
        score: the model's own estimate of its mask's IoU, 0..1.
        low_res_logits: 256×256 float32 over the padded model input; give it back in the next `Prompt` to refine.
        notes: what the user should know of this answer: fallbacks, and what was left out. The first answer after
            `Engine.set_image` also tells of the image's encoding.
        foreground: H×W×3 uint8 colours free of background, or None when not asked for.
        seconds: time of each step: encode (with the image's own in the first answer about it), decode, refine, and
            foreground where asked for.
        device: where the network ran last.
        window: the crop that was looked at again, or None; outside of it nothing is selected but by clicks.
    """

    alpha: np.ndarray
    score: float
    low_res_logits: np.ndarray
    notes: list[str] = field(default_factory=list)
    foreground: np.ndarray | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    device: str = "cpu"
    window: Window | None = None

    def cutout(self, rgb: np.ndarray, transparency: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The cut-out of a matte: its colours (H×W×3 uint8) and alpha (H×W uint8).

        Args:
            rgb: H×W×3 uint8, the photo; its colours are taken where the matte has no clean ones.
            transparency: H×W uint8, the photo's own, which the matte multiplies as applying a layer mask does.
        """
        colours = rgb if self.foreground is None else self.foreground
        if transparency is None:
            return colours, self.alpha
        return colours, ((self.alpha.astype(np.uint16) * transparency + 127) // 255).astype(np.uint8)
