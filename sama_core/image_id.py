"""The name of an image: a hash of its pixels, the same on both sides of the wire and on disk."""

from __future__ import annotations

import hashlib

import numpy as np

from sama_core.errors import InvalidImage


def image_id(rgb: np.ndarray) -> str:
    """Return the image's name: hex SHA-256 of the ASCII text `WxH:` followed by the pixel bytes.

    Args:
        rgb: H×W×3 uint8, sRGB R'G'B', row-major.

    Returns:
        64 lower-case hexadecimal digits. Two images have the same name only if size and pixels are the same.

    Raises:
        InvalidImage: not H×W×3 uint8, or without a pixel.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise InvalidImage(
            f"The picture is an array of {rgb.dtype} {rgb.shape}. Give height × width × 3 values of 8 bits."
        )
    height, width = rgb.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}:".encode("ascii"))
    digest.update(np.ascontiguousarray(rgb).reshape(-1).data)
    return digest.hexdigest()
