"""TIFF by all its tags, through tifffile: Pillow knows some of their combinations only, and misreads others."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, TiffImagePlugin

from sama_core.errors import InvalidImage
from sama_core.image_files import colour_tags
from sama_core.image_files.colour_space import RgbSpace
from sama_core.image_files.samples import DecodedFile, Samples, eight_bits, straightened
from sama_core.images import MAX_PIXELS, check_size

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR, _CIELAB, _ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
_RAW = (32803, 34892)
#: fax and JPEG, for which Pillow has libtiff
_PILLOW_S = (2, 3, 4, 6, 7)
_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _SEPARATED: 4, _CIELAB: 3, _ICCLAB: 3}
_OTHERS = {4: "a transparency mask", 10: "ITU L*a*b*", 32844: "LogL", 32845: "LogLuv"}
_SAMPLE_FORMATS = {2: "signed numbers", 5: "complex numbers", 6: "complex numbers"}
#: Bytes: a tile may be larger than a small picture, but not without end, as it is unpacked whole.
_MAX_TILE = 96 << 20
#: Where the picture is looked for among previews.
_MAX_PAGES = 64
_ASSOCIATED, _UNASSOCIATED = 1, 2
REMEDY = "Save it as RGB or grey with 8 or 16 bits a channel."


def read(path: Path) -> DecodedFile | None:
    """Read the first picture of a TIFF that is not a preview; None for what is left to Pillow: fax, JPEG and YCbCr.

    Raises:
        InvalidImage: it is of a kind that cannot be used, or over the size cap, which is decided from its tags.
        Exception: of many kinds, when it is damaged.
    """
    import tifffile

    notes: list[str] = []
    with _quiet(), tifffile.TiffFile(path) as file:
        page = _picture(file, path, notes)
        tags: dict[int, Any] = {number: page.tags.valueof(number) for number in _NUMBERS if number in page.tags}
        photometric = tags.get(262, _RGB if page.samplesperpixel >= 3 else _BLACK_IS_ZERO)
        if page.compression in _PILLOW_S or photometric == _YCBCR:
            return None
        bits = _checked(path, file, page, tags, photometric)
        samples = _samples(_planes(page), page, photometric, bits, tags, notes)
        profile = tags.get(34675) or b""
        space = None
        if samples.model in ("grey", "rgb") and not profile:
            space = colour_tags.of_tiff(tags, bits, notes) or _space_by_exif(path, notes)
        return DecodedFile(samples, bytes(profile), space, _whole(tags.get(274, 1)), _resolution(tags), notes)


_NUMBERS = (258, 262, 274, 282, 283, 296, 301, 318, 319, 320, 332, 338, 339, 34675)


def _picture(file: TiffFile, path: Path, notes: list[str]) -> TiffPage:
    """The page that is meant: the first that is neither a preview nor a mask."""
    import tifffile

    pages = [page for page in itertools.islice(file.pages, _MAX_PAGES) if isinstance(page, tifffile.TiffPage)]
    whole = [page for page in pages if not (page.subfiletype & 5)] or pages
    if not whole:
        raise InvalidImage(f"'{path}' is a TIFF without a picture. Save it again from its source.")
    inner = [child for page in pages if page.pages is not None for child in list(page.pages)[:8]]
    kinds = {child.tags.valueof(262) for child in [*pages, *inner] if isinstance(child, tifffile.TiffPage)}
    if kinds & set(_RAW) or any(50706 in page.tags for page in pages):
        raise InvalidImage(f"'{path}' is a camera's raw file. Develop it, and save it as TIFF, PNG or JPEG.")
    if len(whole) > 1:
        notes.append("The file holds several pictures; the first one is used.")
    return whole[0]


def _checked(path: Path, file: TiffFile, page: TiffPage, tags: dict[int, Any], photometric: int) -> int:
    """Return the bits a sample, once the tags say nothing that cannot be read or takes too much memory."""
    check_size(page.imagewidth, page.imagelength)

    def refuse(how: str, remedy: str = REMEDY) -> InvalidImage:
        return InvalidImage(f"'{path}' is a TIFF {how}, which cannot be read. {remedy}")

    count = page.samplesperpixel
    if photometric not in _CHANNELS:
        raise refuse(f"in {_OTHERS.get(photometric, f'colours of kind {photometric}')}")
    if count < _CHANNELS[photometric]:
        raise refuse(f"with {count} channel{'s' if count > 1 else ''} for {_CHANNELS[photometric]}")
    if photometric == _SEPARATED and tags.get(332, 1) != 1:
        raise refuse("in inks other than CMYK")
    formats, depths = _several(tags.get(339, 1)), _several(tags.get(258, 1))
    lab = photometric in (_CIELAB, _ICCLAB)
    if len(depths) > 1 or (len(formats) > 1 and not lab):
        raise refuse("with different channels of different depth")
    kind, bits = max(formats), depths.pop()
    if kind in _SAMPLE_FORMATS and not (lab and kind == 2):
        raise refuse(f"of {_SAMPLE_FORMATS[kind]}, without an agreed black and white")
    floats = kind == 3
    if floats and (lab or photometric == _PALETTE):
        raise refuse("of floating-point numbers that are no light")
    depths_read = (16, 32, 64) if floats else (8, 16) if lab else range(1, 17 if photometric == _PALETTE else 33)
    if bits not in depths_read:
        raise refuse(f"of {bits} bits a channel")
    if page.imagedepth > 1 or page.tiledepth > 1:
        raise refuse("of a volume", "Save a slice of it.")
    pixels = page.imagewidth * page.imagelength
    bytes_a_pixel = count * (page.dtype.itemsize if page.dtype else 1)
    bytes_needed = pixels * bytes_a_pixel
    if count > 64 or bytes_needed > 16 * MAX_PIXELS:
        raise refuse(f"of {count} channels of {bits} bits, too large to be held in memory")
    if page.is_tiled and page.tilewidth * page.tilelength * bytes_a_pixel > max(_MAX_TILE, 4 * bytes_needed):
        raise refuse(f"of tiles of {page.tilewidth}×{page.tilelength} pixels", "Save it in strips.")
    size = file.filehandle.size
    if any(start + length > size for start, length in zip(page.dataoffsets, page.databytecounts, strict=True)):
        raise InvalidImage(f"'{path}' is damaged (it ends too early). Save it again from its source.")
    return bits


def _planes(page: TiffPage) -> np.ndarray:
    """The samples as stored, H×W×S."""
    stored = page.asarray(maxworkers=1)
    height, width, count = page.imagelength, page.imagewidth, page.samplesperpixel
    if page.planarconfig == 2 and count > 1:
        return np.moveaxis(stored.reshape(count, height, width), 0, 2)
    return stored.reshape(height, width, count)


def _samples(
    planes: np.ndarray, page: TiffPage, photometric: int, bits: int, tags: dict[int, Any], notes: list[str]
) -> Samples:
    channels = _CHANNELS[photometric]
    extra = _several_in_order(tags.get(338, ()))
    spare = planes.shape[2] - channels
    if spare and not extra and photometric != _SEPARATED:
        # Without the tag a fourth channel is what nearly every program means by it.
        extra = (_UNASSOCIATED,)
    kinds = [kind for kind in extra[:spare] if kind in (_ASSOCIATED, _UNASSOCIATED)]
    alpha = None
    if kinds:
        alpha = _full_scale(planes[..., channels + extra.index(kinds[0])], bits, [])
    if spare > len(kinds[:1]):
        notes.append("The file has more channels than its colours and transparency; those are left out.")
    colours = planes[..., :channels]
    opacity = None if alpha is None else np.ascontiguousarray(eight_bits(alpha))
    if photometric in (_CIELAB, _ICCLAB):
        return Samples("lab", _lab(colours, bits, photometric == _ICCLAB), opacity)
    if photometric == _PALETTE:
        return Samples("rgb", _looked_up(colours[..., 0], page.colormap, bits), opacity)
    levels = _full_scale(colours, bits, notes)
    if photometric == _WHITE_IS_ZERO:
        levels = np.iinfo(levels.dtype).max - levels
    if alpha is not None and kinds[0] == _ASSOCIATED:
        levels = straightened(levels, alpha)
    model = {_SEPARATED: "cmyk", _RGB: "rgb"}.get(photometric, "grey")
    return Samples(model, np.ascontiguousarray(levels), opacity)  # pyright: ignore[reportArgumentType]


def _full_scale(levels: np.ndarray, bits: int, notes: list[str]) -> np.ndarray:
    """Spread samples over the whole of uint8, or of uint16 where they are finer; floats are taken as 0 to 1."""
    if levels.dtype.kind == "f":
        levels = np.nan_to_num(levels.astype(np.float32), posinf=1.0, neginf=0.0)
        if levels.size and float(levels.max()) > 1.001:
            notes.append("The picture has levels above white (1.0), which are cut off.")
        return (np.clip(levels, 0, 1) * 65535 + 0.5).astype(np.uint16)
    if bits in (8, 16):
        return levels.astype(np.uint8 if bits == 8 else np.uint16)
    most = 2**bits - 1
    if bits < 8:
        return ((levels.astype(np.uint16) * 255 + most // 2) // most).astype(np.uint8)
    result = np.empty(levels.shape, np.uint16)
    for row, part in enumerate(levels):
        result[row] = (part.astype(np.uint64) * 65535 + most // 2) // most
    return result


def _lab(stored: np.ndarray, bits: int, icc: bool) -> np.ndarray:
    """L*a*b* from its encodings (TIFF 6.0, section 23; ICCLab: Adobe's technical note of 2002)."""
    numbers = stored.view(f"u{bits // 8}").astype(np.float32)
    wide = 1 << (bits - 8)
    if icc:
        return np.dstack([numbers[..., :1] * (100 / (255 * wide)), numbers[..., 1:] / wide - 128])
    signed = np.ascontiguousarray(stored[..., 1:]).view(f"i{bits // 8}").astype(np.float32)
    return np.dstack([numbers[..., :1] * (100 / (2**bits - 1)), signed / wide])


def _looked_up(indices: np.ndarray, palette: np.ndarray | None, bits: int) -> np.ndarray:
    if palette is None or palette.shape != (3, 2**bits):
        raise ValueError("its palette is missing or too short")
    # 8 bits are stored as their high byte, by some programs in the low one.
    entries = palette.T
    return (entries >> 8 if entries.max(initial=0) > 255 else entries).astype(np.uint8)[indices.astype(np.uint16)]


def _several(value: Any) -> set[int]:
    return {int(part) for part in _several_in_order(value)}


def _several_in_order(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (int(value),)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 1


def _resolution(tags: dict[int, Any]) -> tuple[float, float] | None:
    # Without a unit the numbers tell the pixels' shape only.
    scale = {2: 1.0, 3: 2.54}.get(tags.get(296, 2))
    try:
        (across, one), (down, other) = tags[282], tags[283]
        return None if scale is None else (across / one * scale, down / other * scale)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _space_by_exif(path: Path, notes: list[str]) -> RgbSpace | None:
    exif = Image.Exif()
    # What Pillow cannot follow says nothing of colours.
    with contextlib.suppress(Exception), path.open("rb") as file:
        exif.load_from_fp(file)
        return colour_tags.of_exif(exif, notes)
    return None


@contextlib.contextmanager
def by_libtiff() -> Iterator[None]:
    """Have Pillow read every TIFF by libtiff: its own decoder does not know subsampled colours."""
    before, TiffImagePlugin.READ_LIBTIFF = TiffImagePlugin.READ_LIBTIFF, True
    try:
        yield
    finally:
        TiffImagePlugin.READ_LIBTIFF = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep tifffile's remarks on odd files from the terminal."""
    log = logging.getLogger("tifffile")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
