"""Reading: which library takes which file, its size before its pixels, and the picture upright in sRGB."""

from __future__ import annotations

import math
import os
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from sama_core.errors import InvalidImage
from sama_core.image_files import colour_tags, tiff
from sama_core.image_files.samples import DecodedFile, Samples, eight_bits, of_pillow
from sama_core.image_files.to_srgb import as_they_are, to_srgb
from sama_core.images import check_size, oversized

#: Pillow's names of the formats that are read; its rarely used parsers are kept away from strangers' files.
READ_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "AVIF")

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
#: How files begin that people take for photos, and what they are.
_NOT_READ = {
    b"GIF8": "a GIF file",
    b"8BPS": "a Photoshop file",
    b"gimp xcf": "a GIMP file",
    b"%PDF": "a PDF file",
    b"\xff\x0a": "a JPEG XL file",
    b"\0\0\0\x0cJXL ": "a JPEG XL file",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 file",
    b"v/1\x01": "an OpenEXR file",
    b"#?RADIANCE": "a Radiance HDR file",
    b"FUJIFILMCCD-RAW": "a camera's raw file",
    b"IIU\0": "a camera's raw file",
    b"IIRO": "a camera's raw file",
}
_USE = "Use PNG, JPEG, TIFF, WebP, AVIF or HEIC."
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128


@dataclass(frozen=True)
class LoadedImage:
    """A picture from disk.

    Attributes:
        rgb: H×W×3 uint8, sRGB R'G'B', upright; under transparent pixels the colours in the file, as in GIMP.
        alpha: H×W uint8, or None when the file has no transparency.
        notes: what the reader did that a user may want to know.
        dpi: dots per inch across and down the upright picture, or None when the file does not say.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)
    dpi: tuple[float, float] | None = None


def load_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Return the picture's colours (H×W×3 uint8, sRGB, upright) without its transparency: see `read_image`.

    Raises:
        InvalidImage: as `read_image`.
    """
    return read_image(path).rgb


