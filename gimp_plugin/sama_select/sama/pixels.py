"""Moving pixels between GIMP's buffers and bytes: the one place that knows Babl formats.

Masks are bytes 0..255 of linear coverage. A layer mask and the selection hold them as "Y u8" whatever the image's
precision; a channel of an 8-bit non-linear image holds them as "Y' u8". Any other pairing runs them through a gamma
curve.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from contextlib import contextmanager
from typing import Iterator, List, Optional, Tuple

from gi.repository import Babl, Gegl, Gimp

from .job import Pixels
from .scratch import done

RGB = "R'G'B' u8"
RGBA = "R'G'B'A u8"
PREMULTIPLIED = "R'aG'aB'aA u8"
MASK = "Y u8"
#: bytes.translate table: how much middle grey shows through at this alpha.
_GREY_UNDER = bytes((255 - alpha) * 128 // 255 for alpha in range(256))
#: Rows are read in parts of about this many bytes, so that the hash of one is made while the next is read.
PART_BYTES = 8 << 20


#: x, y, width, height in a drawable's own coordinates; None is all of it.
Rectangle = Optional[Tuple[int, int, int, int]]


def read(drawable, pixel_format: str, rectangle: Rectangle = None) -> bytes:
    """Return the pixels of the rectangle, zeros outside of the drawable."""
    return drawable.get_buffer().get(_gegl(drawable, rectangle), 1.0, pixel_format, Gegl.AbyssPolicy.NONE)


def _gegl(drawable, rectangle):
    return Gegl.Rectangle.new(*(rectangle or (0, 0, drawable.get_width(), drawable.get_height())))


def read_srgb(drawable, over_grey: bool) -> Pixels:
    """Return all of the drawable as sRGB, converted from its colour profile, with the name of these pixels.

    Args:
        drawable: what to read.
        over_grey: lay the picture over middle grey, for one with transparency; its colours must be within 0 to 1, as
            those of integer precisions are.
    """
    width, height = drawable.get_width(), drawable.get_height()
    digest = hashlib.sha256(b"%dx%d:" % (width, height))
    waiting: queue.Queue = queue.Queue()

    def hash_parts():
        while True:
            part = waiting.get()
            if part is None:
                return
            digest.update(part)

    thread = threading.Thread(target=hash_parts)
    thread.start()
    parts: List[bytes] = []
    try:
        for pixels in _rows(drawable, PREMULTIPLIED if over_grey else RGB):
            parts.append(_over_grey(pixels) if over_grey else pixels)
            waiting.put(parts[-1])
    finally:
        waiting.put(None)
        thread.join()
    return Pixels(width, height, parts, digest.hexdigest())


def _over_grey(pixels):
    """R'aG'aB'aA u8 over middle grey. Colour and ground together never exceed 255, so one long addition does it."""
    ground, colours = bytearray(len(pixels) // 4 * 3), bytearray(len(pixels) // 4 * 3)
    grey = pixels[3::4].translate(_GREY_UNDER)
    for channel in range(3):
        ground[channel::3] = grey
        colours[channel::3] = pixels[channel::4]
    total = int.from_bytes(colours, "little") + int.from_bytes(ground, "little")
    return total.to_bytes(len(colours), "little")


def write(drawable, pixel_format: str, data: bytes, rectangle: Rectangle = None) -> None:
    """Write the pixels of the rectangle, which must lie within the drawable.

    Raises:
        ValueError: `data` has another length. GEGL would only grumble on standard error and write nothing.
    """
    area = _gegl(drawable, rectangle)
    pixel_bytes = Babl.format_get_bytes_per_pixel(Babl.format(pixel_format))
    if len(data) != area.width * area.height * pixel_bytes:
        raise ValueError("%d bytes for %d×%d pixels of %d bytes" % (len(data), area.width, area.height, pixel_bytes))
    buffer = drawable.get_buffer()
    # bytes(): PyGObject converts anything else one element at a time, thirty times slower.
    buffer.set(area, pixel_format, bytes(data))
    buffer.flush()
    drawable.update(area.x, area.y, area.width, area.height)


def write_channel(channel, data: bytes, rectangle: Rectangle = None) -> None:
    """Write coverage 0..255 into a channel such that a selection made from it has exactly these values."""
    own_format = Babl.get_name(channel.get_format())
    write(channel, "Y' u8" if own_format.startswith("Y'") else MASK, data, rectangle)


def multiply_alpha(layer, data: bytes, pixel_format: str = MASK) -> None:
    """Multiply the layer's alpha by coverage: exact in every precision, colours untouched.

    Args:
        layer: a layer with or without alpha, and without a mask.
        data: all of the layer's pixels.
        pixel_format: MASK, or another of Y alone.
    """
    with colours_kept(layer):
        if not layer.has_alpha():
            done(layer.add_alpha())
        mask = layer.create_mask(Gimp.AddMaskType.WHITE)
        write(mask, pixel_format, data)
        done(layer.add_mask(mask))
        done(layer.remove_mask(Gimp.MaskApplyMode.APPLY))


@contextmanager
def colours_kept(layer):
    """Let the layer's colours come out of a change of its alpha bit by bit as they were.

    Under a colour profile GIMP's arithmetic changes the last places of deep pixels, a little more at every run, and
    those of floating-point pixels now and then without one. Nothing is recorded for undo, so what is done inside must
    be.
    """
    name = Babl.get_name(layer.get_format())
    if "-space-" in name:
        # a grey profile's name is cut short by GIMP, and cannot be asked for
        drifts = name.startswith("R'G'B'") and " u8-" not in name
    else:
        drifts = any(name.endswith(depth) for depth in (" half", " float", " double"))
    channels = 1 if name.startswith("Y") else 3
    before = _native(layer) if drifts else b""
    had_alpha = layer.has_alpha()
    yield
    if not drifts:
        return
    depth = len(before) // (layer.get_width() * layer.get_height() * (channels + had_alpha))
    colour = channels * depth
    step, step_before = ((channels + has) * depth for has in (layer.has_alpha(), had_alpha))
    pixels = bytearray(_native(layer))
    for byte in range(colour):
        pixels[byte::step] = before[byte::step_before]
    write(layer, Babl.get_name(layer.get_format()), bytes(pixels))


def _native(drawable):
    return read(drawable, Babl.get_name(drawable.get_format()))


def alpha_of(drawable, rectangle: Rectangle = None) -> bytes:
    """Return the alpha, 0..255, of the rectangle."""
    # Cut out of RGBA: asked for "A u8" itself, Babl takes six times as long.
    if rectangle is not None:
        return read(drawable, RGBA, rectangle)[3::4]
    return b"".join(pixels[3::4] for pixels in _rows(drawable, RGBA))


def bounds_of_alpha(drawable) -> Optional[Tuple[int, int, int, int]]:
    """Return left, top, right, bottom of what is not wholly transparent, or None when everything is."""
    width, alpha = drawable.get_width(), alpha_of(drawable)
    start, end = len(alpha) - len(alpha.lstrip(b"\0")), len(alpha.rstrip(b"\0"))
    if start >= end:
        return None
    top, bottom = start // width, (end + width - 1) // width
    columns = 0
    for y in range(top, bottom):
        columns |= int.from_bytes(alpha[y * width : (y + 1) * width], "big")
    together = columns.to_bytes(width, "big")
    return width - len(together.lstrip(b"\0")), top, len(together.rstrip(b"\0")), bottom


def digest(drawable, pixel_format: str, part: slice = slice(None)) -> str:
    """Return the SHA-256 of the drawable's size and pixels, of each part of the bytes only `part`."""
    found = hashlib.sha256(b"%dx%d:" % (drawable.get_width(), drawable.get_height()))
    for pixels in _rows(drawable, pixel_format):
        found.update(pixels[part])
    return found.hexdigest()


def read_alpha(drawable) -> Optional[bytes]:
    """Return the drawable's alpha, 0..255, or None when no pixel of it is even a little transparent."""
    if not drawable.has_alpha():
        return None
    alpha = alpha_of(drawable)
    return None if alpha == b"\xff" * len(alpha) else alpha


def _rows(drawable, pixel_format) -> Iterator[bytes]:
    """Yield the drawable from top to bottom in parts of some megabytes."""
    width, height = drawable.get_width(), drawable.get_height()
    buffer = drawable.get_buffer()
    rows = max(1, PART_BYTES // (width * 3))
    for top in range(0, height, rows):
        rectangle = Gegl.Rectangle.new(0, top, width, min(rows, height - top))
        yield buffer.get(rectangle, 1.0, pixel_format, Gegl.AbyssPolicy.NONE)
