"""What a file's numbers mean: profiles, PNG's and TIFF's tags, EXIF and code points, beside littleCMS."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from sama_core.image_files import LoadedImage, read_image

RGB = np.random.default_rng(6).integers(0, 256, (24, 40, 3), dtype=np.uint8)
GREY = RGB[..., 0]
#: the D50-adapted primaries of some spaces, as their profiles have them
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
PRIMARIES = {"sRGB": SRGB, "Adobe": ADOBE, "P3": P3}


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def curve_table(exponent: float, count: int) -> bytes:
    entries = np.round(np.linspace(0, 1, count) ** exponent * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", count) + entries.tobytes()


def parametric(kind: int, *values: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + fixed(*values)


SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
CURVES = {
    "linear": b"curv" + bytes(8),
    "1.8": b"curv" + bytes(4) + struct.pack(">IH", 1, round(1.8 * 256)),
    "2.2": b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)),
    "table": curve_table(2.4, 4096),
    "short table": curve_table(1.5, 17),
    "para 0": parametric(0, 2.2),
    "para 1": parametric(1, 2.0, 1.1, -0.1),
    "para 2": parametric(2, 2.0, 0.9, -0.1, 0.1),
    "sRGB": SRGB_CURVE,
    "para 4": parametric(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0),
}


def profile(tags: dict[bytes, bytes], space: bytes = b"RGB ", connection: bytes = b"XYZ ", name: str = "sRGB") -> bytes:
    """An ICC profile of version 4 with these tags; its name says nothing."""
    text = name.encode("utf-16-be")
    tags = {
        b"desc": b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text,
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249),
        **tags,
    }
    body, table, start = b"", b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", tag, start + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x04300000, b"mntr", space, connection)
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def rgb_profile(curve: bytes, primaries=SRGB, **options) -> bytes:
    tags = {name: b"XYZ " + bytes(4) + fixed(*xyz) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries)}  # noqa: B905
    return profile({**tags, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)}, **options)


def grey_profile(curve: bytes) -> bytes:
    return profile({b"kTRC": curve}, space=b"GRAY")


def by_lcms(image: Image.Image, icc: bytes, flags: int = ImageCms.Flags.NOOPTIMIZE) -> np.ndarray:
    converted = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags(ImageCms.Flags.BLACKPOINTCOMPENSATION | flags),
    )
    assert converted is not None
    return np.array(converted).astype(int)


def png(samples: np.ndarray, *chunks: bytes) -> bytes:
    """A PNG of H×W×C samples of 8 or 16 bits, with chunks before its pixels."""
    height, width, count = samples.shape
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, samples.dtype.itemsize * 8, {1: 0, 2: 4, 3: 2, 4: 6}[count], 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = (chunk(b"IHDR", head), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_profile(icc: bytes) -> bytes:
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(icc))


def read(path: Path, data: bytes) -> LoadedImage:
    path.write_bytes(data)
    return read_image(path)


def levels(deep: bool, colours: np.ndarray) -> np.ndarray:
    return colours.astype(np.uint16) * 257 if deep else colours


def flags_for(curve: str) -> int:
    """Its black is not black: that is left to littleCMS as it is, which cuts such curves off without optimising."""
    return 0 if curve == "para 2" else ImageCms.Flags.NOOPTIMIZE


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("primaries", PRIMARIES)
@pytest.mark.parametrize("deep", [False, True])
def test_rgb_profiles_mean_what_their_curves_and_primaries_say(tmp_path, curve, primaries, deep):
    icc = rgb_profile(CURVES[curve], PRIMARIES[primaries], name="GIMP built-in Linear sRGB")
    image = read(tmp_path / "a.png", png(levels(deep, RGB), with_profile(icc)))
    assert np.abs(image.rgb - by_lcms(Image.fromarray(RGB), icc, flags_for(curve))).max() <= 1
    assert image.notes == []
    if primaries == "sRGB" and curve in ("sRGB", "para 4"):
        assert np.array_equal(image.rgb, RGB)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_grey_profiles_on_grey_of_every_depth(tmp_path, curve, deep, alpha, kind):
    icc = grey_profile(CURVES[curve])
    samples = levels(deep, np.dstack([GREY, RGB[..., 1]]) if alpha else GREY[..., None])
    if kind == "png":
        image = read(tmp_path / "a.png", png(samples, with_profile(icc)))
    else:
        extra = {"extrasamples": ["unassalpha"], "planarconfig": "contig"} if alpha else {}
        stored = samples if alpha else samples[..., 0]
        tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", iccprofile=icc, **extra)
        image = read_image(tmp_path / "a.tif")
    assert np.abs(image.rgb - by_lcms(Image.fromarray(GREY), icc, flags_for(curve))).max() <= 1
    assert image.notes == []
    assert alpha == (image.alpha is not None)
    if image.alpha is not None:
        assert np.array_equal(image.alpha, RGB[..., 1])


@pytest.mark.parametrize("curve", ["linear", "2.2", "sRGB"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_an_rgb_profile_on_a_grey_picture_counts(tmp_path, curve, name):
    icc = rgb_profile(CURVES[curve])
    smooth = np.tile(np.arange(0, 256, 4, np.uint8), (32, 1))
    Image.fromarray(smooth).save(tmp_path / name, icc_profile=icc, quality=98)
    with Image.open(tmp_path / name) as stored:
        expected = by_lcms(stored.convert("RGB"), icc)
    image = read_image(tmp_path / name)
    assert np.abs(image.rgb - expected).max() <= 1 and image.notes == []


def test_shadows_of_a_deep_linear_picture_are_kept(tmp_path):
    shadows = np.arange(0, 655, dtype=np.uint16).reshape(5, 131)
    image = read(tmp_path / "a.png", png(np.dstack([shadows] * 3), with_profile(rgb_profile(CURVES["linear"]))))
    linear = shadows / 65535
    exact = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(image.rgb[..., 0] - exact).max() < 0.6
    assert len(np.unique(image.rgb)) > 20


def lut_profile(space: bytes) -> bytes:
    """A v2 profile by a table (lut8Type) from RGB, grey or CMYK to Lab: a colour cube of its two ends each way."""
    count = {b"RGB ": 3, b"CMYK": 4}[space]
    identity = bytes(range(256))
    corners = []
    for number in range(2**count):
        bits = [number >> (count - 1 - place) & 1 for place in range(count)]
        light = [1 - ink for ink in bits[:3]] if count == 4 else bits
        light = [share * (0 if count == 4 and bits[3] else 1) for share in light]
        corners += [int(sum(light) * 85), 128 + 60 * (light[0] - light[1]), 128 + 60 * (light[1] - light[2])]
    table = b"mft1" + bytes(4) + bytes([count, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return profile({b"A2B0": table + identity * count + bytes(corners) + identity * 3}, space=space, connection=b"Lab ")


@pytest.mark.parametrize("alpha", [False, True])
def test_profiles_by_tables_are_left_to_lcms(tmp_path, alpha):
    icc = lut_profile(b"RGB ")
    samples = np.dstack([RGB, GREY]) if alpha else RGB
    image = read(tmp_path / "a.png", png(samples, with_profile(icc)))
    assert np.abs(image.rgb - by_lcms(Image.fromarray(RGB), icc, flags=0)).max() <= 1
    assert image.notes == []


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_profiles(tmp_path, deep, name):
    icc = lut_profile(b"CMYK")
    ink = np.zeros((16, 16, 4), np.uint8) + np.array([40, 200, 90, 30], np.uint8)
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, levels(deep, ink), photometric="separated", iccprofile=icc)
    else:
        Image.fromarray(ink, "CMYK").save(tmp_path / name, quality=100, subsampling=0, icc_profile=icc)
    image = read_image(tmp_path / name)
    assert np.abs(image.rgb - by_lcms(Image.fromarray(ink, "CMYK"), icc)).max() <= 5
    assert image.notes == []


@pytest.mark.parametrize(
    ("icc", "text"),
    [
        (b"no profile at all", "is damaged"),
        (rgb_profile(CURVES["2.2"])[:200], "is damaged"),
        (rgb_profile(b"sf32" + bytes(12)), "is damaged"),
        (grey_profile(CURVES["2.2"]), "is made for grey pictures, not for RGB ones"),
        (profile({}, space=b"CMYK"), "is made for CMYK pictures, not for RGB ones"),
        (profile({}), "cannot be used"),
    ],
)
def test_a_profile_that_cannot_be_used_is_told_as_what_it_is(tmp_path, icc, text):
    image = read(tmp_path / "a.png", png(RGB, with_profile(icc)))
    assert np.array_equal(image.rgb, RGB)
    assert len(image.notes) == 1 and text in image.notes[0] and "taken as sRGB" in image.notes[0]


def chromaticities(*values: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


ADOBE_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


def gamma_chunk(value: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", value))


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(("value", "exponent"), [(100_000, 1.0), (55_556, 1.8), (38_462, 2.6), (65_000, 1 / 0.65)])
def test_gamma_of_png(tmp_path, deep, value, exponent):
    expected = by_lcms(Image.fromarray(RGB), rgb_profile(parametric(0, exponent)))
    image = read(tmp_path / "a.png", png(levels(deep, RGB), gamma_chunk(value)))
    assert np.abs(image.rgb - expected).max() <= 1 and image.notes == []
    grey = read(tmp_path / "g.png", png(levels(deep, GREY[..., None]), gamma_chunk(value)))
    expected = by_lcms(Image.fromarray(GREY).convert("RGB"), rgb_profile(parametric(0, exponent)))
    assert np.abs(grey.rgb - expected).max() <= 1


@pytest.mark.parametrize("deep", [False, True])
def test_primaries_of_png(tmp_path, deep):
    expected = by_lcms(Image.fromarray(RGB), rgb_profile(parametric(0, 1.8), ADOBE))
    chunks = (gamma_chunk(55_556), chromaticities(*ADOBE_CHROMATICITIES))
    image = read(tmp_path / "a.png", png(levels(deep, RGB), *chunks))
    assert np.abs(image.rgb - expected).max() <= 1 and image.notes == []


def test_what_says_srgb_in_a_png_changes_nothing(tmp_path):
    srgb = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    for chunks in (
        (gamma_chunk(45_455),),
        (gamma_chunk(45_455), chromaticities(*srgb)),
        (chunk(b"sRGB", b"\0"), gamma_chunk(100_000), chromaticities(*ADOBE_CHROMATICITIES)),
        (chunk(b"cICP", bytes((1, 13, 0, 1))), gamma_chunk(100_000)),
        (with_profile(rgb_profile(SRGB_CURVE)), gamma_chunk(100_000)),
    ):
        image = read(tmp_path / "a.png", png(RGB, *chunks))
        assert np.array_equal(image.rgb, RGB) and image.notes == []


@pytest.mark.parametrize("chunks", [(gamma_chunk(0),), (chromaticities(*[0.0] * 8),), (chromaticities(*[0.3] * 8),)])
def test_impossible_tags_of_a_png_are_told(tmp_path, chunks):
    image = read(tmp_path / "a.png", png(RGB, *chunks))
    assert np.array_equal(image.rgb, RGB) and len(image.notes) == 1


def test_code_points_of_a_png_come_before_its_profile(tmp_path):
    points = chunk(b"cICP", bytes((12, 13, 0, 1)))
    image = read(tmp_path / "a.png", png(RGB, points, with_profile(rgb_profile(CURVES["linear"]))))
    assert np.abs(image.rgb - by_lcms(Image.fromarray(RGB), rgb_profile(SRGB_CURVE, P3))).max() <= 1


@pytest.mark.parametrize(("transfer", "text"), [(16, "HDR (PQ)"), (18, "HDR (HLG)"), (99, "not known")])
def test_code_points_that_are_not_converted_are_told(tmp_path, transfer, text):
    image = read(tmp_path / "a.png", png(RGB, chunk(b"cICP", bytes((9, transfer, 0, 1)))))
    assert np.array_equal(image.rgb, RGB)
    assert len(image.notes) == 1 and text in image.notes[0]


def exif_of(color_space: int | None, interop: str | None) -> Image.Exif:
    exif = Image.Exif()
    ifd = exif.get_ifd(0x8769)
    if color_space is not None:
        ifd[0xA001] = color_space
    if interop is not None:
        ifd[0xA005] = {1: interop, 2: b"0100"}
    return exif


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
@pytest.mark.parametrize(
    ("color_space", "interop"), [(0xFFFF, "R03"), (None, "R03"), (2, None), (2, "R03"), (1, "R03")]
)
def test_cameras_that_tell_adobe_rgb_by_exif_alone(tmp_path, name, color_space, interop):
    if name == "a.tif" and color_space != 2:
        pytest.skip("Pillow writes no pointer to Interop into a TIFF that leads there")
    options = {"a.jpg": {"quality": 98, "subsampling": 0}, "a.webp": {"lossless": True}, "a.avif": {"quality": 100}}
    exif = exif_of(color_space, interop)
    flat = Image.new("RGB", (64, 64), (190, 60, 40))
    flat.save(tmp_path / name, exif=exif.tobytes(), **options.get(name, {}))
    image = read_image(tmp_path / name)
    assert np.abs(image.rgb.astype(int) - (221, 57, 34)).max() <= 3 and image.notes == []


@pytest.mark.parametrize(("color_space", "interop"), [(1, "R98"), (1, None), (None, None), (0xFFFF, "R98")])
def test_exif_that_says_srgb_changes_nothing(tmp_path, color_space, interop):
    exif = exif_of(color_space, interop).tobytes()
    image = read(tmp_path / "a.png", _saved(Image.fromarray(RGB), format="PNG", exif=exif))
    assert np.array_equal(image.rgb, RGB) and image.notes == []


def test_exif_that_says_not_srgb_and_no_more_is_told(tmp_path):
    image = read(tmp_path / "a.png", _saved(Image.fromarray(RGB), format="PNG", exif=exif_of(0xFFFF, None).tobytes()))
    assert np.array_equal(image.rgb, RGB)
    assert len(image.notes) == 1 and "not which" in image.notes[0]


def test_primaries_and_gamma_in_exif_count(tmp_path):
    exif = exif_of(0xFFFF, None)
    exif[318], exif[319] = ADOBE_CHROMATICITIES[:2], ADOBE_CHROMATICITIES[2:]
    exif.get_ifd(0x8769)[0xA500] = 1.8
    image = read(tmp_path / "a.png", _saved(Image.fromarray(RGB), format="PNG", exif=exif.tobytes()))
    expected = by_lcms(Image.fromarray(RGB), rgb_profile(parametric(0, 1.8), ADOBE))
    assert np.abs(image.rgb - expected).max() <= 1 and image.notes == []


def test_an_srgb_chunk_comes_before_exif(tmp_path):
    data = _saved(Image.fromarray(RGB), format="PNG", exif=exif_of(2, "R03").tobytes())
    image = read(tmp_path / "a.png", data[:33] + chunk(b"sRGB", b"\0") + data[33:])
    assert np.array_equal(image.rgb, RGB)


def test_a_profile_comes_before_exif(tmp_path):
    icc = rgb_profile(SRGB_CURVE)
    data = _saved(Image.fromarray(RGB), format="PNG", exif=exif_of(2, "R03").tobytes(), icc_profile=icc)
    assert np.array_equal(read(tmp_path / "a.png", data).rgb, RGB)


def _saved(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


@pytest.mark.parametrize("deep", [False, True])
def test_primaries_and_transfer_function_of_tiff(tmp_path, deep):
    def ratios(values):
        return [part for value in values for part in (round(value * 10_000), 10_000)]

    entries = 2 ** (16 if deep else 8)
    transfer = np.round(np.linspace(0, 1, entries) ** 1.8 * 65535).astype(int).tolist()
    tags = [
        (318, 5, 2, ratios(ADOBE_CHROMATICITIES[:2]), True),
        (319, 5, 6, ratios(ADOBE_CHROMATICITIES[2:]), True),
        (301, 3, entries, transfer, True),
    ]
    tifffile.imwrite(tmp_path / "a.tif", levels(deep, RGB), photometric="rgb", extratags=tags)
    image = read_image(tmp_path / "a.tif")
    expected = by_lcms(Image.fromarray(RGB), rgb_profile(parametric(0, 1.8), ADOBE))
    assert np.abs(image.rgb - expected).max() <= 1 and image.notes == []
