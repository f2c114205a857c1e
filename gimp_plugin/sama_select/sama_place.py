"""Moving a picture in bytes from one frame to another: layer to canvas and back."""

from __future__ import annotations

from typing import Tuple


def place(
    data: bytes, size: Tuple[int, int], offset: Tuple[int, int], onto: Tuple[int, int], channels: int = 1
) -> bytes:
    """Return a picture of size `onto`, black but for `data` at `offset`; what sticks out is cut off.

    Args:
        data: row-major pixels, one byte a channel.
        size: width and height of `data`.
        offset: where its left top corner comes to lie on the result; may be negative.
        onto: width and height of the result.
        channels: bytes per pixel.
    """
    if offset == (0, 0) and size == onto:
        return data
    left, top = max(0, offset[0]), max(0, offset[1])
    right, bottom = min(onto[0], offset[0] + size[0]), min(onto[1], offset[1] + size[1])
    if left >= right or top >= bottom:
        return bytes(onto[0] * onto[1] * channels)
    before, after = bytes(left * channels), bytes((onto[0] - right) * channels)
    rows = [bytes(top * onto[0] * channels)]
    for y in range(top, bottom):
        start = ((y - offset[1]) * size[0] + left - offset[0]) * channels
        rows += (before, data[start : start + (right - left) * channels], after)
    rows.append(bytes((onto[1] - bottom) * onto[0] * channels))
    return b"".join(rows)
