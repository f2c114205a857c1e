"""What phones write: HEIC through pillow-heif and AVIF through Pillow."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from test_colour_meaning import P3, SRGB_CURVE, by_lcms, rgb_profile

from sama_core.errors import InvalidImage
from sama_core.image_files import read_image

#: four patches, so that which way is up shows
PATCHES = np.zeros((64, 96, 3), np.uint8)
PATCHES[:32, :48], PATCHES[:32, 48:], PATCHES[32:, :48], PATCHES[32:] = (
    (200, 90, 60),
    (70, 160, 90),
    (60, 80, 190),
    (128, 128, 128),
)
NAMES = ("a.heic", "a.avif")


def centres(rgb: np.ndarray) -> np.ndarray:
    height, width = rgb.shape[:2]
    return rgb[height // 4 :: height // 2, width // 4 :: width // 2].astype(int)


def saved(path: Path, image: Image.Image, **options) -> Path:
    pillow_heif.register_heif_opener()
    image.save(path, quality=98, **options)
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alpha", [False, True])
def test_pictures_are_read(tmp_path, name, alpha):
    image = Image.fromarray(PATCHES)
    if alpha:
        image.putalpha(Image.fromarray(PATCHES[..., 1]))
    loaded = read_image(saved(tmp_path / name, image))
    assert np.abs(centres(loaded.rgb) - centres(PATCHES)).max() <= 4
    assert loaded.notes == [] and (loaded.alpha is not None) == alpha
    if loaded.alpha is not None:
        assert np.abs(loaded.alpha[16, 24].astype(int) - 90) <= 4


@pytest.mark.parametrize("name", NAMES)
def test_display_p3_is_converted(tmp_path, name):
    icc = rgb_profile(SRGB_CURVE, P3)
    loaded = read_image(saved(tmp_path / name, Image.fromarray(PATCHES), icc_profile=icc))
    assert np.abs(centres(loaded.rgb) - centres(by_lcms(Image.fromarray(PATCHES), icc))).max() <= 5


def with_code_points(path: Path, primaries: int, transfer: int) -> None:
    """Change what the file's nclx box says."""
    data = path.read_bytes()
    at = data.index(b"colrnclx") + 8
    path.write_bytes(data[:at] + bytes((0, primaries, 0, transfer)) + data[at + 4 :])


@pytest.mark.parametrize("name", NAMES)
def test_display_p3_by_code_points_is_converted(tmp_path, name):
    path = saved(tmp_path / name, Image.fromarray(PATCHES))
    with_code_points(path, 12, 13)
    expected = by_lcms(Image.fromarray(PATCHES), rgb_profile(SRGB_CURVE, P3))
    assert np.abs(centres(read_image(path).rgb) - centres(expected)).max() <= 5


@pytest.mark.parametrize("name", NAMES)
def test_hdr_is_told(tmp_path, name):
    path = saved(tmp_path / name, Image.fromarray(PATCHES))
    with_code_points(path, 9, 16)
    [note] = read_image(path).notes
    assert "HDR (PQ)" in note


def test_ten_bits(tmp_path):
    deep = pillow_heif.from_bytes("RGB;16", (96, 64), (PATCHES.astype(np.uint16) * 257).tobytes())
    deep.save(tmp_path / "a.heic", quality=98)
    assert pillow_heif.open_heif(tmp_path / "a.heic").info["bit_depth"] in (10, 12)
    assert np.abs(centres(read_image(tmp_path / "a.heic").rgb) - centres(PATCHES)).max() <= 4


def test_orientation_of_avif_is_applied_once(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    loaded = read_image(saved(tmp_path / "a.avif", Image.fromarray(PATCHES), exif=exif))
    assert loaded.rgb.shape == (96, 64, 3)
    assert np.abs(centres(loaded.rgb) - centres(np.rot90(PATCHES, -1))).max() <= 4


def test_orientation_of_heic_is_applied_once(tmp_path):
    """A phone turns by the container and says so in EXIF as well."""
    exif = Image.Exif()
    exif[0x0112] = 6
    heif = pillow_heif.from_pillow(Image.fromarray(PATCHES))
    heif.info["exif"] = exif.tobytes()
    heif.save(tmp_path / "a.heic", quality=98, save_all=False)
    loaded = read_image(tmp_path / "a.heic")
    assert b"irot" in (tmp_path / "a.heic").read_bytes()
    assert loaded.rgb.shape == (96, 64, 3)
    assert np.abs(centres(loaded.rgb) - centres(np.rot90(PATCHES, -1))).max() <= 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [0.05, 0.3, 0.9])
def test_truncated_files_are_damaged(tmp_path, name, part):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(tmp_path / name, Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(InvalidImage):
        read_image(path)


def test_heic_without_pillow_heif_says_how_to_get_it(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.heic", Image.fromarray(PATCHES))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InvalidImage, match=r"is HEIC.*-m pip install pillow-heif"):
        read_image(path)


def test_avif_without_a_pillow_that_reads_it_says_so(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.avif", Image.fromarray(PATCHES))
    monkeypatch.setattr("PIL.features.check", lambda _: False)
    with pytest.raises(InvalidImage, match=r"is AVIF.*pip install --upgrade pillow"):
        read_image(path)
