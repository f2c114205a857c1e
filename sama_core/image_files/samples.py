"""The numbers of a picture file as they are, before anybody asks what colours they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image

from sama_core.errors import InvalidImage
from sama_core.image_files.colour_space import RgbSpace

Model = Literal["grey", "rgb", "cmyk", "lab"]


@dataclass
class Samples:
    """Pixels of one picture.

    Attributes:
        model: what the channels are.
        levels: H×W×C, C = 1, 3 or 4 by the model. uint8 or uint16 over the whole range, of CMYK 0 is no ink;
            of Lab float32, L* 0..100.
        alpha: H×W uint8, or None; the levels are not premultiplied.
    """

    model: Model
    levels: np.ndarray
    alpha: np.ndarray | None = None


@dataclass
class DecodedFile:
    """What a file holds and says of it.

    Attributes:
        profile: an embedded ICC profile, or empty.
        space: the colour space that the file names by other means, or None; a profile says it better.
        orientation: as EXIF has it, 1..8.
        dpi: dots per inch across and down as stored, or None.
        notes: what a user may want to know.
    """

    samples: Samples
    profile: bytes = b""
    space: RgbSpace | None = None
    orientation: int = 1
    dpi: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list)


def eight_bits(levels: np.ndarray) -> np.ndarray:
    """Reduce uint8 or uint16 levels to the nearest of 8 bits."""
    if levels.dtype == np.uint8:
        return levels
    return ((np.arange(65536) + 128) // 257).astype(np.uint8)[levels]


def straightened(levels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Undo the premultiplication of H×W×C levels by H×W alpha, both uint8 or both uint16; clear pixels are black."""
    most = np.iinfo(levels.dtype).max
    result = np.empty_like(levels)
    for row, (colours, opacity) in enumerate(zip(levels, alpha, strict=True)):
        weight = opacity.astype(np.int64)[:, None]
        result[row] = np.minimum((colours.astype(np.int64) * most + weight // 2) // np.maximum(weight, 1), most)
    return result


def of_pillow(image: Image.Image, name: str) -> Samples:
    """Take a loaded picture of Pillow's apart.

    Raises:
        InvalidImage: its mode is none of those that can be used.
    """
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode in ("PA", "La", "RGBa"):
        image = image.convert("RGBA")
    elif image.mode in ("1", "YCbCr"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    levels = np.array(image)
    if image.mode in ("LA", "RGBA"):
        return Samples("grey" if image.mode == "LA" else "rgb", levels[..., :-1], levels[..., -1].copy())
    if image.mode == "L":
        return Samples("grey", levels[..., None])
    if image.mode in ("RGB", "CMYK"):
        return Samples("rgb" if image.mode == "RGB" else "cmyk", levels)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return Samples("grey", np.clip(levels, 0, 65535).astype(np.uint16)[..., None])
    raise InvalidImage(
        f"'{name}' stores its colours in a way that cannot be read ({image.mode}). Save it with 8 or 16 bits a channel."
    )
