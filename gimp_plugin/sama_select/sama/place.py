"""Where pixels lie on the canvas, and moving them in bytes from one place to another. No GIMP in here."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple


class Place(NamedTuple):
    """Where the source lies, whose pixels the engine sees: size, offset on the canvas, and its name in a message."""

    width: int
    height: int
    x: int
    y: int
    name: str

    def meets(self, width: int, height: int) -> bool:
        """Say whether some of it lies on a canvas of this size."""
        return self.x < width and self.y < height and self.x + self.width > 0 and self.y + self.height > 0

    def move(self, data: bytes, corner: Tuple[int, int], onto: Tuple[int, int]) -> bytes:
        """Return `data`, a byte for each pixel here, as it lies on a picture of size `onto`, for the rest black.

        `corner` is where the left top corner of that picture lies on the canvas. What sticks out is cut off.
        """
        return paste(data, (self.width, self.height), (self.x - corner[0], self.y - corner[1]), onto)


def sentence(name: str) -> str:
    """Return the name of a place as a sentence begins with it."""
    return name[0].upper() + name[1:]


def paste(
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


def find(
    part: bytes, part_size: Tuple[int, int], whole: bytes, whole_size: Tuple[int, int]
) -> Optional[Tuple[int, int]]:
    """Return where in `whole` the picture `part` lies, pixel for pixel, or None when nowhere or in more than one place.

    Args:
        part, whole: row-major pixels, three bytes each.
        part_size, whole_size: their widths and heights.
    """
    if part_size[0] > whole_size[0] or part_size[1] > whole_size[1]:
        return None
    stride, length = whole_size[0] * 3, part_size[0] * 3
    rows = [part[start : start + length] for start in range(0, len(part), length)]
    # The row with most in it is likely to lie in one place only; a row of sky would lie in thousands.
    sample = max(range(len(rows)), key=lambda y: len(set(rows[y][::3])) + len(set(rows[y][1::3])))
    found, tried, start = None, 0, whole.find(rows[sample])
    while start >= 0:
        tried += 1
        y, x = divmod(start, stride)
        x, left_over = divmod(x, 3)
        top = y - sample
        if not left_over and x + part_size[0] <= whole_size[0] and 0 <= top <= whole_size[1] - part_size[1]:
            matches = all(whole.startswith(row, (top + below) * stride + x * 3) for below, row in enumerate(rows))
            if matches and found is not None:
                return None
            if matches:
                found = (x, top)
        if tried > _MOST_PLACES:
            return None
        start = whole.find(rows[sample], start + 1)
    return found


#: A picture whose most lively row lies in more places than this has too little in it to tell where it lies.
_MOST_PLACES = 1000
