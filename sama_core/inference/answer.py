"""What the engine gives back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sama_core.images import Window


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
