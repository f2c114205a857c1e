"""What a file says of its colours other than by an ICC profile: PNG's chunks, EXIF, TIFF's tags, code points."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from sama_core.image_files.colour_space import ADOBE_RGB, D65, SRGB, Curve, RgbSpace, gamma, srgb_curve, table

_EXIF, _INTEROP = 0x8769, 0xA005
_COLOR_SPACE, _GAMMA, _INTEROP_INDEX = 0xA001, 0xA500, 1
SRGB_CODE_POINTS = (1, 13)
_HDR = {16: "PQ", 18: "HLG"}
_C = (0.310, 0.316)
#: ITU-T H.273, table 2: white and primaries by code point.
_PRIMARIES = {
    1: (D65, ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))),
    4: (_C, ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08))),
    5: (D65, ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: (D65, ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    7: (D65, ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    8: (_C, ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049))),
    9: (D65, ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    11: ((0.314, 0.351), ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    12: (D65, ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    22: (D65, ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077))),
}


def _bt709_curve(values: np.ndarray) -> np.ndarray:
    return np.where(values < 0.081, values / 4.5, ((values + 0.099) / 1.099) ** (1 / 0.45))


#: H.273, table 3: transfer characteristics by code point.
_TRANSFERS: dict[int, Curve] = {
    **dict.fromkeys((1, 6, 11, 14, 15), _bt709_curve),
    4: gamma(2.2),
    5: gamma(2.8),
    8: gamma(1.0),
    13: srgb_curve,
}


def of_code_points(primaries: int, transfer: int, notes: list[str]) -> RgbSpace | None:
    """The space that coding-independent code points name (ITU-T H.273); None when they leave it open."""
    if primaries == 2 and transfer == 2:
        return None
    if transfer in _HDR:
        notes.append(
            f"The picture is HDR ({_HDR[transfer]}), which is not converted: its colours are taken as sRGB and look "
            "flat. For true ones, save it as SDR from its source."
        )
        return None
    if primaries not in (2, *_PRIMARIES) or transfer not in (2, *_TRANSFERS):
        notes.append("The picture names a colour space that is not known here; its colours are taken as sRGB.")
        return None
    white, corners = _PRIMARIES.get(primaries, _PRIMARIES[1])
    return RgbSpace.of_primaries(_TRANSFERS.get(transfer, srgb_curve), white, np.array(corners))


def of_png(info: Mapping[Any, Any], notes: list[str]) -> RgbSpace | None:
    """The space of PNG's sRGB, or else gAMA and cHRM chunks (PNG, third edition, 11.3.2), as Pillow read them."""
    if "srgb" in info:
        return SRGB
    if "gamma" not in info and "chromaticity" not in info:
        return None
    encoding = float(info.get("gamma", 0.45455))
    # The file's gamma for sRGB's own curve, as every program that writes no sRGB chunk has it.
    curve = srgb_curve if abs(encoding - 0.45455) < 0.005 else gamma(1 / encoding) if encoding > 0 else None
    numbers = info.get("chromaticity")
    if curve is None:
        notes.append("The picture's gamma is zero, which cannot be; its colours are taken as sRGB.")
        return None
    if numbers is None:
        return RgbSpace((curve, curve, curve), SRGB.to_xyz)
    return _of_numbers(curve, numbers[:2], numbers[2:], notes)


def of_tiff(tags: Mapping[int, Any], bits: int, notes: list[str]) -> RgbSpace | None:
    """The space of TIFF's WhitePoint, PrimaryChromaticities and TransferFunction (TIFF 6.0, section 20).

    Args:
        tags: by number, with rationals as flat pairs of integers.
        bits: of a sample.
        notes: where what cannot be used is told.
    """
    white, primaries, transfer = (tags.get(number) for number in (318, 319, 301))
    if white is None and primaries is None and transfer is None:
        return None
    curves: tuple[Curve, Curve, Curve] = (srgb_curve, srgb_curve, srgb_curve)
    if transfer is not None:
        entries = np.asarray(transfer, float).reshape(-1) / 65535
        if entries.size not in (2**bits, 3 * 2**bits):
            notes.append("The picture's transfer function is damaged; its colours are taken as sRGB.")
            return None
        tables = [table(part) for part in entries.reshape(-1, 2**bits)]
        curves = (tables[0], tables[-1 if len(tables) == 1 else 1], tables[-1])
    space = _of_numbers(
        curves[0],
        D65 if white is None else _ratios(white),
        (0.64, 0.33, 0.30, 0.60, 0.15, 0.06) if primaries is None else _ratios(primaries),
        notes,
    )
    return None if space is None else RgbSpace(curves, space.to_xyz)


