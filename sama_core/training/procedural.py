"""Drawn alphas for matting: hair, fur, whiskers, yarn, leaves, nets, veils and blurred edges on a given shape.

Every kind takes a shape (a soft mask with colours that reach beyond it) and returns a `Layer` whose alpha is exact by
construction. Lengths are pixels of the fine picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from sama_core.training.compositing import Layer

#: Strands are drawn at twice the picture's size, so that widths step by half a pixel.
_SUPERSAMPLING = 2
#: Points of a strand's path.
_STEPS = 14
#: Fixed-point bits of the drawing calls.
_SHIFT = 4
#: Strands of one coat at most; bounds the cost of a sample.
_MAX_STRANDS = 2200


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
    (0.25, 0.8), (0.5, 1.5), (0.12, 0.6), (0.7, 2.2), (15, 60), (4, 20), (0.1, 0.4), (0.1, 0.9),
    0.5, 0.10, 0.6, 0.12, (0.0, 0.8), 0.22,
)  # fmt: skip
FLYAWAY = Coat(
    (0.2, 0.8), (8, 40), (0.1, 0.6), (0.6, 1.2), (1, 4), (2, 15), (0.0, 0.2), (0.0, 0.4),
    0.7, 0.35, 1.6, 0.35, (0.0, 0.5), 0.25,
)  # fmt: skip
FUR = Coat(
    (0.6, 1.0), (0.35, 1.0), (0.02, 0.09), (0.7, 2.4), (6, 25), (2, 8), (0.3, 0.9), (0.2, 0.9),
    0.35, 0.18, 0.5, 0.1, (0.0, 0.5), 0.16,
)  # fmt: skip
FUZZ = Coat(
    (0.7, 1.0), (0.3, 1.2), (0.008, 0.04), (0.5, 1.3), (3, 12), (2, 8), (0.2, 0.8), (0.0, 0.6),
    0.6, 0.4, 0.9, 0.2, (0.0, 0.4), 0.2,
)  # fmt: skip
WHISKERS = Coat(
    (0.1, 0.6), (40, 160), (0.1, 0.5), (1.0, 3.0), (1, 5), (6, 25), (0.0, 0.3), (0.0, 0.1),
    0.4, 0.3, 0.5, 0.0, (0.0, 0.3), 0.3,
)  # fmt: skip
YARN = Coat(
    (0.2, 0.6), (5, 12), (0.15, 0.6), (4.0, 12.0), (2, 8), (6, 25), (0.1, 0.4), (0.0, 0.4),
    0.3, 0.12, 0.3, 0.12, (0.6, 1.0), 0.35, False,
)  # fmt: skip
BROOM = Coat(
    (0.1, 0.35), (1.2, 3.0), (0.15, 0.5), (1.2, 4.0), (10, 40), (6, 30), (0.2, 0.6), (-0.2, 0.3),
    0.15, 0.12, 0.25, 0.03, (0.5, 1.0), 0.3,
)  # fmt: skip
GRASS = Coat(
    (0.3, 1.0), (4, 14), (0.1, 0.5), (4.0, 14.0), (3, 12), (8, 40), (0.2, 0.6), (-0.2, 0.2),
    0.5, 0.3, 0.7, 0.0, (0.0, 0.4), 0.25,
)  # fmt: skip
LEAVES = Coat(
    (0.5, 1.0), (10, 30), (0.08, 0.3), (14.0, 60.0), (1, 4), (10, 40), (0.3, 1.2), (-0.3, 0.1),
    0.7, 0.5, 0.6, 0.0, (0.0, 0.3), 0.25,
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
        if len(contour) < 24:
            continue
        own = contour[:, 0].astype(np.float32)
        smooth = _circular_smooth(own, 5)
        tangent = np.roll(smooth, -2, axis=0) - np.roll(smooth, 2, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-3)
        normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
        if (_look_up(small, smooth + 3 * normal) > _look_up(small, smooth - 3 * normal)).mean() > 0.5:
            normal = -normal
        points.append(2 * smooth + 0.5)
        normals.append(normal)
    if not points:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    point, normal = np.concatenate(points), np.concatenate(normals)
    kept = (point > 4).all(axis=1) & (point[:, 0] < width - 5) & (point[:, 1] < height - 5)
    return point[kept], normal[kept]


def _circular_smooth(points: np.ndarray, radius: int) -> np.ndarray:
    padded = np.concatenate([points[-radius:], points, points[:radius]])
    return cv2.blur(padded, (1, 2 * radius + 1))[radius:-radius]


def _look_up(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
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
    steps = np.linspace(0, 1, _STEPS)

    def paths(at: np.ndarray, of: np.ndarray, length: np.ndarray, stray: np.ndarray, depth: np.ndarray) -> np.ndarray:
        start = np.arctan2(normals[at, 1], normals[at, 0]) + tilt[of] + stray
        down = np.angle(np.exp(1j * (combed - start)))
        angle = (
            start[:, None]
            + (gravity * down + bend[of])[:, None] * steps
            + coat.wave * np.sin(2 * np.pi * frequency[of][:, None] * steps + phase[of][:, None])
        )
        step = length[:, None, None] / (_STEPS - 1) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        root = points[at] - normals[at] * depth[:, None]
        return root[:, None] + np.concatenate([np.zeros((len(at), 1, 2)), np.cumsum(step[:, :-1], axis=1)], axis=1)

    length = length_of_bunch[bunch] * rng.uniform(0.55, 1.05, strands)
    depth = length * rng.uniform(0, rng.uniform(*coat.depth), strands)
    own = paths(index, bunch, length, jitter(strands, coat.stray), depth)
    everyone = np.arange(bunches)
    spine = paths(centre, everyone, length_of_bunch, np.zeros(bunches), np.zeros(bunches))
    own += clump * (steps[:, None] ** 1.3) * (spine[bunch] - own)
    widths = rng.uniform(coat.width[0], rng.uniform(*coat.width), strands)
    roots = points[index] - normals[index] * (depth + rng.uniform(3, 10, strands))[:, None]
    return Strands(own.astype(np.float32), widths, bunch, np.rint(roots).astype(int))


def _closed(values: np.ndarray) -> np.ndarray:
    return np.append(values, values[0])


def strand_colours(strands: Strands, colour: np.ndarray, contrast: float, rng: np.random.Generator) -> np.ndarray:
    """N×3 colours: of the picture at each root, lighter or darker by bunch and by strand, a little apart in hue."""
    count = len(strands.roots)
    base = _look_up(colour, strands.roots).astype(np.float64)
    light = rng.standard_normal(int(strands.bunches.max()) + 1)[strands.bunches] * contrast * 0.6
    light += rng.standard_normal(count) * contrast
    hue = 1 + 0.04 * rng.standard_normal((count, 3))
    return np.clip(base * np.exp(light)[:, None] * hue + 6 * rng.standard_normal((count, 1)), 0, 255)


def draw(strands: Strands, colours: np.ndarray, taper: bool, under: np.ndarray) -> Layer:
    """Draw strands anti-aliased: alpha as the union of their coverages, colour over a copy of `under` (H×W×3 uint8).

    A strand thinner than half a pixel covers its pixels in part.
    """
    height, width = under.shape[:2]
    size = (_SUPERSAMPLING * height, _SUPERSAMPLING * width)
    full, faint = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    # pixel centres: (x + 0.5) * 2 - 0.5 on the larger canvas
    large = np.rint((strands.paths * _SUPERSAMPLING + 0.5) * (1 << _SHIFT)).astype(np.int32)
    third = (_STEPS - 1) // 3
    pieces = [(0, third + 1, 1.0), (third, 2 * third + 1, 0.8), (2 * third, _STEPS, 0.5)] if taper else [(0, _STEPS, 1)]
    for first, last, factor in pieces:
        thickness = strands.widths * factor * _SUPERSAMPLING
        rounded = np.maximum(np.rint(thickness).astype(int), 1)
        for value in np.unique(rounded):
            for canvas, chosen in ((full, thickness >= 0.8), (faint, thickness < 0.8)):
                lines = large[(rounded == value) & chosen, first:last]
                if len(lines):
                    shade = 255 if canvas is full else 150
                    cv2.polylines(canvas, list(lines), False, shade, int(value), cv2.LINE_AA, _SHIFT)
    ink = under.copy()
    fine = np.rint(strands.paths * (1 << _SHIFT)).astype(np.int32)
    for path, tone, thickness in zip(fine, colours.tolist(), strands.widths, strict=True):
        cv2.polylines(ink, [path], False, tone, int(np.ceil(thickness)) + 2, cv2.LINE_AA, _SHIFT)
    return Layer(ink, _union(_shrunk(full, width, height), _shrunk(faint, width, height)))


def _shrunk(canvas: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _union(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one + other - one * other


def over(top: Layer, bottom: Layer) -> Layer:
    """Two layers as one: α = α₁ + (1 − α₁)α₂ and F the mean of both, weighted by what each contributes to α."""
    alpha = _union(top.alpha, bottom.alpha)
    # where nothing is seen of either, the top's colour stands in
    weight = np.maximum(top.alpha, 1e-3 * (1 - alpha))
    return Layer(cv2.blendLinear(top.colour, bottom.colour, weight, alpha - top.alpha), alpha)


def _strands_on(shape: Layer, coat: Coat, under: np.ndarray, rng: np.random.Generator) -> Layer | None:
    """The strands alone of a coat along the shape's outline; None for a shape that fills the picture."""
    points, normals = outline(shape.alpha)
    if not len(points):
        return None
    strands = grow(points, normals, coat, float(np.sqrt(shape.alpha.sum())), rng)
    return draw(strands, strand_colours(strands, shape.colour, coat.contrast, rng), coat.taper, under)


