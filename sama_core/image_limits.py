"""How large an image may be, for files and for the engine alike: beyond this a desktop has not the memory."""

from __future__ import annotations

from sama_core.errors import InvalidImage

#: width times height
MAX_PIXELS = 128_000_000
MAX_SIDE = 60_000


def check_size(width: int, height: int) -> None:
    """See that a picture of this size can be used.

    Raises:
        InvalidImage: it is too large.
    """
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise oversized(f"{width}×{height}")


def oversized(size: str) -> InvalidImage:
    """The refusal of a picture whose size is `size`, in words."""
    return InvalidImage(
        f"The picture is {size}; up to {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE} pixels a side "
        "can be used. Work on a smaller copy or a crop."
    )
