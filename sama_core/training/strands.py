"""Hair and its like on a shape: strands that grow from the shape's outline in bunches, and how they are drawn.

Lengths are pixels of the fine picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sama_core.training.compositing import Layer

#: Strands are drawn at twice the picture's size, so that widths step by half a pixel.
SUPERSAMPLING = 2
#: Points of a strand's path.
STEPS = 14
#: Fixed-point bits of the drawing calls.
SHIFT = 4
#: Strands of one coat at most; bounds the cost of a sample.
_MAX_STRANDS = 2200
#: Contours of fewer points bear nothing, nor do points this close to the picture's edge, where the shape is cut.
_SHORTEST, _EDGE = 24, 4
#: Outlines are smoothed over so many points to each side, tangents taken over these, and normals probed so far out.
_SMOOTHING, _TANGENT, _PROBE = 5, 2, 3
#: Lines thinner than this on the larger canvas are drawn one wide and fainter, out of 255.
_THINNEST, _FAINT = 0.8, 150
#: Width of a tapering strand's first, second and last third, as a share of its root's.
_TAPER = (1.0, 0.8, 0.5)
#: How strongly a clump draws its strands together on their way to the tip.
_CLUMPING = 1.3
#: Spread of hue, and of brightness in 0..255, from strand to strand; share of a bunch in the contrast of brightness.
_HUE, _NOISE, _OF_BUNCH = 0.04, 6, 0.6


@dataclass(frozen=True)
class Coat:
    """How strands grow from an outline. Pairs are ranges drawn from uniformly.

    Attributes:
        cover: share of the outline that bears strands.
        spacing: outline pixels per strand.
        length: of a bunch, in units of the square root of the shape's area.
        width: at the root, fine pixels; strands taper.
        bunch: strands in a bunch.
        spread: standard deviation of a bunch's roots along the outline, in outline pixels.
        depth: how far inside the outline roots may lie, as a share of the length.
        clump: 0 parallel strands, 1 strands of a bunch meet at its tip.
        angle: standard deviation of a bunch's direction around the normal, radians.
        stray: standard deviation of a strand's direction around its bunch's, radians.
        bend: standard deviation of the turn over a whole strand, radians.
        wave: amplitude of the waviness, radians.
        gravity: share of the way that tips turn downwards (or in the coat's combing direction).
        contrast: standard deviation of log brightness from strand to strand.
        taper: False for threads of one width.
    """

    cover: tuple[float, float]
    spacing: tuple[float, float]
    length: tuple[float, float]
    width: tuple[float, float]
    bunch: tuple[float, float]
    spread: tuple[float, float]
    depth: tuple[float, float]
    clump: tuple[float, float]
    angle: float
    stray: float
    bend: float
    wave: float
    gravity: tuple[float, float]
    contrast: float
    taper: bool = True


HAIR = Coat(
    cover=(0.25, 0.8), spacing=(0.5, 1.5), length=(0.12, 0.6), width=(0.7, 2.2),
    bunch=(15, 60), spread=(4, 20), depth=(0.1, 0.4), clump=(0.1, 0.9),
    angle=0.5, stray=0.10, bend=0.6, wave=0.12, gravity=(0.0, 0.8), contrast=0.22,
)  # fmt: skip
FLYAWAY = Coat(
    cover=(0.2, 0.8), spacing=(8, 40), length=(0.1, 0.6), width=(0.6, 1.2),
    bunch=(1, 4), spread=(2, 15), depth=(0.0, 0.2), clump=(0.0, 0.4),
    angle=0.7, stray=0.35, bend=1.6, wave=0.35, gravity=(0.0, 0.5), contrast=0.25,
)  # fmt: skip
FUR = Coat(
    cover=(0.6, 1.0), spacing=(0.35, 1.0), length=(0.02, 0.09), width=(0.7, 2.4),
    bunch=(6, 25), spread=(2, 8), depth=(0.3, 0.9), clump=(0.2, 0.9),
    angle=0.35, stray=0.18, bend=0.5, wave=0.1, gravity=(0.0, 0.5), contrast=0.16,
)  # fmt: skip
FUZZ = Coat(
    cover=(0.7, 1.0), spacing=(0.3, 1.2), length=(0.008, 0.04), width=(0.5, 1.3),
    bunch=(3, 12), spread=(2, 8), depth=(0.2, 0.8), clump=(0.0, 0.6),
    angle=0.6, stray=0.4, bend=0.9, wave=0.2, gravity=(0.0, 0.4), contrast=0.2,
)  # fmt: skip
WHISKERS = Coat(
    cover=(0.1, 0.6), spacing=(40, 160), length=(0.1, 0.5), width=(1.0, 3.0),
    bunch=(1, 5), spread=(6, 25), depth=(0.0, 0.3), clump=(0.0, 0.1),
    angle=0.4, stray=0.3, bend=0.5, wave=0.0, gravity=(0.0, 0.3), contrast=0.3,
)  # fmt: skip
YARN = Coat(
    cover=(0.2, 0.6), spacing=(5, 12), length=(0.15, 0.6), width=(4.0, 12.0),
    bunch=(2, 8), spread=(6, 25), depth=(0.1, 0.4), clump=(0.0, 0.4),
    angle=0.3, stray=0.12, bend=0.3, wave=0.12, gravity=(0.6, 1.0), contrast=0.35, taper=False,
)  # fmt: skip
BROOM = Coat(
    cover=(0.1, 0.35), spacing=(1.2, 3.0), length=(0.15, 0.5), width=(1.2, 4.0),
    bunch=(10, 40), spread=(6, 30), depth=(0.2, 0.6), clump=(-0.2, 0.3),
    angle=0.15, stray=0.12, bend=0.25, wave=0.03, gravity=(0.5, 1.0), contrast=0.3,
)  # fmt: skip
GRASS = Coat(
    cover=(0.3, 1.0), spacing=(4, 14), length=(0.1, 0.5), width=(4.0, 14.0),
    bunch=(3, 12), spread=(8, 40), depth=(0.2, 0.6), clump=(-0.2, 0.2),
    angle=0.5, stray=0.3, bend=0.7, wave=0.0, gravity=(0.0, 0.4), contrast=0.25,
)  # fmt: skip
LEAVES = Coat(
    cover=(0.5, 1.0), spacing=(10, 30), length=(0.08, 0.3), width=(14.0, 60.0),
    bunch=(1, 4), spread=(10, 40), depth=(0.3, 1.2), clump=(-0.3, 0.1),
    angle=0.7, stray=0.5, bend=0.6, wave=0.0, gravity=(0.0, 0.3), contrast=0.25,
)  # fmt: skip


@dataclass(frozen=True)
class Strands:
    """Paths N×K×2 float32 (x, y), widths N at the root, bunch of each strand N, roots N×2 int (x, y, inside)."""

    paths: np.ndarray
    widths: np.ndarray
    bunches: np.ndarray
    roots: np.ndarray


def outline(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of the shape's outline at alpha 0.5 and their outward normals, both M×2 float32 (x, y); M may be 0.

    Points at the picture's edge are left out: there the shape is cut, not ended.
    """
    height, width = alpha.shape
    small = cv2.resize(alpha, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    contours, _ = cv2.findContours((small > 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    points, normals = [], []
    for contour in contours:
        if len(contour) < _SHORTEST:
            continue
        own = contour[:, 0].astype(np.float32)
        smooth = _circular_smooth(own, _SMOOTHING)
        tangent = np.roll(smooth, -_TANGENT, axis=0) - np.roll(smooth, _TANGENT, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-3)
        normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
        if (look_up(small, smooth + _PROBE * normal) > look_up(small, smooth - _PROBE * normal)).mean() > 0.5:
            normal = -normal
        points.append(2 * smooth + 0.5)
        normals.append(normal)
    if not points:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    point, normal = np.concatenate(points), np.concatenate(normals)
    far = width - 1 - _EDGE, height - 1 - _EDGE
    kept = (point > _EDGE).all(axis=1) & (point[:, 0] < far[0]) & (point[:, 1] < far[1])
    return point[kept], normal[kept]


def _circular_smooth(points: np.ndarray, radius: int) -> np.ndarray:
    padded = np.concatenate([points[-radius:], points, points[:radius]])
    return cv2.blur(padded, (1, 2 * radius + 1))[radius:-radius]


def look_up(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values of an H×W(×C) picture at the pixels nearest to M×2 points (x, y)."""
    x = np.clip(np.rint(points[:, 0]), 0, picture.shape[1] - 1).astype(int)
    y = np.clip(np.rint(points[:, 1]), 0, picture.shape[0] - 1).astype(int)
    return picture[y, x]


def grow(points: np.ndarray, normals: np.ndarray, coat: Coat, unit: float, rng: np.random.Generator) -> Strands:
    """Grow a coat's strands from an outline (M×2 points and normals, M > 0) of a shape of `unit` = √area pixels."""
    count = len(points)
    # the outline bears hair in a few stretches, not at every point with the same chance
    knots = max(4, int(count / (0.6 * unit + 8)))
    bearing = np.interp(np.arange(count), np.linspace(0, count, knots + 1), _closed(rng.standard_normal(knots)))
    bearers = np.flatnonzero(bearing >= np.quantile(bearing, 1 - rng.uniform(*coat.cover)))
    strands = int(np.clip(2 * len(bearers) / rng.uniform(*coat.spacing), 1, _MAX_STRANDS))
    bunches = max(1, int(strands / rng.uniform(*coat.bunch)))
    bunch = np.sort(rng.integers(bunches, size=strands))

    def per_bunch(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, bunches)

    def jitter(size: int, deviation: float) -> np.ndarray:
        return rng.standard_normal(size) * deviation

    centre = rng.choice(bearers, bunches)
    shift = np.rint(jitter(strands, 1.0) * per_bunch(*coat.spread)[bunch]).astype(int)
    index = np.clip(centre[bunch] + shift, 0, count - 1)
    # a jump to another contour is no neighbour
    near = np.linalg.norm(points[index] - points[centre[bunch]], axis=1) < 6 * coat.spread[1]
    index = np.where(near, index, centre[bunch])

    length_of_bunch = unit * per_bunch(*coat.length) * rng.uniform(0.6, 1.0)
    combed = np.pi / 2 + jitter(1, 0.3)[0] if rng.random() < 0.7 else rng.uniform(-np.pi, np.pi)
    gravity, clump = rng.uniform(*coat.gravity), rng.uniform(*coat.clump)
    frequency = per_bunch(0.5, 3.0)
    tilt, bend = jitter(bunches, coat.angle), jitter(bunches, coat.bend)
    phase = per_bunch(0, 2 * np.pi)
    steps = np.linspace(0, 1, STEPS)

    def paths(at: np.ndarray, of: np.ndarray, length: np.ndarray, stray: np.ndarray, depth: np.ndarray) -> np.ndarray:
        start = np.arctan2(normals[at, 1], normals[at, 0]) + tilt[of] + stray
        down = np.angle(np.exp(1j * (combed - start)))
        angle = (
            start[:, None]
            + (gravity * down + bend[of])[:, None] * steps
            + coat.wave * np.sin(2 * np.pi * frequency[of][:, None] * steps + phase[of][:, None])
        )
        step = length[:, None, None] / (STEPS - 1) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        root = points[at] - normals[at] * depth[:, None]
        return root[:, None] + np.concatenate([np.zeros((len(at), 1, 2)), np.cumsum(step[:, :-1], axis=1)], axis=1)

    length = length_of_bunch[bunch] * rng.uniform(0.55, 1.05, strands)
    depth = length * rng.uniform(0, rng.uniform(*coat.depth), strands)
    own = paths(index, bunch, length, jitter(strands, coat.stray), depth)
    everyone = np.arange(bunches)
    spine = paths(centre, everyone, length_of_bunch, np.zeros(bunches), np.zeros(bunches))
    own += clump * (steps[:, None] ** _CLUMPING) * (spine[bunch] - own)
    widths = rng.uniform(coat.width[0], rng.uniform(*coat.width), strands)
    roots = points[index] - normals[index] * (depth + rng.uniform(3, 10, strands))[:, None]
    return Strands(own.astype(np.float32), widths, bunch, np.rint(roots).astype(int))


def _closed(values: np.ndarray) -> np.ndarray:
    return np.append(values, values[0])


def strand_colours(strands: Strands, colour: np.ndarray, contrast: float, rng: np.random.Generator) -> np.ndarray:
    """N×3 colours: of the picture at each root, lighter or darker by bunch and by strand, a little apart in hue."""
    count = len(strands.roots)
    base = look_up(colour, strands.roots).astype(np.float64)
    light = rng.standard_normal(int(strands.bunches.max()) + 1)[strands.bunches] * contrast * _OF_BUNCH
    light += rng.standard_normal(count) * contrast
    hue = 1 + _HUE * rng.standard_normal((count, 3))
    return np.clip(base * np.exp(light)[:, None] * hue + _NOISE * rng.standard_normal((count, 1)), 0, 255)


def draw(strands: Strands, colours: np.ndarray, taper: bool, under: np.ndarray) -> Layer:
    """Draw strands anti-aliased: alpha as the union of their coverages, colour over a copy of `under` (H×W×3 uint8).

    A strand thinner than half a pixel covers its pixels in part.
    """
    height, width = under.shape[:2]
    size = (SUPERSAMPLING * height, SUPERSAMPLING * width)
    full, faint = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    # pixel centres: (x + 0.5) * 2 - 0.5 on the larger canvas
    large = np.rint((strands.paths * SUPERSAMPLING + 0.5) * (1 << SHIFT)).astype(np.int32)
    third = (STEPS - 1) // 3
    ends = [(0, third + 1), (third, 2 * third + 1), (2 * third, STEPS)] if taper else [(0, STEPS)]
    for (first, last), factor in zip(ends, _TAPER, strict=False):
        thickness = strands.widths * factor * SUPERSAMPLING
        rounded = np.maximum(np.rint(thickness).astype(int), 1)
        for value in np.unique(rounded):
            for canvas, chosen in ((full, thickness >= _THINNEST), (faint, thickness < _THINNEST)):
                lines = large[(rounded == value) & chosen, first:last]
                if len(lines):
                    shade = 255 if canvas is full else _FAINT
                    cv2.polylines(canvas, list(lines), False, shade, int(value), cv2.LINE_AA, SHIFT)
    ink = under.copy()
    fine = np.rint(strands.paths * (1 << SHIFT)).astype(np.int32)
    for path, tone, thickness in zip(fine, colours.tolist(), strands.widths, strict=True):
        cv2.polylines(ink, [path], False, tone, int(np.ceil(thickness)) + 2, cv2.LINE_AA, SHIFT)
    return Layer(ink, union(shrunk(full, width, height), shrunk(faint, width, height)))


def shrunk(canvas: np.ndarray, width: int, height: int) -> np.ndarray:
    """Coverage, H×W float32 0..1, of a larger uint8 canvas."""
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def union(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Coverage, 0..1, of what either of two independent coverages covers."""
    return one + other - one * other


def over(top: Layer, bottom: Layer) -> Layer:
    """Two layers as one: α = α₁ + (1 − α₁)α₂ and F the mean of both, weighted by what each contributes to α."""
    alpha = union(top.alpha, bottom.alpha)
    # where nothing is seen of either, the top's colour stands in
    weight = np.maximum(top.alpha, 1e-3 * (1 - alpha))
    return Layer(cv2.blendLinear(top.colour, bottom.colour, weight, alpha - top.alpha), alpha)
