"""Colour spaces by curves and primaries, from whatever describes them, and the way from their numbers to sRGB.

Everything meets in CIE XYZ under D50, as ICC profiles have it (ICC.1:2022); other whites are adapted by Bradford's
method. Between such spaces relative colorimetric conversion is a curve for each channel, a matrix and sRGB's curve.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: What a channel's numbers, 0..1, mean as linear light, 0..1.
Curve = Callable[[np.ndarray], np.ndarray]

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = (0.3127, 0.3290)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
#: Pixels converted at a time: what is in between takes 12 bytes each.
_BLOCK = 1 << 20


class UnusableProfile(ValueError):
    """The bytes are no ICC profile, or a damaged one."""


@dataclass(frozen=True)
class RgbSpace:
    """A colour space of three channels.

    Attributes:
        curves: of red, green and blue.
        to_xyz: 3×3, linear R, G, B to XYZ under D50.
    """

    curves: tuple[Curve, Curve, Curve]
    to_xyz: np.ndarray

    @classmethod
    def of_primaries(cls, curve: Curve, white: tuple[float, float], primaries: np.ndarray) -> RgbSpace:
        """The space whose white and whose red, green and blue (3×2) have these CIE xy chromaticities.

        Raises:
            ValueError: they span no space.
        """
        corners = np.column_stack([_xyz(*xy) for xy in np.asarray(primaries, float)])
        white_xyz = _xyz(*white)
        try:
            to_xyz = corners * np.linalg.solve(corners, white_xyz)
        except np.linalg.LinAlgError:
            raise ValueError("the primaries span no colour space") from None
        to_d50 = _adaptation(white_xyz) @ to_xyz
        if not np.isfinite(to_d50).all() or np.abs(to_d50).max() > 100:
            raise ValueError("the primaries span no colour space")
        return cls((curve, curve, curve), to_d50)

    def to_srgb(self, levels: np.ndarray) -> np.ndarray:
        """Convert H×W×3 uint8 or uint16 levels of this space to H×W×3 uint8 sRGB; what sRGB lacks is clipped."""
        steps = np.iinfo(levels.dtype).max
        inputs = np.linspace(0, 1, steps + 1)
        tables = [curve(inputs).astype(np.float32) for curve in self.curves]
        matrix = (np.linalg.inv(SRGB.to_xyz) @ self.to_xyz).T.astype(np.float32)
        result = np.empty(levels.shape, np.uint8)
        rows = max(1, _BLOCK // max(1, levels.shape[1]))
        for top in range(0, len(levels), rows):
            part = levels[top : top + rows]
            linear = np.stack([table[part[..., channel]] for channel, table in enumerate(tables)], axis=-1)
            result[top : top + rows] = encoded(linear @ matrix)
        return result

    def is_srgb(self) -> bool:
        """Whether every colour of 8 bits means what it means in sRGB, give or take one level."""
        steps = np.arange(0, 256, 15, np.uint8)
        grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 1, 3)
        greys = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(-1, 1, 3)
        colours = np.concatenate([grid, greys])
        return int(np.abs(self.to_srgb(colours).astype(int) - colours).max()) <= 1


def encoded(linear: np.ndarray) -> np.ndarray:
    """Give linear light, 0..1, its level in sRGB as uint8 (IEC 61966-2-1); what lies outside is clipped."""
    return _encoding()[(np.clip(np.nan_to_num(linear), 0, 1) * 65535 + 0.5).astype(np.uint16)]


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """Convert CIE L*a*b* (H×W×3, L* 0..100, under D50) to H×W×3 uint8 sRGB; what sRGB lacks is clipped."""
    result = np.empty(lab.shape, np.uint8)
    from_xyz = np.linalg.inv(SRGB.to_xyz).T
    for row, part in enumerate(lab):
        middle = (part[:, 0] + 16) / 116
        f = np.stack([middle + part[:, 1] / 500, middle, middle - part[:, 2] / 200], axis=-1)
        xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
        result[row] = encoded(xyz @ from_xyz)
    return result


def gamma(exponent: float) -> Curve:
    """The curve that is a power."""
    return lambda values: values**exponent


def table(entries: np.ndarray) -> Curve:
    """The curve through evenly spaced entries, 0..1."""
    places = np.linspace(0, 1, len(entries))
    return lambda values: np.interp(values, places, entries)


def srgb_curve(values: np.ndarray) -> np.ndarray:
    """The curve of sRGB (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def of_profile(profile: bytes) -> RgbSpace | None:
    """Return what an ICC profile for RGB or grey says by a matrix and curves; None when it says it otherwise.

    None also when its black is not without light, which takes black point compensation. A grey profile becomes the
    space of its curve in which grey is neutral.

    Raises:
        UnusableProfile: it is damaged.
    """
    space, connection = model_of(profile), profile[20:24]
    tags = _tags(profile)
    if connection != b"XYZ " or any(name[:3] in (b"A2B", b"D2B") for name in tags):
        return None
    if space == "grey" and b"kTRC" in tags:
        curve = _curve(tags[b"kTRC"])
        return _with_black(RgbSpace((curve, curve, curve), SRGB.to_xyz))
    needed = (b"rTRC", b"gTRC", b"bTRC", b"rXYZ", b"gXYZ", b"bXYZ")
    if space != "rgb" or any(name not in tags for name in needed):
        return None
    curves = (_curve(tags[b"rTRC"]), _curve(tags[b"gTRC"]), _curve(tags[b"bTRC"]))
    return _with_black(RgbSpace(curves, np.column_stack([_colorant(tags[name]) for name in needed[3:]])))


def _with_black(space: RgbSpace) -> RgbSpace | None:
    return space if all(abs(float(curve(np.zeros(1))[0])) < 1e-4 for curve in space.curves) else None


def model_of(profile: bytes) -> str:
    """Which kind of numbers an ICC profile is for: "rgb", "grey", "cmyk", or its own name for another kind.

    Raises:
        UnusableProfile: it is no profile of a picture.
    """
    if len(profile) < 132 or profile[36:40] != b"acsp" or profile[12:16] in (b"link", b"abst", b"nmcl"):
        raise UnusableProfile
    name = profile[16:20]
    return {b"RGB ": "rgb", b"GRAY": "grey", b"CMYK": "cmyk"}.get(name, name.decode("latin-1").strip())


def _tags(profile: bytes) -> dict[bytes, bytes]:
    count = struct.unpack_from(">I", profile, 128)[0]
    if count > 100 or len(profile) < 132 + 12 * count:
        raise UnusableProfile
    found = {}
    for number in range(count):
        name, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        if start + size > len(profile):
            raise UnusableProfile
        found[name] = profile[start : start + size]
    return found


def _colorant(tag: bytes) -> np.ndarray:
    if len(tag) < 20 or tag[:4] != b"XYZ ":
        raise UnusableProfile
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: bytes) -> Curve:
    """A curveType or parametricCurveType (ICC.1:2022, 10.6 and 10.18)."""
    try:
        if tag[:4] == b"curv":
            count = struct.unpack_from(">I", tag, 8)[0]
            if count == 0:
                return gamma(1.0)
            if count == 1:
                return gamma(struct.unpack_from(">H", tag, 12)[0] / 256)
            if count > 65536:
                raise UnusableProfile
            return table(np.array(struct.unpack_from(f">{count}H", tag, 12)) / 65535)
        if tag[:4] == b"para":
            kind = struct.unpack_from(">H", tag, 8)[0]
            if kind > 4:
                raise UnusableProfile
            given = [value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)]
            return _parametric(kind, given)
    except struct.error:
        raise UnusableProfile from None
    raise UnusableProfile