def read_image(path: str | os.PathLike[str]) -> LoadedImage:
    """Read a PNG, JPEG, TIFF, WebP, AVIF, BMP or PPM file, or HEIC where pillow-heif is installed.

    EXIF orientation is applied. Colours are converted to sRGB from an embedded profile or from what the file says by
    other means (PNG's and TIFF's tags, EXIF, code points); without any the numbers are taken as sRGB. Deeper colour is
    reduced to 8 bits after that. Of several pages the first is read.

    Raises:
        InvalidImage: missing, unreadable, damaged, of another format, or over the size cap, which is decided
            from the file's header before pixels are decoded.
    """
    picture = _decoded(Path(path))
    rgb = _upright(_with_memory(path, to_srgb, picture), picture.orientation)
    alpha = picture.samples.alpha
    dpi = _possible(picture.dpi)
    if dpi is not None and picture.orientation in (5, 6, 7, 8):
        dpi = dpi[1], dpi[0]
    return LoadedImage(rgb, None if alpha is None else _upright(alpha, picture.orientation), picture.notes, dpi)


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a rough mask: H×W uint8, white is inside; where the file has transparency, what is opaque.

    Raises:
        InvalidImage: as `read_image`.
    """
    picture = _decoded(Path(path))
    alpha = picture.samples.alpha
    if alpha is not None and alpha.min(initial=255) < 255:
        return _upright(alpha, picture.orientation)
    rgb = _with_memory(path, as_they_are, picture.samples)
    return _upright(np.array(Image.fromarray(rgb).convert("L")), picture.orientation)


def _decoded(path: Path) -> DecodedFile:
    head = b""
    try:
        if path.is_dir():
            raise InvalidImage(f"'{path}' is a folder. Give the name of a picture.")
        if path.exists() and not path.is_file():
            raise InvalidImage(f"'{path}' is not a file. Save the picture to one first.")
        with path.open("rb") as file:
            head = file.read(64)
        with warnings.catch_warnings():
            # Pillow's own, lower size limit and its remarks on odd metadata: the cap decides.
            warnings.simplefilter("ignore")
            picture = tiff.read(path) if head.startswith(tiff.MAGIC) else None
            return picture or _by_pillow(path, head)
    except InvalidImage:
        raise
    except FileNotFoundError:
        raise InvalidImage(f"There is no file '{path}'. Check the name.") from None
    except PermissionError:
        raise InvalidImage(f"'{path}' may not be read. Check its permissions.") from None
    except Image.DecompressionBombError:
        raise oversized("more than 170 megapixels") from None
    except Image.UnidentifiedImageError:
        if head.startswith(tiff.MAGIC):
            raise InvalidImage(f"'{path}' is a TIFF of a kind that cannot be read. {tiff.REMEDY}") from None
        what = next((f"{what}, " for magic, what in _NOT_READ.items() if head.startswith(magic)), "")
        raise InvalidImage(f"'{path}' is {what}not a picture that can be read. {_USE}") from None
    except MemoryError:
        raise _too_little_memory(path) from None
    except Exception as error:  # Readers answer a damaged file with many kinds of exception.
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise InvalidImage(f"'{path}' is damaged ({words}). Save it again from its source.") from None


def _by_pillow(path: Path, head: bytes) -> DecodedFile:
    notes: list[str] = []
    with tiff.by_libtiff(), Image.open(path, formats=(*READ_FORMATS, *_more_formats(path, head))) as image:
        check_size(*image.size)
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            notes.append("The file holds several pictures; the first one is used.")
        samples = _samples(image, path, head)
        exif = image.getexif()
        profile = image.info.get("icc_profile") or b""
        points = _code_points(image, path, bool(profile))
        space = None
        if points is not None:
            profile = b""
            space = colour_tags.of_code_points(*points, notes)
        elif not profile:
            space = colour_tags.of_png(image.info, notes) or colour_tags.of_exif(exif, notes)
        return DecodedFile(samples, profile, space, exif.get(_ORIENTATION, 1), _resolution(image.info, exif), notes)


def _more_formats(path: Path, head: bytes) -> tuple[str, ...]:
    """What this file needs to be read besides `READ_FORMATS`.

    Raises:
        InvalidImage: it needs something that is not installed.
    """
    if head[4:8] != b"ftyp":
        return ()
    if head[8:12] in _AVIF_BRANDS:
        if not features.check("avif"):
            raise InvalidImage(
                f"'{path}' is AVIF, which this Pillow cannot read. Install another: "
                f"“{sys.executable} -m pip install --upgrade pillow”, or save the picture as PNG."
            )
        return ()
    if head[8:12] not in _HEIC_BRANDS:
        return ()
    try:
        import pillow_heif
    except ImportError:
        raise InvalidImage(
            f"'{path}' is HEIC, which needs one more package: “{sys.executable} -m pip install pillow-heif”. "
            "Or save the picture as JPEG, TIFF or PNG."
        ) from None
    pillow_heif.register_heif_opener(thumbnails=False)
    return ("HEIF",)


def _samples(image: Image.Image, path: Path, head: bytes) -> Samples:
    if image.format == "PNG" and image.mode != "P" and (head[24] == 16 or "transparency" in image.info):
        # Pillow halves the depth of 16-bit colour, and compares a transparent level only at 8 bits.
        import imagecodecs

        levels = imagecodecs.png_decode(path.read_bytes())
        levels = levels.reshape(*levels.shape[:2], -1)
        alpha = eight_bits(levels[..., -1]) if levels.shape[2] in (2, 4) else None
        colours = levels if alpha is None else levels[..., :-1]
        return Samples("rgb" if colours.shape[2] == 3 else "grey", colours, alpha)
    image.load()
    return of_pillow(image, str(path))


def _code_points(image: Image.Image, path: Path, has_profile: bool) -> tuple[int, int] | None:
    """Primaries and transfer by code points, where they count for more than what else the file says."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return colour_tags.code_points_of_png(file)
    if has_profile:
        return None
    points = None
    if image.format == "AVIF":
        with path.open("rb") as file:
            points = colour_tags.code_points_of_avif(file)
    elif said := image.info.get("nclx_profile"):
        points = said["color_primaries"], said["transfer_characteristics"]
    # Writers put sRGB there where they know nothing: EXIF may know more.
    return None if points == colour_tags.SRGB_CODE_POINTS else points


def _resolution(info: dict[Any, Any], exif: Image.Exif) -> tuple[float, float] | None:
    try:
        if "dpi" in info:
            x, y = info["dpi"]
        else:
            scale = {2: 1.0, 3: 2.54}[exif.get(_RESOLUTION_UNIT, 2)]
            x, y = (float(exif[number]) * scale for number in (_X_RESOLUTION, _Y_RESOLUTION))
        return float(x), float(y)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _possible(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    return dpi if dpi and all(math.isfinite(each) and 1 <= each <= 100_000 for each in dpi) else None


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn H×W(×C) pixels as EXIF's orientation asks; the result is an array of its own."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _with_memory(path: str | os.PathLike[str], convert: Any, given: Any) -> np.ndarray:
    try:
        return convert(given)
    except MemoryError:
        raise _too_little_memory(path) from None


def _too_little_memory(path: str | os.PathLike[str]) -> InvalidImage:
    return InvalidImage(f"There is not enough memory to read '{path}'. Work on a smaller copy.")
