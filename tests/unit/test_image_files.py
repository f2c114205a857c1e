"""Every kind of file a photographer has, made here with known pixels."""

from __future__ import annotations

import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from sama_core.errors import InvalidImage
from sama_core.image_files import (
    LoadedImage,
    check_output,
    load_image,
    read_image,
    read_mask,
    save_cutout,
    save_mask,
)

RGB = np.random.default_rng(11).integers(0, 256, (20, 30, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def png_bytes(samples: np.ndarray, colour_type: int) -> bytes:
    """A 16-bit PNG, which Pillow writes only for grey. `samples`: H×W×C uint16."""
    height, width = samples.shape[:2]
    rows = samples.astype(">u2").reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def tiff_bytes(samples: np.ndarray, photometric: int, order: str = "<") -> bytes:
    """An uncompressed TIFF of one strip. `samples`: H×W×C of any integer type."""
    height, width, channels = samples.shape
    bits = samples.dtype.itemsize * 8
    data = samples.astype(order + samples.dtype.str[1:]).tobytes()
    bits_at = 8
    strip_at = bits_at + 2 * channels
    tags = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, bits_at if channels > 2 else bits),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, strip_at),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
    ]

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        inline = kind == 3 and count == 1
        return struct.pack(order + "HHI", tag, kind, count) + (
            struct.pack(order + "HH", value, 0) if inline else struct.pack(order + "I", value)
        )

    directory = struct.pack(order + "H", len(tags)) + b"".join(entry(*tag) for tag in tags) + bytes(4)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    first = struct.pack(order + "I", strip_at + len(data))
    return magic + first + struct.pack(order + f"{channels}H", *[bits] * channels) + data + directory


def opacity(image: LoadedImage) -> np.ndarray:
    assert image.alpha is not None
    return image.alpha


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.ppm", "A.PNG"])
def test_lossless_rgb_is_exact(tmp_path, name):
    assert np.array_equal(load_image(saved(tmp_path / name, Image.fromarray(RGB))), RGB)


def test_lossless_webp_is_exact(tmp_path):
    assert np.array_equal(load_image(saved(tmp_path / "a.webp", Image.fromarray(RGB), lossless=True)), RGB)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.webp"])
def test_lossy_files_are_close(tmp_path, name):
    flat = np.full((32, 32, 3), (200, 100, 50), np.uint8)
    assert np.abs(load_image(saved(tmp_path / name, Image.fromarray(flat))).astype(int) - flat).max() <= 4


def test_result_is_a_writable_array_of_its_own(tmp_path):
    rgb = load_image(saved(tmp_path / "a.png", Image.fromarray(RGB)))
    assert rgb.dtype == np.uint8 and rgb.flags.writeable and rgb.flags.c_contiguous


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_grey_becomes_three_equal_channels(tmp_path, name):
    flat = np.full((16, 16), 77, np.uint8)
    rgb = load_image(saved(tmp_path / name, Image.fromarray(flat)))
    assert np.array_equal(rgb, np.full((16, 16, 3), 77))


def test_sixteen_bit_grey_png_keeps_its_brightness(tmp_path):
    levels = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(levels[..., None], colour_type=0))
    assert load_image(path)[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_grey_tiff_keeps_its_brightness(tmp_path, order):
    levels = np.array([[[0], [257], [32896], [65535]]], np.uint16)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(levels, photometric=1, order=order))
    assert load_image(path)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_rgb_png(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(RGB.astype(np.uint16) * 257, colour_type=2))
    assert np.array_equal(load_image(path), RGB)


def test_sixteen_bit_rgba_png(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(np.dstack([RGB, GREY]).astype(np.uint16) * 257, colour_type=6))
    image = read_image(path)
    assert np.array_equal(image.rgb, RGB)
    assert np.array_equal(opacity(image), GREY)


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_rgb_tiff(tmp_path, order):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(RGB.astype(np.uint16) * 257, photometric=2, order=order))
    assert np.array_equal(load_image(path), RGB)


def test_palette(tmp_path):
    palette = Image.fromarray(RGB).quantize(16)
    expected = np.array(palette.convert("RGB"))
    assert np.array_equal(load_image(saved(tmp_path / "a.png", palette)), expected)
    assert np.array_equal(load_image(saved(tmp_path / "a.tif", palette)), expected)


def test_bilevel(tmp_path):
    image = Image.fromarray(GREY).point([0] * 100 + [255] * 156).convert("1")
    assert np.array_equal(load_image(saved(tmp_path / "a.png", image))[..., 1], np.array(image) * 255)


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_cmyk_without_a_profile(tmp_path, name):
    flat = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red, green, blue = load_image(saved(tmp_path / name, flat))[8, 8]
    assert red > 245 and green < 10 and blue < 10


