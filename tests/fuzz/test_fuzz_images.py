"""Picture files with damage: a picture, or `InvalidImage` with a remedy; never anything else, never much memory."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from mutations import assert_helpful, mutated
from PIL import Image, ImageCms

from sama_core import image_files, images
from sama_core.errors import InvalidImage

SIDE = 24
#: The cap while fuzzing: pictures over it are refused by their headers, so that memory shows who allocates first.
CAP = 1_000_000


_GAMMA = bytes.fromhex("0000000467414d41000186a031e8965f")


def _encoded(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def _tiff(samples: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()


def _tiff_kinds(rng: np.random.Generator) -> dict[str, bytes]:
    """TIFFs beyond what Pillow writes."""
    deep = rng.integers(0, 65536, (3, SIDE, SIDE), np.uint16)
    contiguous = np.moveaxis(deep, 0, 2)
    tiles = {"tile": (16, 16), "compression": "lzw"}
    return {
        "planes.tif": _tiff(deep, photometric="rgb", planarconfig="separate"),
        "tiles.tif": _tiff(contiguous, photometric="rgb", predictor=2, byteorder=">", **tiles),
        "float.tif": _tiff((contiguous / 65535).astype(np.float32), photometric="rgb", predictor=3, **tiles),
        "big.tif": _tiff(deep[0] >> 4, photometric="minisblack", bitspersample=12, bigtiff=True),
        "lab.tif": _tiff((contiguous >> 8).astype(np.uint8), photometric="cielab", compression="packbits"),
        "cmyk.tif": _tiff(np.dstack([contiguous, deep[0]]), photometric="separated", compression="zstd"),
        "ycbcr.tif": _tiff((contiguous >> 8).astype(np.uint8), photometric="ycbcr"),
        "alpha.tif": _tiff(contiguous[..., :2].copy(), photometric="minisblack", extrasamples=["assocalpha"]),
    }


def _seeds() -> dict[str, bytes]:
    pillow_heif.register_heif_opener()
    rng = np.random.default_rng(3)
    rgb = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE + 5, 3), np.uint8))
    grey, deep = rgb.convert("L"), Image.fromarray(rng.integers(0, 65536, (SIDE, SIDE), np.uint16))
    rgba = rgb.copy()
    rgba.putalpha(grey)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"s\0R\0G\0B", b"o\0R\0G\0B")
    exif = Image.Exif()
    exif[0x0112] = 6
    palette = rgb.quantize(16)
    return {
        "rgb.png": _encoded(rgb, format="PNG", icc_profile=profile, exif=exif),
        "gamma.png": _encoded(deep, format="PNG")[:33] + _GAMMA + _encoded(deep, format="PNG")[33:],
        "rgba.png": _encoded(rgba, format="PNG"),
        "palette.png": _encoded(palette, format="PNG", transparency=bytes(range(16))),
        "one colour.png": _encoded(rgb, format="PNG", transparency=(4, 5, 6)),
        "deep.png": _encoded(deep, format="PNG"),
        "moving.png": _encoded(rgb, format="PNG", save_all=True, append_images=[rgb.rotate(90)]),
        "rgb.jpg": _encoded(rgb, format="JPEG", exif=exif, icc_profile=profile),
        "cmyk.jpg": _encoded(rgb.convert("CMYK"), format="JPEG"),
        "progressive.jpg": _encoded(rgb, format="JPEG", progressive=True),
        "raw.tif": _encoded(rgb, format="TIFF", icc_profile=profile),
        "deflate.tif": _encoded(rgba, format="TIFF", compression="tiff_deflate", exif=exif),
        "lzw.tif": _encoded(deep, format="TIFF", compression="tiff_lzw"),
        "jpeg.tif": _encoded(rgb, format="TIFF", compression="jpeg"),
        "pages.tif": _encoded(grey, format="TIFF", save_all=True, append_images=[grey, grey]),
        "fax.tif": _encoded(rgb.convert("1"), format="TIFF", compression="group4"),
        "lossless.webp": _encoded(rgba, format="WEBP", lossless=True, exif=exif),
        "lossy.webp": _encoded(rgb, format="WEBP", icc_profile=profile),
        "moving.webp": _encoded(rgb, format="WEBP", save_all=True, append_images=[rgb.rotate(90)]),
        "rgb.bmp": _encoded(rgb, format="BMP"),
        "palette.bmp": _encoded(palette, format="BMP"),
        "rgb.ppm": _encoded(rgb, format="PPM"),
        "deep.pgm": _encoded(deep, format="PPM"),
        "phone.avif": _encoded(rgba, format="AVIF", exif=exif),
        "phone.heic": _encoded(rgb, format="HEIF", icc_profile=profile),
        **_tiff_kinds(rng),
        "plain.pgm": b"P2\n3 2\n255\n0 128 255\n255 128 0\n",
    }


SEEDS = _seeds()


@pytest.fixture(autouse=True)
def small_cap(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", CAP)


def _read(path: Path) -> None:
    for read in (image_files.read_image, image_files.read_mask):
        try:
            found = read(path)
        except InvalidImage as error:
            assert_helpful(error)
            continue
        pixels = found if isinstance(found, np.ndarray) else found.rgb
        assert pixels.dtype == np.uint8 and pixels.shape[0] * pixels.shape[1] <= CAP
        if isinstance(found, image_files.LoadedImage) and found.alpha is not None:
            assert found.alpha.dtype == np.uint8 and found.alpha.shape == pixels.shape[:2]


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_are_pictures(tmp_path, name):
    (tmp_path / name).write_bytes(SEEDS[name])
    assert image_files.read_image(tmp_path / name).rgb.std() > 0


@pytest.mark.parametrize("kind", sorted({Path(name).suffix for name in SEEDS}))
def test_damaged_pictures(tmp_path, kind):
    path = tmp_path / f"a{kind}"
    seeds = [data for name, data in SEEDS.items() if name.endswith(kind)]

    @given(st.sampled_from(seeds).flatmap(mutated))
    def damaged(data: bytes) -> None:
        path.write_bytes(data)
        _read(path)

    damaged()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


_MAGIC = [
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"II+\0\x08\0\0\0",
    b"BM",
    b"P6\n",
    b"P1 ",
]


@given(st.tuples(st.sampled_from([*_MAGIC, b"RIFF\x40\0\0\0WEBPVP8 ", b""]), st.binary(max_size=200)).map(b"".join))
def test_bytes_behind_a_picture_s_first_ones(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "picture"
    path.write_bytes(data)
    _read(path)
