"""Every kind of file a photographer has, made here with known pixels."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from sama_core.errors import InvalidImage
from sama_core.image_files import (
    LoadedImage,
    NoRoom,
    check_output,
    check_room,
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


@pytest.mark.parametrize(
    ("data", "what"), [(b"GIF89a", "a GIF file"), (b"8BPS", "a Photoshop file"), (b"IIU\0", "a camera's raw file")]
)
def test_files_of_other_kinds_are_called_what_they_are(tmp_path, data, what):
    (tmp_path / "a.png").write_bytes(data + bytes(100))
    with pytest.raises(InvalidImage, match=f"is {what}, not a picture that can be read"):
        load_image(tmp_path / "a.png")


def low_depth_png(rows: list[bytes], width: int, depth: int, key: int | None) -> bytes:
    """A grey PNG of 1, 2 or 4 bits, perhaps with a transparent level."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, 0, 0, 0, 0))]
    parts += [] if key is None else [chunk(b"tRNS", struct.pack(">H", key))]
    parts += [chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("depth", "row"), [(1, b"\x1b"), (2, b"\x1b"), (4, b"\x01\x8f")])
@pytest.mark.parametrize("key", [0, 1, None])
def test_a_transparent_level_of_a_grey_png_of_few_bits(tmp_path, depth, row, key):
    bits = np.unpackbits(np.frombuffer(row, np.uint8)).reshape(-1, depth)
    samples = bits @ (1 << np.arange(depth)[::-1])
    (tmp_path / "a.png").write_bytes(low_depth_png([row], len(samples), depth, key))
    image = read_image(tmp_path / "a.png")
    assert image.rgb[0, :, 0].tolist() == (samples * 255 // (2**depth - 1)).tolist()
    assert key is None or opacity(image)[0].tolist() == np.where(samples == key, 0, 255).tolist()


@pytest.mark.parametrize("colour_type", [0, 2])
def test_a_transparent_colour_of_a_png_of_16_bits_is_compared_whole(tmp_path, colour_type):
    samples = np.full((1, 3, 1 if colour_type == 0 else 3), 0x1234, np.uint16)
    samples[0, 1, -1] = 0x1235  # the same in 8 bits
    data = png_bytes(samples, colour_type)
    key = samples[0, 1].astype(">u2").tobytes()
    body = b"tRNS" + key
    trns = struct.pack(">I", len(key)) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(data[:33] + trns + data[33:])
    assert opacity(read_image(tmp_path / "a.png")).tolist() == [[255, 0, 255]]


def test_sixteen_bit_grey_png_with_transparency(tmp_path):
    samples = np.dstack([GREY, RGB[..., 1]]).astype(np.uint16) * 257
    (tmp_path / "a.png").write_bytes(png_bytes(samples, colour_type=4))
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image.rgb[..., 0], GREY) and np.array_equal(opacity(image), RGB[..., 1])


def test_sixteen_bit_colour_png_is_rounded_not_cut_off(tmp_path):
    samples = np.array([[[0, 128, 129], [257, 32896, 65535]]], np.uint16)
    (tmp_path / "a.png").write_bytes(png_bytes(samples, colour_type=2))
    assert load_image(tmp_path / "a.png").tolist() == [[[0, 0, 1], [1, 128, 255]]]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp"])
@pytest.mark.parametrize("result", ["m.png", "m.tif", "m.webp"])
def test_resolution_goes_from_photo_to_result(tmp_path, name, result):
    photo = saved(tmp_path / name, Image.fromarray(RGB), dpi=(300, 150))
    image = read_image(photo)
    assert image.dpi == pytest.approx((300, 150), abs=0.1)
    save_cutout(tmp_path / result, image.rgb, GREY, image.dpi)
    save_mask(tmp_path / f"mask {result}", GREY, image.dpi)
    for written in (result, f"mask {result}"):
        assert read_image(tmp_path / written).dpi == pytest.approx((300, 150), abs=0.1)
        assert np.array_equal(read_image(tmp_path / written).rgb.shape, RGB.shape)


def test_resolution_turns_with_the_photo(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", Image.fromarray(RGB), dpi=(300, 150), exif=exif)
    assert read_image(path).dpi == pytest.approx((150, 300))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_a_photo_that_tells_no_resolution_gives_none(tmp_path, name):
    assert read_image(saved(tmp_path / name, Image.fromarray(RGB))).dpi is None
    save_mask(tmp_path / f"m{name}", GREY)
    assert read_image(tmp_path / f"m{name}").dpi is None


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


def ordinary_user() -> bool:
    return os.geteuid() != 0


def test_a_folder_that_cannot_be_written_to_is_told_beforehand(tmp_path, monkeypatch):
    folder = tmp_path / "ro"
    folder.mkdir()
    if ordinary_user():
        folder.chmod(0o555)
    else:

        def refused(*_, **__):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder / ".sama-x.draft.png"))

        monkeypatch.setattr(tempfile, "mkstemp", refused)
    with pytest.raises(InvalidImage, match=r"out\.png' cannot be written: Permission denied\. Choose another") as told:
        check_output(folder / "out.png")
    assert "draft" not in str(told.value)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
