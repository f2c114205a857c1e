"""TIFF by all its tags: a matrix of kinds with known pixels; OpenCV reads those it knows besides, by libtiff."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from sama_core.errors import InvalidImage
from sama_core.image_files import read_image

HEIGHT, WIDTH = 21, 35
CHANNELS = {"minisblack": 1, "miniswhite": 1, "rgb": 3}
#: bits, or the type of a float
DEPTHS = (1, 2, 4, 8, 10, 12, 14, 16, 32, "f2", "f4", "f8")


def noise(channels: int, depth: int | str) -> tuple[np.ndarray, np.ndarray]:
    """H×W×C samples as stored, and the share of white that each is."""
    rng = np.random.default_rng(5)
    if isinstance(depth, str):
        stored = rng.random((HEIGHT, WIDTH, channels)).astype(depth)
        return stored, stored.astype(float)
    kind = np.uint8 if depth <= 8 else np.uint16 if depth <= 16 else np.uint32
    stored = rng.integers(0, 2**depth, (HEIGHT, WIDTH, channels)).astype(kind)
    return stored, stored / (2.0**depth - 1)


def write(path: Path, stored: np.ndarray, depth: int | str, **options: Any) -> Path:
    """A TIFF of H×W×C samples."""
    if isinstance(depth, int) and depth not in (8, 16, 32):
        options["bitspersample"] = depth
    if options.get("planarconfig") == "separate":
        stored = np.moveaxis(stored, 2, 0)
    tifffile.imwrite(path, stored[..., 0] if stored.shape[-1] == 1 else stored, **options)
    return path


def layouts(photometric: str, alpha: bool, depth: int | str) -> list[dict[str, Any]]:
    """How such samples may lie in a file."""
    orders, planes = ("<", ">"), ("contig", "separate")
    packed = (None, "lzw", "deflate", "packbits", "zstd", "lzma")
    found = []
    for order, plane, compression, tile, predictor, big in itertools.product(
        orders, planes, packed, (None, (16, 32)), (None, 2, 3), (False, True)
    ):
        if plane == "separate" and CHANNELS[photometric] + alpha == 1:
            continue
        if big and (compression or tile):
            continue
        if compression in ("packbits", "zstd", "lzma") and (order == ">" or tile or predictor):
            continue
        if predictor and (compression is None or (predictor == 3) != isinstance(depth, str)):
            continue
        # tifffile writes odd depths uncompressed only, and of most significant byte first wrongly
        if isinstance(depth, int) and depth not in (8, 16, 32) and (compression or (depth > 8 and order == ">")):
            continue
        options: dict[str, Any] = {"byteorder": order, "compression": compression, "tile": tile, "bigtiff": big}
        options["predictor"] = predictor
        if CHANNELS[photometric] + alpha > 1:
            options["planarconfig"] = plane
        found.append(options)
    return found


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("photometric", CHANNELS)
def test_every_layout_of_a_kind_is_read_alike(tmp_path, photometric, alpha, depth):
    stored, shares = noise(CHANNELS[photometric] + alpha, depth)
    colours = shares[..., :-1] if alpha else shares
    if photometric == "miniswhite":
        colours = 1 - colours
    expected = np.broadcast_to(colours * 255, (HEIGHT, WIDTH, 3))
    options = {"photometric": photometric, **({"extrasamples": ["unassalpha"]} if alpha else {})}
    some = layouts(photometric, alpha, depth)
    assert some
    for layout in some:
        image = read_image(write(tmp_path / "a.tif", stored, depth, **options, **layout))
        assert np.abs(image.rgb - expected).max() < 0.51, layout
        assert image.notes == [], layout
        if alpha:
            assert image.alpha is not None and np.abs(image.alpha - shares[..., -1] * 255).max() < 0.51, layout
        else:
            assert image.alpha is None, layout


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_opencv_reads_the_same(tmp_path, photometric, depth):
    stored, _ = noise(CHANNELS[photometric], depth)
    compared = 0
    for layout in layouts(photometric, False, depth):
        path = write(tmp_path / "a.tif", stored, depth, photometric=photometric, **layout)
        if layout["compression"] in ("packbits", "zstd", "lzma"):
            continue  # tifffile packs across rows, which libtiff does not follow; the others OpenCV lacks
        if depth == 16 and layout.get("planarconfig") == "separate":
            continue  # OpenCV reads one plane
        theirs = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if theirs is None:
            continue
        compared += 1
        theirs = np.atleast_3d(theirs)[..., ::-1].astype(float) * (255 / (2**depth - 1))
        assert np.abs(read_image(path).rgb - np.broadcast_to(theirs, (HEIGHT, WIDTH, 3))).max() < 0.51, layout
    assert compared > 10


@pytest.mark.parametrize("depth", [8, 16, "f4"])
@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_premultiplied_colours_are_straightened(tmp_path, photometric, depth):
    count = CHANNELS[photometric]
    _, shares = noise(count + 1, "f8")
    opacity = np.maximum(shares[..., -1:], 0.5)
    whole = np.concatenate([shares[..., :count] * opacity, opacity], axis=2)
    most = 1 if depth == "f4" else 2 ** int(depth) - 1
    stored = whole.astype("f4") if depth == "f4" else np.round(whole * most).astype(f"u{int(depth) // 8}")
    path = write(tmp_path / "a.tif", stored, depth, photometric=photometric, extrasamples=["assocalpha"])
    image = read_image(path)
    tolerance = 2.5 if depth == 8 else 0.6
    assert np.abs(image.rgb - np.broadcast_to(shares[..., :count] * 255, image.rgb.shape)).max() < tolerance
    assert image.alpha is not None and np.abs(image.alpha - opacity[..., 0] * 255).max() < 0.6


def test_channels_without_a_meaning_are_left_out_and_told(tmp_path):
    stored, _ = noise(5, 8)
    path = write(tmp_path / "a.tif", stored, 8, photometric="rgb", extrasamples=["unspecified", "unassalpha"])
    image = read_image(path)
    assert np.array_equal(image.rgb, stored[..., :3])
    assert image.alpha is not None and np.array_equal(image.alpha, stored[..., 4])
    assert len(image.notes) == 1 and "channels" in image.notes[0]
    path = write(tmp_path / "b.tif", stored[..., :4], 8, photometric="rgb", extrasamples=["unspecified"])
    assert read_image(path).alpha is None


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("high_byte", [True, False])
def test_palettes_of_every_depth(tmp_path, depth, high_byte):
    palette = np.random.default_rng(2).integers(1, 256, (3, 2**depth)).astype(np.uint16)
    palette[0, 0] = 255
    indices, _ = noise(1, depth)
    colormap = palette * 256 if high_byte else palette
    # tifffile's own option takes 8 and 16 bits only
    tag = (320, 3, colormap.size, colormap.ravel().tolist(), True)
    path = write(tmp_path / "a.tif", indices, depth, photometric="minisblack", extratags=[tag])
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags[262].overwrite(3)
    assert np.array_equal(read_image(path).rgb, palette.T[indices[..., 0]])


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("plane", ["contig", "separate"])
def test_cmyk(tmp_path, depth, alpha, plane):
    stored, shares = noise(4 + alpha, depth)
    extra = {"extrasamples": ["unassalpha"]} if alpha else {}
    path = write(tmp_path / "a.tif", stored, depth, photometric="separated", planarconfig=plane, **extra)
    image = read_image(path)
    ink = np.round(shares[..., :4] * 255).astype(np.uint8)
    pillow = Image.frombytes("CMYK", (WIDTH, HEIGHT), ink.tobytes()).convert("RGB")
    assert np.array_equal(image.rgb, np.array(pillow))
    assert (image.alpha is not None) == alpha
    assert len(image.notes) == 1 and "CMYK" in image.notes[0]


def lab_grid() -> tuple[np.ndarray, np.ndarray]:
    """L*a*b* colours that sRGB has (H×W×3), and the sRGB that littleCMS gives them."""
    rgb = np.random.default_rng(4).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    lab = cv2.cvtColor((rgb / 255).astype(np.float32), cv2.COLOR_RGB2Lab)
    return lab.round(), rgb


def lcms_from_lab(stored: np.ndarray) -> np.ndarray:
    """8-bit CIELab as TIFF stores it, through ImageCms."""
    image = Image.frombytes("LAB", (stored.shape[1], stored.shape[0]), np.ascontiguousarray(stored).tobytes())
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    # the optimised transformation interpolates coarsely
    exact = ImageCms.Flags.NOOPTIMIZE
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB", flags=exact)
    assert converted is not None
    return np.array(converted)


@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_lab(tmp_path, photometric, depth, order):
    lab, _ = lab_grid()
    signed = np.dstack([np.round(lab[..., 0] * 2.55), lab[..., 1:]])
    # what 8 bits hold, so that every encoding stores the same colours
    offset = 128 if photometric == "icclab" else 0
    stored = (signed + np.array([0, offset, offset])).astype(np.int64)
    if depth == 16:
        wide_lightness = stored[..., :1] * (256 if photometric == "icclab" else 257)
        stored = np.concatenate([wide_lightness, stored[..., 1:] * 256], axis=2)
    stored = (stored % 2**depth).astype(f"u{depth // 8}")
    path = write(tmp_path / "a.tif", stored, depth, photometric=photometric, byteorder=order)
    pillow = (signed.astype(np.int64) % 256).astype(np.uint8)
    got = read_image(path).rgb.astype(int)
    # littleCMS works in 16 bits on the way
    assert np.abs(got - lcms_from_lab(pillow)).max() <= 2


@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
def test_ycbcr(tmp_path, compression):
    stored, _ = noise(3, 8)
    path = write(tmp_path / "a.tif", stored, 8, photometric="ycbcr", compression=compression)
    theirs = cv2.imread(str(path))
    assert theirs is not None
    assert np.abs(read_image(path).rgb.astype(int) - theirs[..., ::-1]).max() <= 1


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (2, 2), (4, 2)])
def test_subsampled_ycbcr_without_compression(tmp_path, across, down):
    width, height = 32, 16
    units = np.random.default_rng(1).integers(50, 200, (width // across) * (height // down) * (across * down + 2))
    tags = [
        *((256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 6), (273, 4, 1, 300)),
        *((277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(units)), (530, 3, 2, across | down << 16)),
    ]
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    data = head.ljust(200, b"\0") + struct.pack("<3H", 8, 8, 8)
    (tmp_path / "a.tif").write_bytes(data.ljust(300, b"\0") + units.astype(np.uint8).tobytes())
    theirs = cv2.imread(str(tmp_path / "a.tif"))
    assert theirs is not None
    assert np.abs(read_image(tmp_path / "a.tif").rgb.astype(int) - theirs[..., ::-1]).max() <= 1


@pytest.mark.parametrize(
    ("mode", "compression"), [("RGB", "jpeg"), ("L", "jpeg"), ("1", "group3"), ("1", "group4"), ("1", "tiff_ccitt")]
)
def test_jpeg_and_fax(tmp_path, mode, compression):
    smooth = cv2.resize(noise(3, 8)[0], (64, 64), interpolation=cv2.INTER_CUBIC)
    image = Image.fromarray(smooth).convert(mode)
    options: dict[str, Any] = {"quality": 95} if compression == "jpeg" else {}
    image.save(tmp_path / "a.tif", compression=compression, **options)
    difference = np.abs(read_image(tmp_path / "a.tif").rgb.astype(int) - np.array(image.convert("RGB")))
    assert difference.mean() < (4 if compression == "jpeg" else 0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_the_one_pillow_gives(tmp_path, orientation):
    stored, _ = noise(3, 8)
    path = write(tmp_path / "a.tif", stored, 8, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    with Image.open(path) as image:
        image.load()
        assert np.array_equal(read_image(path).rgb, np.array(image))


def test_the_first_whole_picture_is_read_not_its_preview(tmp_path):
    stored, _ = noise(3, 8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(stored[::4, ::4], photometric="rgb", subfiletype=1)
        file.write(stored, photometric="rgb")
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.rgb, stored) and image.notes == []


@pytest.mark.parametrize(
    ("x", "unit", "dpi"),
    [((300, 1), 2, 300), ((118, 1), 3, 118 * 2.54), ((300, 1), 1, None), ((300, 0), 2, None), ((0, 1), 2, None)],
)
def test_resolution(tmp_path, x, unit, dpi):
    path = write(tmp_path / "a.tif", noise(1, 8)[0], 8, photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag, value in ((282, x), (283, x), (296, unit)):
            file.pages.first.tags[tag].overwrite(value)
    assert read_image(path).dpi == (None if dpi is None else pytest.approx((dpi, dpi)))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_signed_levels_are_refused_as_such(tmp_path, dtype, photometric):
    stored = noise(CHANNELS[photometric], 8)[0].astype(dtype)
    with pytest.raises(InvalidImage, match=r"TIFF of signed numbers.*Save it .*8 or 16"):
        read_image(write(tmp_path / "a.tif", stored, 8, photometric=photometric))


def test_floats_above_white_are_told(tmp_path):
    path = write(tmp_path / "a.tif", noise(3, "f4")[0] * 4, "f4", photometric="rgb")
    image = read_image(path)
    assert image.rgb.max() == 255 and len(image.notes) == 1 and "above white" in image.notes[0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"photometric": "cfa"}, "raw file"),
        ({"photometric": "logluv"}, "LogLuv"),
        ({"photometric": "separated", "extratags": [(332, 3, 1, 2, True)]}, "other than CMYK"),
    ],
)
def test_what_is_not_supported_is_refused_in_true_words(tmp_path, options, text):
    count = {"separated": 4, "logluv": 3}.get(options["photometric"], 1)
    with pytest.raises(InvalidImage, match=text):
        read_image(write(tmp_path / "a.tif", noise(count, 8)[0], 8, **options))


@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
def test_a_file_that_ends_too_early_is_damaged(tmp_path, compression):
    stored, _ = noise(4, 16)
    path = write(
        tmp_path / "a.tif", stored, 16, photometric="rgb", extrasamples=["unassalpha"], compression=compression
    )
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(InvalidImage, match="damaged"):
        read_image(path)