def of_exif(exif: Image.Exif, notes: list[str]) -> RgbSpace | None:
    """The space that EXIF names, or None for sRGB.

    That is Adobe RGB of a DCF option file (DCF 2.0), or one of its own primaries and gamma (Exif 3.0, 4.6.5 and 4.6.6).
    """
    try:
        tags = exif.get_ifd(_EXIF)
        interop = tags.get(_INTEROP)
        if not isinstance(interop, dict):
            interop = exif.get_ifd(_INTEROP)
        said, option = tags.get(_COLOR_SPACE), interop.get(_INTEROP_INDEX, "")
        white, primaries, exponent = exif.get(318), exif.get(319), float(tags.get(_GAMMA, 0))
    except Exception:  # Pillow's reader answers damage with many kinds of exception.
        return None
    if isinstance(option, bytes):
        option = option.decode("latin-1")
    # Some cameras write 2 for Adobe RGB, which Exif does not know.
    if str(option).startswith("R03") or said == 2:
        return ADOBE_RGB
    if said == 0xFFFF and white and primaries:
        return _of_numbers(gamma(exponent) if exponent > 0 else srgb_curve, white, primaries, notes)
    if said == 0xFFFF and not str(option).startswith("R98"):
        notes.append(
            "The file says that its colours are not sRGB, but not which they are; they are taken as sRGB. "
            "Embed a colour profile if they look wrong."
        )
    return None


def code_points_of_png(file: BinaryIO) -> tuple[int, int] | None:
    """Primaries and transfer of a PNG's cICP chunk, which Pillow does not read; None without one.

    Raises:
        OSError: the file cannot be read.
    """
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if name == b"cICP" and size == 4:
            primaries, transfer, _, _ = file.read(4)
            return primaries, transfer
        if name == b"IDAT":
            return None
        file.seek(size + 4, 1)
    return None


def code_points_of_avif(file: BinaryIO) -> tuple[int, int] | None:
    """Primaries and transfer of the first nclx colour box of an AVIF, which Pillow does not tell; None without one.

    Raises:
        OSError: the file cannot be read.
    """
    file.seek(0, 2)
    start, end = 0, file.tell()
    for wanted, version_bytes in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0), (b"colr", 0)):
        while True:
            file.seek(start)
            head = file.read(16)
            if len(head) < 8 or start >= end:
                return None
            size, name = struct.unpack(">I4s", head[:8])
            body = 8
            if size == 1 and len(head) == 16:
                size, body = struct.unpack(">Q", head[8:])[0], 16
            size = size or end - start
            if size < body:
                return None
            if name == wanted and (wanted != b"colr" or head[8:12] == b"nclx"):
                break
            start += size
        start, end = start + body + version_bytes, min(end, start + size)
    file.seek(start + 4)
    points = file.read(4)
    return struct.unpack(">HH", points) if len(points) == 4 else None


def _of_numbers(curve: Curve, white: Any, primaries: Any, notes: list[str]) -> RgbSpace | None:
    try:
        x, y = (float(number) for number in white)
        return RgbSpace.of_primaries(curve, (x, y), np.array(primaries, float).reshape(3, 2))
    except (ValueError, TypeError):
        notes.append("The picture's primaries are not possible; its colours are taken as sRGB.")
        return None


def _ratios(pairs: Any) -> list[float]:
    numbers = np.asarray(pairs, float).reshape(-1)
    return [top / bottom if bottom else math.nan for top, bottom in zip(numbers[::2], numbers[1::2], strict=False)]
