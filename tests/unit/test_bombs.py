"""Small files that claim or unpack to gigabytes: read in a process of its own, whose peak of memory is looked at."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

READ = """
import json, sys
from sama_core.errors import InvalidImage
from sama_core.image_files import read_image
try:
    said = list(read_image(sys.argv[1]).rgb.shape)
except InvalidImage as error:
    said = str(error)
# not getrusage: it remembers the peak of the process that started this one
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps([said, int(peak.split()[1])]))
"""
MOST_KILOBYTES = 250_000


@pytest.fixture(scope="module")
def gigabyte() -> bytes:
    """A gigabyte of zeros, packed to one megabyte."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(10**7)) for _ in range(100)) + packer.flush()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *chunks: bytes, pixels: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(*tags: tuple[int, int, int, int]) -> bytes:
    """A grey TIFF of 10×10 pixels with more tags, or others: (number, type, count, value)."""
    usual = [(256, 4, 1, 10), (257, 4, 1, 10), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    given = {tag[0]: tag for tag in [*usual, *tags]}
    packed = b"".join(struct.pack("<HHII", *given[number]) for number in sorted(given))
    return b"II*\0" + struct.pack("<IH", 8, len(given)) + packed + bytes(1000)


def read(path: Path, data: bytes) -> list[int] | str:
    """Read the file in another process; return the picture's shape or the error's text."""
    path.write_bytes(data)
    done = subprocess.run([sys.executable, "-c", READ, str(path)], stdout=subprocess.PIPE, check=True)
    said, kilobytes = json.loads(done.stdout)
    assert kilobytes < MOST_KILOBYTES
    return said


def test_pixels_beyond_the_picture_are_not_unpacked(tmp_path, gigabyte):
    assert read(tmp_path / "bomb.png", png(10, 10, pixels=gigabyte)) == [10, 10, 3]


@pytest.mark.parametrize("name", [b"iCCP", b"zTXt", b"iTXt"])
def test_profiles_and_texts_are_not_unpacked_without_end(tmp_path, gigabyte, name):
    head = b"x\0\1\0\0\0" if name == b"iTXt" else b"x\0\0"
    data = png(10, 10, chunk(name, head + gigabyte), pixels=zlib.compress(bytes(310)))
    assert "damaged" in str(read(tmp_path / "bomb.png", data))


@pytest.mark.parametrize("name", ["bomb.avif", "bomb.heic"])
@pytest.mark.parametrize("side", [60_000, 16_000])
def test_what_a_phone_s_picture_claims_is_not_allocated(tmp_path, name, side):
    pillow_heif.register_heif_opener()
    Image.new("RGB", (64, 64)).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    at = data.index(b"ispe") + 8
    data = data[:at] + struct.pack(">II", side, side) + data[at + 8 :]
    assert isinstance(read(tmp_path / name, data), str)


@pytest.mark.parametrize(
    "tags",
    [
        # a thousand channels; planes of 30,000 × 30,000 pixels with nothing in them
        [(259, 3, 1, 1), (273, 4, 1, 200), (277, 3, 1, 1000), (279, 4, 1, 500)],
        [(256, 4, 1, 10_000), (257, 4, 1, 10_000), (277, 3, 1, 64), (259, 3, 1, 8), (273, 4, 1, 200), (279, 4, 1, 9)],
        # one deflated tile of 4 gigapixels, one strip of 2 billion rows, half a billion strips
        [(259, 3, 1, 8), (322, 4, 1, 65520), (323, 4, 1, 65520), (324, 4, 1, 200), (325, 4, 1, 500)],
        [(259, 3, 1, 8), (273, 4, 1, 200), (278, 4, 1, 2**31 - 1), (279, 4, 1, 500)],
        [(259, 3, 1, 1), (273, 4, 500_000_000, 200), (278, 4, 1, 1), (279, 4, 500_000_000, 200)],
    ],
    ids=["channels", "planes", "tile", "strip", "strips"],
)
def test_what_a_tiff_claims_is_not_allocated(tmp_path, tags):
    assert isinstance(read(tmp_path / "bomb.tif", tiff(*tags)), str)


def test_a_tile_of_many_channels_is_not_unpacked(tmp_path, gigabyte):
    tile = [(259, 3, 1, 8), (277, 3, 1, 59), (322, 4, 1, 4096), (323, 4, 1, 4096)]
    start = len(tiff(*tile, (324, 4, 1, 0), (325, 4, 1, 0)))
    data = tiff(*tile, (324, 4, 1, start), (325, 4, 1, len(gigabyte))) + gigabyte
    assert "tiles of 4096×4096" in str(read(tmp_path / "bomb.tif", data))
