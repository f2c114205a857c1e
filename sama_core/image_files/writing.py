"""Writing masks and cut-outs, whole or not at all, and seeing beforehand that it will be possible."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from sama_core import files
from sama_core.errors import InvalidImage

#: Formats that keep every level of a mask or an alpha channel, by file name extension, with Pillow's options.
WRITE_FORMATS: dict[str, dict[str, object]] = {
    ".png": {"format": "PNG", "compress_level": 4},
    ".tif": {"format": "TIFF", "compression": "tiff_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_deflate"},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
}

#: Pixels a side, where a format holds fewer than are read.
_MAX_SIDES = {".webp": 16383}
#: Bytes a pixel that a result surely takes, well under what photos' masks and cut-outs took.
_BYTES_A_PIXEL = {1: 0.004, 4: 0.3}
#: How the names of unfinished files begin.
_DRAFT = ".sama-"


class NoRoom(InvalidImage):
    """The disk has not enough room for a result."""


def check_output(path: str | os.PathLike[str], *inputs: str | os.PathLike[str] | None) -> None:
    """See, before any work, that a result can be written to `path`; a link is followed.

    Raises:
        InvalidImage: unknown extension, no such folder or one that cannot be written to, something that is no file or
            is write-protected, or one of the `inputs`.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITE_FORMATS:
        raise InvalidImage(
            f"'{path.name}' cannot hold a soft mask or transparency. "
            f"Choose a file name that ends with {', '.join(WRITE_FORMATS)}."
        )
    try:
        target = _target(path)
        if path.is_dir():
            raise InvalidImage(f"'{path}' is a folder. Give the name of a file.")
        if target.is_symlink():
            raise InvalidImage(f"'{path}' is a link that leads nowhere. Remove it, or choose another output file.")
        if not target.parent.is_dir():
            folder = path.parent if target == path.absolute() else target.parent
            raise InvalidImage(f"There is no folder '{folder}'. Make it first, or write elsewhere.")
        if target.exists():
            if any(given is not None and target.samefile(given) for given in inputs if given and Path(given).exists()):
                raise InvalidImage(
                    f"'{path}' is the picture itself and is not overwritten. Choose another output file."
                )
            if not target.is_file():
                raise InvalidImage(f"'{path}' is not a file. Choose another output file.")
            if not os.access(target, os.W_OK):
                raise InvalidImage(f"'{path}' is write-protected. Choose another output file.")
        descriptor, draft = _open_draft(target)
        os.close(descriptor)
        draft.unlink()
    except OSError as error:
        raise InvalidImage(
            f"'{path}' cannot be written: {error.strerror or error}. Choose another output file."
        ) from None


def check_room(path: str | os.PathLike[str], height: int, width: int, channels: int) -> None:
    """See, before any work, that a result of this size can be held by the format and the disk of `path`.

    Args:
        path: one that `check_output` let pass.
        height: of the picture, in pixels.
        width: likewise.
        channels: 1 for a mask or matte, 4 for a cut-out.

    Raises:
        InvalidImage: the format holds no such picture.
        NoRoom: the disk has surely not enough room.
    """
    path = Path(path)
    _check_side(path, height, width)
    needed = height * width * _BYTES_A_PIXEL[channels]
    try:
        free = shutil.disk_usage(_target(path).parent).free
    except OSError:
        return
    # A full disk has no room even for little.
    if free < needed + 4096:
        raise NoRoom(
            f"The disk has {free / 1e6:.1f} MB left, and the result needs {max(needed / 1e6, 0.1):.1f} MB or more. "
            "Make room, or write to another disk."
        )


def save_mask(path: str | os.PathLike[str], alpha: np.ndarray, dpi: tuple[float, float] | None = None) -> None:
    """Write a mask or matte (H×W uint8) as a grey picture, replacing the file in one step; a link is followed.

    Args:
        path: its extension says which of `WRITE_FORMATS`.
        alpha: what to write.
        dpi: dots per inch across and down, to be kept in the file.

    Raises:
        InvalidImage: the extension is none of `WRITE_FORMATS`, or the format holds no picture of this size.
        OSError: it cannot be written; an existing file is then as it was.
    """
    _save(Path(path), Image.fromarray(np.ascontiguousarray(alpha, np.uint8)), dpi)


def save_cutout(
    path: str | os.PathLike[str], rgb: np.ndarray, alpha: np.ndarray, dpi: tuple[float, float] | None = None
) -> None:
    """Write colours (H×W×3 uint8, sRGB) and alpha (H×W uint8, not premultiplied) as one picture, as `save_mask` does.

    Raises:
        InvalidImage: as `save_mask`.
        OSError: as `save_mask`.
    """
    _save(Path(path), Image.fromarray(np.dstack([rgb, alpha])), dpi)


def _save(path: Path, image: Image.Image, dpi: tuple[float, float] | None) -> None:
    options = WRITE_FORMATS.get(path.suffix.lower())
    if options is None:
        check_output(path)
        return
    _check_side(path, image.height, image.width)
    if dpi is not None:
        options = {**options, **_resolution(str(options["format"]), dpi)}
    with files.named_in_errors(path):
        _replace(_target(path), lambda file: image.save(file, **options))  # pyright: ignore[reportArgumentType]


def _resolution(form: str, dpi: tuple[float, float]) -> dict[str, object]:
    """Pillow's options that keep dots per inch; WebP has EXIF for them."""
    if form != "WEBP":
        return {"dpi": dpi}
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = (*dpi, 2)
    return {"exif": exif}


def _check_side(path: Path, height: int, width: int) -> None:
    most = _MAX_SIDES.get(path.suffix.lower())
    if most is not None and max(height, width) > most:
        raise InvalidImage(
            f"A {path.suffix.lower()} file holds at most {most} pixels a side, and the picture is {width}×{height}. "
            "Choose a file name that ends with .png or .tif."
        )


def _target(path: Path) -> Path:
    """Where a link leads, which is what people who made one want replaced."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path.absolute()


def _open_draft(target: Path) -> tuple[int, Path]:
    descriptor, name = tempfile.mkstemp(prefix=_DRAFT, suffix=f".draft{target.suffix}", dir=target.parent)
    return descriptor, Path(name)


def _replace(target: Path, write: Callable[[IO[bytes]], None]) -> None:
    _remove_stale_drafts(target.parent)
    descriptor, draft = _open_draft(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
        mask = os.umask(0)
        os.umask(mask)
        draft.chmod(0o666 & ~mask)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _remove_stale_drafts(folder: Path) -> None:
    """Remove what a run that was killed while it wrote has left in `folder`, once it is surely nobody's."""
    with contextlib.suppress(OSError):
        for draft in folder.glob(f"{_DRAFT}*.draft.*"):
            if files.is_stale(draft):
                draft.unlink()