def _parametric(kind: int, given: list[float]) -> Curve:
    g, a, b, c, d, e, f = (given + [0.0] * 7)[:7]
    if kind == 0:
        return gamma(g)
    if kind in (1, 2):
        if a == 0:
            raise UnusableProfile
        # below −b/a both are constant
        c, d, e, f = 0.0, -b / a, c, c
    above, below = e, f

    def curve(values: np.ndarray) -> np.ndarray:
        power = np.maximum(a * values + b, 0) ** g + above
        return np.clip(np.where(values >= d, power, c * values + below), 0, 1)

    return curve


def _xyz(x: float, y: float) -> np.ndarray:
    if not y > 0:
        raise ValueError("a chromaticity without light")
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adaptation(white: np.ndarray) -> np.ndarray:
    cones = (_BRADFORD @ D50) / (_BRADFORD @ white)
    return np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD


@lru_cache(maxsize=1)
def _encoding() -> np.ndarray:
    linear = np.linspace(0, 1, 65536)
    level = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (level * 255 + 0.5).astype(np.uint8)


_BT709 = np.array([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)])
SRGB = RgbSpace.of_primaries(srgb_curve, D65, _BT709)
#: Adobe RGB (1998), 4.3: a gamma of 2 51/256.
ADOBE_RGB = RgbSpace.of_primaries(gamma(563 / 256), D65, np.array([(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]))
