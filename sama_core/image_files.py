"""Pictures on disk: read any photo as sRGB bytes, write masks and cut-outs whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms, ImageOps

from sama_core import drafts
from sama_core.errors import InvalidImage
from sama_core.image_limits import MAX_PIXELS, MAX_SIDE

if TYPE_CHECKING:
    from collections.abc import Callable

#: Pillow's names of the formats that are read; its rarely used parsers are kept away from strangers' files.
READ_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM")

#: Formats that keep every level of a mask or an alpha channel, by file name extension, with Pillow's options.
WRITE_FORMATS: dict[str, dict[str, object]] = {
    ".png": {"format": "PNG", "compress_level": 4},
    ".tif": {"format": "TIFF", "compression": "tiff_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_deflate"},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
}


#: How the names of unfinished files begin.
_DRAFT = ".sama-"


@dataclass(frozen=True)
class LoadedImage:
    """A picture from disk.

    Attributes:
        rgb: H×W×3 uint8, sRGB R'G'B', upright; under transparent pixels the colours in the file, as in GIMP.
        alpha: H×W uint8, or None when the file has no transparency.
        notes: what the reader did that a user may want to know.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)


def load_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Return the picture's colours (H×W×3 uint8, sRGB, upright) without its transparency: see `read_image`.

    Raises:
        InvalidImage: as `read_image`.
    """
    return read_image(path).rgb


def read_image(path: str | os.PathLike[str]) -> LoadedImage:
    """Read a PNG, JPEG, TIFF, WebP, BMP or PPM file of 8 or 16 bits a channel.

    EXIF orientation is applied and an embedded colour profile converted to sRGB; without one the numbers
    are taken as sRGB. 16-bit colour is reduced to 8 bits. Of several pages the first is read.

    Raises:
        InvalidImage: missing, unreadable, damaged, of another format, or over the size cap, which is decided
            from the file's header before pixels are decoded.
    """
    path = Path(path)
    notes: list[str] = []
    image = _decoded(path, notes)
    profile = image.info.get("icc_profile")
    colour, alpha = _colour_and_alpha(image, path)
    if profile:
        colour = _to_srgb(colour, profile, notes)
    rgb = np.array(colour.convert("RGB"))
    return LoadedImage(rgb, None if alpha is None else np.array(alpha), notes)


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a rough mask: H×W uint8, white is inside; where the file has transparency, what is opaque.

    Raises:
        InvalidImage: as `read_image`.
    """
    path = Path(path)
    colour, alpha = _colour_and_alpha(_decoded(path, []), path)
    if alpha is not None and alpha.getextrema() != (255, 255):
        return np.array(alpha)
    return np.array(colour.convert("RGB").convert("L"))