def _coated(shape: Layer, coat: Coat, rng: np.random.Generator) -> Layer:
    strands = _strands_on(shape, coat, shape.colour, rng)
    return shape if strands is None else over(strands, shape)


def _softened(shape: Layer, rng: np.random.Generator) -> Layer:
    """The shape with the edge that lies under a coat drawn in and softened, so that no outline shows through it."""
    sigma = rng.uniform(1.0, 3.5)
    return Layer(shape.colour, np.clip(2 * cv2.GaussianBlur(shape.alpha, (0, 0), sigma) - 1, 0, 1))


def hair(shape: Layer, rng: np.random.Generator) -> Layer:
    """Long hair in locks over part of the outline, mostly with single hairs astray."""
    grown = _coated(_softened(shape, rng), HAIR, rng)
    if rng.random() < 0.2:
        return grown
    astray = _strands_on(shape, FLYAWAY, grown.colour, rng)
    return grown if astray is None else over(astray, grown)


def fur(shape: Layer, rng: np.random.Generator) -> Layer:
    """A short dense coat, sometimes with whiskers."""
    grown = _coated(_softened(shape, rng), FUR, rng)
    return _coated(grown, WHISKERS, rng) if rng.random() < 0.15 else grown


def fuzz(shape: Layer, rng: np.random.Generator) -> Layer:
    """Down, wool or felt: very short fine hairs in all directions, with single longer ones."""
    grown = _coated(_softened(shape, rng), FUZZ, rng)
    return _coated(grown, FLYAWAY, rng) if rng.random() < 0.3 else grown


