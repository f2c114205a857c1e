"""The photo that the engine is tried on, and the picture that shows what became of it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from installer.events import InstallError
from installer.package import ROOT

PHOTO = ROOT / "demo" / "photos" / "chelsea.png"
#: On the cat, in pixels: forehead, nose, chest.
CLICKS = ((110.0, 60.0), (250.0, 180.0), (60.0, 270.0))
#: Rectangles that are all cat (head, chin) and all background: left, top, right, bottom.
ON_THE_CAT = ((100, 60, 330, 230),)
OFF_THE_CAT = ((405, 20, 445, 200),)
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}
#: Between the two halves of the result, and around the clicks.
_GAP, _WHITE, _BLACK = 8, b"\xff\xff\xff", b"\x00\x00\x00"
_TINT = (255, 70, 70)


@dataclass(frozen=True)
class Photo:
    """sRGB pixels, 3 bytes each, row by row without padding."""

    width: int
    height: int
    pixels: bytes


def photo() -> Photo:
    """Return the sample photo.

    Raises:
        InstallError: it is missing or damaged.
    """
    try:
        return read_png(PHOTO.read_bytes())
    except (OSError, ValueError, IndexError, struct.error, zlib.error) as error:
        raise InstallError(
            f"The sample photo {PHOTO} cannot be read ({error}). Download SAMA for GIMP again, unpack all of it, "
            "and run the installer there."
        ) from error


def levels(mask: bytes, width: int) -> tuple[float, float]:
    """The mean of a mask (0..255, one byte a pixel of the sample photo) on the cat and off it."""
    return _mean(mask, width, ON_THE_CAT), _mean(mask, width, OFF_THE_CAT)


def write_result(file: Path, sample: Photo, mask: bytes) -> None:
    """Write a PNG: left the photo with the clicks, right the photo with what `mask` selects in red.

    Raises:
        OSError: the file cannot be written.
    """
    before = bytearray(sample.pixels)
    for x, y in CLICKS:
        _dot(before, sample, round(x), round(y))
    after = _tinted(sample.pixels, mask)
    row = sample.width * 3
    rows = [
        before[y * row : (y + 1) * row] + _WHITE * _GAP + after[y * row : (y + 1) * row] for y in range(sample.height)
    ]
    file.write_bytes(_png(2 * sample.width + _GAP, sample.height, rows))


def read_png(data: bytes) -> Photo:
    """Read a PNG of 8 bits a channel, colour or colour with alpha (which is dropped), not interlaced.

    Raises:
        ValueError, IndexError, struct.error, zlib.error: it is none, or damaged.
    """
    if not data.startswith(_SIGNATURE):
        raise ValueError("not a PNG")
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    if depth != 8 or kind not in _CHANNELS or interlaced:
        raise ValueError("another kind of PNG")
    packed, place = b"", len(_SIGNATURE)
    while place < len(data):
        length, name = struct.unpack(">I4s", data[place : place + 8])
        if name == b"IDAT":
            packed += data[place + 8 : place + 8 + length]
        place += length + 12
    channels = _CHANNELS[kind]
    lines = _unfiltered(zlib.decompress(packed), width * channels, height, channels)
    if channels == 4:
        for index, line in enumerate(lines):
            colour = bytearray(width * 3)
            for channel in range(3):
                colour[channel::3] = line[channel::4]
            lines[index] = colour
    return Photo(width, height, b"".join(lines))


def _unfiltered(data: bytes, row: int, height: int, step: int) -> list[bytearray]:
    """Take back PNG's filters (PNG specification, section 9)."""
    above = bytearray(row)
    lines = []
    for y in range(height):
        start = y * (row + 1)
        kind, line = data[start], bytearray(data[start + 1 : start + 1 + row])
        if len(line) != row or kind > 4:
            raise ValueError("damaged rows")
        for x in range(row if kind else 0):
            left = line[x - step] if x >= step else 0
            up = above[x]
            corner = above[x - step] if x >= step else 0
            guess = (left, up, (left + up) // 2, 0)[kind - 1] if kind < 4 else _nearest(left, up, corner)
            line[x] = (line[x] + guess) & 255
        lines.append(line)
        above = line
    return lines


def _nearest(left: int, up: int, corner: int) -> int:
    towards = left + up - corner
    distances = abs(towards - left), abs(towards - up), abs(towards - corner)
    return (left, up, corner)[distances.index(min(distances))]


def _mean(mask: bytes, width: int, boxes: tuple[tuple[int, int, int, int], ...]) -> float:
    values = [
        sum(mask[y * width + left : y * width + right])
        for left, top, right, bottom in boxes
        for y in range(top, bottom)
    ]
    return sum(values) / sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)


def _tinted(pixels: bytes, mask: bytes) -> bytearray:
    """What is selected half red, the rest half as bright."""
    result = bytearray(len(pixels))
    for channel, tint in enumerate(_TINT):
        result[channel::3] = bytes(
            (value * 255 + (tint - value) * chosen // 2 - value * (255 - chosen) // 2) // 255
            for value, chosen in zip(pixels[channel::3], mask)  # noqa: B905 - Python 3.9 has no `strict`
        )
    return result


def _dot(pixels: bytearray, sample: Photo, x: int, y: int) -> None:
    for down in range(-6, 7):
        for across in range(-6, 7):
            distance = down * down + across * across
            if distance <= 36 and 0 <= x + across < sample.width and 0 <= y + down < sample.height:
                place = ((y + down) * sample.width + x + across) * 3
                pixels[place : place + 3] = _WHITE if distance <= 16 else _BLACK


def _png(width: int, height: int, rows: list[bytearray]) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows), 6)
    return _SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