def check_output(path: str | os.PathLike[str], *inputs: str | os.PathLike[str] | None) -> None:
    """See, before any work, that a result can be written to `path`.

    Raises:
        InvalidImage: unknown extension, no such folder, a folder itself, or one of the `inputs`.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITE_FORMATS:
        raise InvalidImage(
            f"'{path.name}' cannot hold a soft mask or transparency. "
            f"Choose a file name that ends with {', '.join(WRITE_FORMATS)}."
        )
    if path.is_dir():
        raise InvalidImage(f"'{path}' is a folder. Give the name of a file.")
    if not path.absolute().parent.is_dir():
        raise InvalidImage(f"There is no folder '{path.parent}'. Make it first, or write elsewhere.")
    if any(given is not None and path.exists() and path.samefile(given) for given in inputs):
        raise InvalidImage(f"'{path}' is the picture itself and is not overwritten. Choose another output file.")


def save_mask(path: str | os.PathLike[str], alpha: np.ndarray) -> None:
    """Write a mask or matte (H×W uint8) as a grey picture, replacing the file in one step.

    Raises:
        InvalidImage: the extension is none of `WRITE_FORMATS`.
        OSError: it cannot be written; an existing file is then as it was.
    """
    _save(Path(path), Image.fromarray(np.ascontiguousarray(alpha, np.uint8)))


def save_cutout(path: str | os.PathLike[str], rgb: np.ndarray, alpha: np.ndarray) -> None:
    """Write colours (H×W×3 uint8, sRGB) and alpha (H×W uint8, not premultiplied) as one picture, in one step.

    Raises:
        InvalidImage: the extension is none of `WRITE_FORMATS`.
        OSError: it cannot be written; an existing file is then as it was.
    """
    _save(Path(path), Image.fromarray(np.dstack([rgb, alpha])))


def _decoded(path: Path, notes: list[str]) -> Image.Image:
    if path.is_dir():
        raise InvalidImage(f"'{path}' is a folder. Give the name of a picture.")
    if path.exists() and not path.is_file():
        raise InvalidImage(f"'{path}' is not a file. Save the picture to one first.")
    try:
        with warnings.catch_warnings():
            # Pillow's own, lower size limit and its remarks on odd metadata: the cap below decides.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=READ_FORMATS) as image:
                _check_size(*image.size)
                if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                    notes.append("The file holds several pictures; the first one is used.")
                image.load()
                upright = ImageOps.exif_transpose(image)
                upright.format = image.format
                return upright
    except InvalidImage:
        raise
    except FileNotFoundError:
        raise InvalidImage(f"There is no file '{path}'. Check the name.") from None
    except PermissionError:
        raise InvalidImage(f"'{path}' may not be read. Check its permissions.") from None
    except Image.DecompressionBombError:
        raise _oversized("more than 170 megapixels") from None
    except Image.UnidentifiedImageError:
        raise InvalidImage(f"'{path}' is not a picture that can be read. Use PNG, JPEG, TIFF or WebP.") from None
    except MemoryError:
        raise InvalidImage(f"There is not enough memory to read '{path}'. Work on a smaller copy.") from None
    except Exception as error:  # Pillow's readers answer a damaged file with many kinds of exception.
        raise InvalidImage(f"'{path}' is damaged ({error}). Save it again from its source.") from None


def _check_size(width: int, height: int) -> None:
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise _oversized(f"{width}×{height}")


def _oversized(size: str) -> InvalidImage:
    return InvalidImage(
        f"The picture is {size}; up to {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE} pixels a side "
        "can be used. Work on a smaller copy or a crop."
    )


def _colour_and_alpha(image: Image.Image, path: Path) -> tuple[Image.Image, Image.Image | None]:
    """Return the picture as 8-bit L, RGB or CMYK in its own colour space, and its alpha as L or None."""
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        if image.mode not in ("LA", "RGBA"):
            image = image.convert("RGBA")
        *channels, alpha = image.split()
        return Image.merge("RGB" if len(channels) == 3 else "L", channels), alpha
    if image.mode in ("L", "RGB", "CMYK") and "transparency" in image.info:
        # PNG's one transparent colour.
        return image, image.convert("RGBA").getchannel("A")
    # Older Pillow reads 16-bit PNG and PPM as "I"; of a TIFF that mode says 32 bits.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return _eight_bits(image, path), None
    if image.mode in ("L", "RGB", "CMYK"):
        return image, None
    if image.mode in ("1", "YCbCr"):
        return image.convert("L" if image.mode == "1" else "RGB"), None
    raise InvalidImage(
        f"'{path}' stores its colours in a way that cannot be read ({image.mode}). Save it with 8 or 16 bits a channel."
    )


def _eight_bits(image: Image.Image, path: Path) -> Image.Image:
    levels = np.array(image).astype(np.int64)
    if levels.min(initial=0) < 0 or levels.max(initial=0) > 65535:
        raise InvalidImage(f"'{path}' has more than 16 bits a channel. Save it with 8 or 16.")
    return Image.fromarray(((levels + 128) // 257).astype(np.uint8))


def _to_srgb(colour: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if colour.mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
            return colour
        converted = ImageCms.profileToProfile(
            colour,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("The picture's colour profile cannot be used; its colours are taken as sRGB.")
        return colour
    assert converted is not None
    return converted


def _save(path: Path, image: Image.Image) -> None:
    check_output(path)
    options = WRITE_FORMATS[path.suffix.lower()]
    _replace(path, lambda file: image.save(file, **options))  # pyright: ignore[reportArgumentType]


def _replace(path: Path, write: Callable[[io.BufferedIOBase], None]) -> None:
    folder = path.absolute().parent
    _remove_stale_drafts(folder)
    descriptor, draft_name = tempfile.mkstemp(prefix=_DRAFT, suffix=f".draft{path.suffix}", dir=folder)
    draft = Path(draft_name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
        mask = os.umask(0)
        os.umask(mask)
        draft.chmod(0o666 & ~mask)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _remove_stale_drafts(folder: Path) -> None:
    """Remove what a run that was killed while it wrote has left in `folder`, once it is surely nobody's."""
    with contextlib.suppress(OSError):
        for draft in folder.glob(f"{_DRAFT}*.draft.*"):
            if drafts.is_stale(draft):
                draft.unlink()