def whiskers(shape: Layer, rng: np.random.Generator) -> Layer:
    """A few whiskers, antennae or single hairs on a plain edge."""
    return _coated(shape, WHISKERS if rng.random() < 0.5 else FLYAWAY, rng)


def yarn(shape: Layer, rng: np.random.Generator) -> Layer:
    """Tassels and fringes of thick threads with a lit ridge, or broom straw."""
    if rng.random() < 0.35:
        return _coated(shape, BROOM, rng)
    points, normals = outline(shape.alpha)
    if not len(points):
        return shape
    strands = grow(points, normals, YARN, float(np.sqrt(shape.alpha.sum())), rng)
    colours = strand_colours(strands, shape.colour, YARN.contrast, rng)
    threads = draw(strands, colours, YARN.taper, shape.colour)
    widths = strands.widths[:, None, None]
    ridge = Strands(strands.paths - 0.15 * widths, strands.widths * 0.4, strands.bunches, strands.roots)
    lit = draw(ridge, np.clip(colours * 1.25 + 12, 0, 255), YARN.taper, threads.colour)
    return over(Layer(cv2.addWeighted(threads.colour, 0.5, lit.colour, 0.5, 0), threads.alpha), shape)


def leaves(shape: Layer, rng: np.random.Generator) -> Layer:
    """Leaves or blades of grass around the shape, which may be hidden by them."""
    points, normals = outline(shape.alpha)
    if not len(points):
        return shape
    coat = GRASS if rng.random() < 0.4 else LEAVES
    strands = grow(points, normals, coat, float(np.sqrt(shape.alpha.sum())), rng)
    height, width = shape.alpha.shape
    canvas = np.zeros((_SUPERSAMPLING * height, _SUPERSAMPLING * width), np.uint8)
    light = np.full((height, width), 128, np.uint8)
    roundness = rng.uniform(0.5, 1.2)
    along = np.linspace(0, 1, _STEPS)
    profile = np.sin(np.pi * along ** rng.uniform(0.6, 1.1)) ** roundness
    tangent = np.gradient(strands.paths, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=2, keepdims=True), 1e-3)
    across = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    reach = np.linalg.norm(strands.paths[:, -1] - strands.paths[:, 0], axis=1)
    half = 0.5 * np.minimum(strands.widths, 0.6 * reach + 2)[:, None, None] * profile[None, :, None]
    sides = np.concatenate([strands.paths + half * across, (strands.paths - half * across)[:, ::-1]], axis=1)
    tones = np.clip(128 * np.exp(coat.contrast * rng.standard_normal(len(sides))), 50, 230)
    for side, path, tone in zip(sides, strands.paths, tones, strict=True):
        large = np.rint((side * _SUPERSAMPLING + 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(canvas, [large], 255, cv2.LINE_AA, _SHIFT)
        outlined = np.rint(side * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(light, [outlined], float(tone), cv2.LINE_AA, _SHIFT)
        vein = np.rint(path * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(light, [vein], False, float(tone * 1.15), 1, cv2.LINE_AA, _SHIFT)
    colour = cv2.multiply(shape.colour, cv2.merge([light] * 3), scale=1 / 128)
    drawn = Layer(colour, _shrunk(canvas, width, height))
    core = shape if rng.random() < 0.5 else Layer(shape.colour, cv2.erode(shape.alpha, np.ones((15, 15))))
    return over(drawn, core)


def net(shape: Layer, rng: np.random.Generator) -> Layer:
    """Lace, net or knit: part of the shape is pierced by a warped regular pattern of holes."""
    height, width = shape.alpha.shape
    period, side = rng.uniform(8, 36), 64
    y, x = np.mgrid[:side, :side] / side * 2 * np.pi
    kind = rng.integers(3)
    if kind == 0:  # crossed threads
        wave = np.maximum(np.cos(x), np.cos(y))
        duty = rng.uniform(0.15, 0.5)
    elif kind == 1:  # diamonds with knots
        wave = np.maximum(np.cos(x + y), np.cos(x - y)) + 0.3 * np.cos(x) * np.cos(y)
        duty = rng.uniform(0.2, 0.5)
    else:  # round holes
        wave = 0.5 * (np.cos(x) + np.cos(y))
        duty = rng.uniform(0.5, 0.8)
    # threads are where the wave is above the value that leaves `duty` of the cloth
    level = np.quantile(wave, 1 - duty)
    slope = np.gradient(wave, axis=0).std() * side / period
    pattern = np.clip((wave - level) / (2 * max(float(slope), 1e-3)) + 0.5, 0, 1).astype(np.float32)
    turn, warp = rng.uniform(0, np.pi), rng.uniform(0, 0.6) * side
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    u = (np.cos(turn) * columns + np.sin(turn) * rows) * np.float32(side / period) + warp * clouds(
        height, width, 3, rng
    )
    v = (np.cos(turn) * rows - np.sin(turn) * columns) * np.float32(side / period) + warp * clouds(
        height, width, 3, rng
    )
    cloth = cv2.remap(pattern, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    opacity = rng.uniform(0.8, 1.0)
    return _partly(shape, opacity * cloth, rng)


def veil(shape: Layer, rng: np.random.Generator) -> Layer:
    """Thin cloth, glass or plastic: part of the shape lets the background through, unevenly, with bright glints."""
    height, width = shape.alpha.shape
    folds = clouds(height, width, int(rng.integers(4, 24)), rng)
    density = np.clip(rng.uniform(0.15, 0.7) + rng.uniform(0.05, 0.35) * folds, 0.03, 0.97)
    glints = np.clip((folds - rng.uniform(0.8, 1.8)) * 2, 0, 1) * rng.uniform(0, 1)
    density = _union(density, 0.8 * glints)
    pale = cv2.addWeighted(shape.colour, 0.7, np.full_like(shape.colour, int(rng.integers(60, 255))), 0.3, 0)
    white = np.full_like(pale, 250)
    colour = cv2.blendLinear(white, pale, glints, 1 - glints)
    thin = _partly(shape, density, rng)
    return Layer(np.where((thin.alpha < shape.alpha)[..., None], colour, shape.colour), thin.alpha)


def smoke(shape: Layer, rng: np.random.Generator) -> Layer:
    """The shape with a cloud of smoke, spray or glow around it that fades away."""
    height, width = shape.alpha.shape
    unit = float(np.sqrt(shape.alpha.sum()))
    halo = _blurred(shape.alpha, rng.uniform(0.05, 0.2) * unit + 4)
    turbulence = clouds(height, width, int(rng.integers(3, 10)), rng)
    cloud = np.clip(1.6 * halo * (0.6 + 0.5 * turbulence), 0, rng.uniform(0.4, 0.95))
    return over(shape, Layer(shape.colour, cloud))


def moving(shape: Layer, rng: np.random.Generator) -> Layer:
    """Motion blur along a slightly curved line."""
    length = int(rng.integers(6, 40))
    kernel = np.zeros((length | 1, length | 1), np.float32)
    middle = (length | 1) // 2
    angle = rng.uniform(0, np.pi)
    tip = np.array([np.cos(angle), np.sin(angle)]) * middle
    bulge = np.array([-np.sin(angle), np.cos(angle)]) * middle * rng.uniform(-0.2, 0.2)
    line = np.stack([middle - tip, middle + bulge, middle + tip])
    cv2.polylines(kernel, [np.rint(line * 16).astype(np.int32)], False, 1.0, 1, cv2.LINE_8, 4)
    return _filtered(shape, kernel)


def defocused(shape: Layer, rng: np.random.Generator) -> Layer:
    """The blur of a lens: a disc, over hair or a plain edge."""
    radius = rng.uniform(1.5, 14)
    side = 2 * int(np.ceil(radius)) + 1
    y, x = np.mgrid[:side, :side] - side // 2
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return _filtered(fur(shape, rng) if rng.random() < 0.4 else shape, disc)


def plain(shape: Layer, rng: np.random.Generator) -> Layer:
    """The shape itself, its edge no wider than a lens makes it."""
    sigma = rng.uniform(0.3, 1.5)
    return Layer(shape.colour, cv2.GaussianBlur(shape.alpha, (0, 0), sigma))


def _filtered(shape: Layer, kernel: np.ndarray) -> Layer:
    """Colour times alpha and alpha through one kernel: what a camera makes of a blurred object."""
    kernel = kernel / kernel.sum()
    alpha = cv2.filter2D(shape.alpha, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    colour = cv2.filter2D(shape.colour, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return Layer(colour, np.clip(alpha, 0, 1))


def _partly(shape: Layer, density: np.ndarray, rng: np.random.Generator) -> Layer:
    """Multiply alpha by `density` on one side of a wavy line through the shape; the other side, at least a fifth of the
    shape, stays as it was."""
    height, width = shape.alpha.shape
    angle = rng.uniform(-np.pi, np.pi)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    unit = float(np.sqrt(shape.alpha.sum()))
    side = np.cos(angle) * columns + np.sin(angle) * rows + 0.15 * unit * clouds(height, width, 3, rng)
    inside = side[shape.alpha > 0.5]
    if not len(inside):
        return shape
    border = np.quantile(inside[::16] if len(inside) > 16 else inside, rng.uniform(0.2, 0.8))
    affected = np.clip((side - border) / rng.uniform(1, 6) + 0.5, 0, 1)
    return Layer(shape.colour, (shape.alpha * (1 - affected * (1 - density))).astype(np.float32))


def clouds(height: int, width: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of four octaves, the coarsest with `cells` cells along the long side; H×W float32, mean 0, std 1."""
    total = np.zeros((height, width), np.float32)
    long = max(height, width)
    for octave in range(4):
        count = cells * 2**octave
        grid = rng.standard_normal((max(2, round(count * height / long)) + 1, max(2, round(count * width / long)) + 1))
        total += cv2.resize(grid.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC) * 0.5**octave
    total -= total.mean()
    return total / max(float(total.std()), 1e-6)


def _blurred(alpha: np.ndarray, sigma: float) -> np.ndarray:
    """A wide Gaussian at a quarter of the size."""
    height, width = alpha.shape
    small = cv2.resize(alpha, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 4), (width, height), interpolation=cv2.INTER_LINEAR)


def blob(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A random smooth shape, H×W float32 soft mask of a fifth to half the picture."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    centre_y, centre_x = height * rng.uniform(0.3, 0.75), width * rng.uniform(0.3, 0.7)
    angle = np.arctan2(rows - centre_y, columns - centre_x)
    radius = np.full((height, width), np.sqrt(height * width * rng.uniform(0.15, 0.45) / np.pi), np.float32)
    wobble = np.zeros_like(radius)
    for order in range(1, 7):
        wobble += rng.uniform(0, 0.5) / order**1.2 * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    distance = np.hypot(rows - centre_y, (columns - centre_x) * rng.uniform(0.7, 1.5))
    return np.clip(radius * np.exp(0.6 * wobble) - distance, -1, 1).astype(np.float32) * 0.5 + 0.5


#: Kinds of drawn alpha and how often each is taken.
KINDS: dict[Callable[[Layer, np.random.Generator], Layer], float] = {
    hair: 0.26,
    fur: 0.24,
    whiskers: 0.08,
    yarn: 0.09,
    leaves: 0.09,
    net: 0.05,
    veil: 0.05,
    smoke: 0.02,
    moving: 0.02,
    defocused: 0.04,
    plain: 0.06,
}

#: Kinds that only add to the shape: they may be drawn over the photo that the shape is in.
_ADDED = (hair, fur, whiskers, yarn, leaves)


def draw_kind(shape: Layer, rng: np.random.Generator, only_added: bool = False) -> Layer:
    """Draw a random kind of `KINDS` on the shape; with `only_added` one that leaves the shape whole."""
    kinds = {kind: share for kind, share in KINDS.items() if kind in _ADDED or not only_added}
    shares = np.array(list(kinds.values()))
    return list(kinds)[rng.choice(len(kinds), p=shares / shares.sum())](shape, rng)