def test_transparency_is_kept_apart_from_colours(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(np.dstack([RGB, GREY])))
    image = read_image(path)
    assert np.array_equal(image.rgb, RGB)
    assert np.array_equal(opacity(image), GREY)
    assert np.array_equal(load_image(path), RGB)


def test_grey_with_transparency(tmp_path):
    image = read_image(saved(tmp_path / "a.png", Image.merge("LA", [Image.fromarray(GREY)] * 2)))
    assert np.array_equal(image.rgb[..., 2], GREY)
    assert np.array_equal(opacity(image), GREY)


def test_palette_with_transparency(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    loaded = read_image(saved(tmp_path / "a.png", image, transparency=1))
    assert loaded.rgb.tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert opacity(loaded).tolist() == [[255, 0]]


def test_one_transparent_colour(tmp_path):
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    loaded = read_image(saved(tmp_path / "a.png", image, transparency=(4, 5, 6)))
    assert opacity(loaded).tolist() == [[255, 0]]


def test_opaque_file_has_no_alpha(tmp_path):
    assert read_image(saved(tmp_path / "a.png", Image.fromarray(RGB))).alpha is None


ORIENTED = {
    1: RGB,
    2: RGB[:, ::-1],
    3: RGB[::-1, ::-1],
    4: RGB[::-1],
    5: RGB.transpose(1, 0, 2),
    6: np.rot90(RGB, -1),
    7: np.rot90(RGB.transpose(1, 0, 2), 2),
    8: np.rot90(RGB, 1),
}


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_exif_orientation_is_honoured(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name.endswith("webp") else {}
    path = saved(tmp_path / name, Image.fromarray(RGB), exif=exif, **options)
    assert np.array_equal(load_image(path), ORIENTED[orientation])


def test_exif_orientation_of_a_jpeg(tmp_path):
    half = np.zeros((32, 64, 3), np.uint8)
    half[:, :32] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter to the right: what was left is on top
    rgb = load_image(saved(tmp_path / "a.jpg", Image.fromarray(half), exif=exif))
    assert rgb.shape == (64, 32, 3)
    assert rgb[:28].min() > 240 and rgb[36:].max() < 15


def test_sixteen_bit_grey_with_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    image = Image.fromarray(np.array([[0, 65535]], np.uint16))
    assert load_image(saved(tmp_path / "a.tif", image, exif=exif))[0, :, 0].tolist() == [255, 0]


def swapped_channels_profile() -> bytes:
    """sRGB's own profile with the tags of the red and the blue primary exchanged: its red is blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    places = {bytes(profile[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(count)}
    profile[places[b"rXYZ"] : places[b"rXYZ"] + 4], profile[places[b"bXYZ"] : places[b"bXYZ"] + 4] = (
        b"bXYZ",
        b"rXYZ",
    )
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "sBGR".encode("utf-16-be"))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_embedded_profile_is_converted_to_srgb(tmp_path, name):
    path = saved(tmp_path / name, Image.fromarray(RGB), icc_profile=swapped_channels_profile())
    assert np.abs(load_image(path).astype(int) - RGB[..., ::-1]).max() <= 2


def test_embedded_srgb_profile_changes_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(load_image(saved(tmp_path / "a.png", Image.fromarray(RGB), icc_profile=profile)), RGB)


def test_profile_applies_to_colours_under_transparency_too(tmp_path):
    rgba = Image.fromarray(np.dstack([RGB, GREY]))
    image = read_image(saved(tmp_path / "a.png", rgba, icc_profile=swapped_channels_profile()))
    assert np.abs(image.rgb.astype(int) - RGB[..., ::-1]).max() <= 2
    assert np.array_equal(opacity(image), GREY)


def test_broken_profile_is_noted_and_left_out(tmp_path):
    image = read_image(saved(tmp_path / "a.png", Image.fromarray(RGB), icc_profile=b"no profile at all"))
    assert np.array_equal(image.rgb, RGB)
    assert len(image.notes) == 1 and "profile" in image.notes[0]


def test_profile_of_another_colour_space_is_noted_and_left_out(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = read_image(saved(tmp_path / "a.png", Image.fromarray(RGB), icc_profile=profile))
    assert np.array_equal(image.rgb, RGB)
    assert len(image.notes) == 1


def test_of_several_pages_the_first_is_read_and_noted(tmp_path):
    pages = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    image = read_image(saved(tmp_path / "a.tif", pages[0], save_all=True, append_images=pages[1:]))
    assert np.array_equal(image.rgb, RGB)
    assert len(image.notes) == 1 and "first" in image.notes[0]


def test_extension_does_not_decide_what_a_file_is(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(RGB).save(path, format="PNG")
    assert np.array_equal(load_image(path), RGB)


def test_missing_file(tmp_path):
    with pytest.raises(InvalidImage, match="There is no file"):
        load_image(tmp_path / "none.png")


def test_folder(tmp_path):
    with pytest.raises(InvalidImage, match="is a folder"):
        load_image(tmp_path)


def test_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InvalidImage, match="not a file"):
        load_image(tmp_path / "pipe.png")


@pytest.mark.parametrize("content", [b"", b"x", b"%PDF-1.4 not a picture", bytes(10_000)])
def test_file_that_is_no_picture(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InvalidImage, match="not a picture"):
        load_image(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.bmp", "a.ppm"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_file(tmp_path, name, part):
    path = saved(tmp_path / name, Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InvalidImage):
        load_image(path)


@pytest.mark.parametrize(("width", "height"), [(12_000, 12_000), (60_001, 1), (50_000, 50_000)])
def test_oversized_file_is_refused_from_its_header(tmp_path, width, height):
    small = bytearray(png_bytes(np.zeros((1, 1, 1), np.uint16), colour_type=0))
    small[16:24] = struct.pack(">II", width, height)
    small[29:33] = struct.pack(">I", zlib.crc32(small[12:29]))
    path = tmp_path / "a.png"
    path.write_bytes(small)
    with pytest.raises(InvalidImage, match="megapixels"):
        load_image(path)


def test_file_of_100_megapixels_is_no_bomb(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("1", (10_000, 10_000)))
    assert load_image(path).shape == (10_000, 10_000, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_samples_of_32_bits_are_refused(tmp_path, dtype):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.zeros((4, 4), dtype)))
    with pytest.raises(InvalidImage, match="8 or 16"):
        load_image(path)


def test_mask_file_is_read_as_brightness(tmp_path):
    assert np.array_equal(read_mask(saved(tmp_path / "a.png", Image.fromarray(GREY))), GREY)


def test_mask_file_with_transparency_is_read_as_opacity(tmp_path):
    assert np.array_equal(read_mask(saved(tmp_path / "a.png", Image.fromarray(np.dstack([RGB, GREY])))), GREY)


@pytest.mark.parametrize("name", ["m.png", "m.tif", "m.tiff", "m.webp", "M.PNG"])
def test_saved_mask_reads_back_exactly(tmp_path, name):
    save_mask(tmp_path / name, GREY)
    assert np.array_equal(read_mask(tmp_path / name), GREY)


@pytest.mark.parametrize("name", ["c.png", "c.tif", "c.webp"])
def test_saved_cutout_reads_back_exactly(tmp_path, name):
    alpha = GREY.copy()
    alpha[0] = 0  # colours are kept where nothing shows
    save_cutout(tmp_path / name, RGB, alpha)
    image = read_image(tmp_path / name)
    assert np.array_equal(image.rgb, RGB)
    assert np.array_equal(opacity(image), alpha)


def test_saved_file_has_ordinary_permissions(tmp_path):
    before = os.umask(0o022)
    try:
        save_mask(tmp_path / "m.png", GREY)
    finally:
        os.umask(before)
    assert (tmp_path / "m.png").stat().st_mode & 0o777 == 0o644


def test_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    save_mask(tmp_path / "m.png", GREY)
    before = (tmp_path / "m.png").read_bytes()

    def full_disk(self, file, **_):
        file.write(b"a part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_mask(tmp_path / "m.png", 255 - GREY)
    assert (tmp_path / "m.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.png"]


def test_what_a_killed_run_left_goes_after_a_day(tmp_path):
    drafts = [tmp_path / name for name in (".sama-old.draft.png", ".sama-ahead.draft.png", ".sama-new.draft.png")]
    for draft, days in zip(drafts, (-2, 2, 0), strict=True):
        draft.write_bytes(b"a part")
        then = time.time() + days * 86400
        os.utime(draft, (then, then))
    save_mask(tmp_path / "m.png", GREY)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".sama-new.draft.png", "m.png"]


def test_output_that_cannot_be_written_is_told_beforehand(tmp_path):
    photo = saved(tmp_path / "photo.png", Image.fromarray(RGB))
    for name, text in [
        ("m.jpg", "ends with"),
        ("m", "ends with"),
        ("m.psd", "ends with"),
        ("none/m.png", "no folder"),
        ("photo.png", "not overwritten"),
    ]:
        with pytest.raises(InvalidImage, match=text):
            check_output(tmp_path / name, photo)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InvalidImage, match="is a folder"):
        check_output(tmp_path / "folder.png", photo)
    check_output(tmp_path / "m.png", photo, None)


def test_link_to_the_picture_is_the_picture(tmp_path):
    photo = saved(tmp_path / "photo.png", Image.fromarray(RGB))
    (tmp_path / "link.png").symlink_to(photo)
    with pytest.raises(InvalidImage, match="not overwritten"):
        check_output(tmp_path / "link.png", photo)
