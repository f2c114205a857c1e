"""A cut-out: a photo's or a matte's colours under a matte's alpha."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sama_core.image_files import LoadedImage
    from sama_core.inference.answer import Answer


def cutout(image: LoadedImage, answer: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Return the colours (H×W×3 uint8) and alpha (H×W uint8) of a matted photo.

    The colours are the matte's clean ones if it has them. Alpha is the matte times the transparency that the photo had,
    as applying a layer mask does.
    """
    colours = image.rgb if answer.foreground is None else answer.foreground
    if image.alpha is None:
        return colours, answer.alpha
    return colours, ((answer.alpha.astype(np.uint16) * image.alpha + 127) // 255).astype(np.uint8)