def test_a_folder_that_nobody_can_write_to(tmp_path):
    with pytest.raises(InvalidImage, match=r"'/proc/out\.png' cannot be written"):
        check_output("/proc/out.png")


def test_names_that_cannot_be_are_told_beforehand(tmp_path):
    with pytest.raises(InvalidImage, match="cannot be written: File name too long"):
        check_output(tmp_path / ("x" * 300 + ".png"))
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InvalidImage, match="not a file"):
        check_output(tmp_path / "pipe.png")


def test_looking_leaves_nothing_behind(tmp_path):
    save_mask(tmp_path / "m.png", GREY)
    before = (tmp_path / "m.png").read_bytes()
    check_output(tmp_path / "m.png")
    check_output(tmp_path / "new.png")
    assert [path.name for path in tmp_path.iterdir()] == ["m.png"]
    assert (tmp_path / "m.png").read_bytes() == before


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(tmp_path, there):
    store = tmp_path / "store"
    store.mkdir()
    if there:
        save_mask(store / "real.png", 255 - GREY)
    link = tmp_path / "out.png"
    link.symlink_to("store/real.png")
    check_output(link)
    save_mask(link, GREY)
    assert link.is_symlink() and np.array_equal(read_mask(store / "real.png"), GREY)
    assert [path.name for path in store.iterdir()] == ["real.png"]


def test_links_that_lead_nowhere_are_told_beforehand(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("none/b.png")
    (tmp_path / "c.png").symlink_to(tmp_path)
    for name, text in (("a.png", "leads nowhere|cannot be written"), ("b.png", "no folder"), ("c.png", "is a folder")):
        with pytest.raises(InvalidImage, match=text):
            check_output(tmp_path / name)


def test_a_format_too_small_for_the_picture_is_told_beforehand(tmp_path):
    check_room(tmp_path / "m.webp", 16383, 16383, 1)
    check_room(tmp_path / "m.png", 20, 60_000, 1)
    for height, width in ((20, 16384), (16384, 20)):
        with pytest.raises(InvalidImage, match=rf"at most 16383 pixels a side.*{width}×{height}.*\.png or \.tif"):
            check_room(tmp_path / "m.webp", height, width, 4)
    with pytest.raises(InvalidImage, match="at most 16383"):
        save_mask(tmp_path / "m.webp", np.zeros((20, 16384), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_full_for_the_result_is_told_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    check_room(tmp_path / "m.png", 1000, 1000, 4)
    check_room(tmp_path / "m.png", 10_000, 10_000, 1)
    with pytest.raises(NoRoom, match=r"1\.0 MB left, and the result needs 30\.0 MB or more\. Make room"):
        check_room(tmp_path / "m.png", 10_000, 10_000, 4)


@pytest.mark.parametrize("form", ["png", "tif", "webp"])
def test_room_is_asked_only_where_results_take_it(tmp_path, form):
    """What is asked for is less than what even a smooth picture's result takes."""
    ramp = np.tile(np.linspace(0, 255, 400).astype(np.uint8), (300, 1))
    noisy = np.clip(np.dstack([ramp] * 3) + np.random.default_rng(0).normal(0, 2, (300, 400, 3)), 0, 255)
    save_cutout(tmp_path / f"c.{form}", noisy.astype(np.uint8), ramp)
    save_mask(tmp_path / f"m.{form}", np.where(ramp > 127, 255, 0))
    from sama_core.image_files import writing

    assert (tmp_path / f"c.{form}").stat().st_size > 300 * 400 * writing._BYTES_A_PIXEL[4]


def test_a_failure_names_the_file_that_was_asked_for(tmp_path, monkeypatch):
    def full_disk(self, file, **_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="No space") as told:
        save_mask(tmp_path / "m.png", GREY)
    assert told.value.filename == str(tmp_path / "m.png")


def test_link_to_the_picture_is_the_picture(tmp_path):
    photo = saved(tmp_path / "photo.png", Image.fromarray(RGB))
    (tmp_path / "link.png").symlink_to(photo)
    with pytest.raises(InvalidImage, match="not overwritten"):
        check_output(tmp_path / "link.png", photo)
