"""Drawn alphas for matting: hair, fur, whiskers, yarn, leaves, nets, veils and blurred edges on a given shape.

Every kind takes a shape (a soft mask with colours that reach beyond it) and returns a `Layer` whose alpha is exact by
construction. Lengths are pixels of the fine picture; pairs are ranges drawn from uniformly.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from sama_core.training.compositing import Layer
from sama_core.training.strands import (
    BROOM,
    FLYAWAY,
    FUR,
    FUZZ,
    GRASS,
    HAIR,
    LEAVES,
    SHIFT,
    STEPS,
    SUPERSAMPLING,
    WHISKERS,
    YARN,
    Coat,
    Strands,
    draw,
    grow,
    outline,
    over,
    shrunk,
    strand_colours,
    union,
)  # fmt: skip

#: How often hair has no single hairs astray, fur has whiskers, fuzz longer hairs, yarn is straw, leaves are grass, and
#: what a lens blurs is furry.
_TIDY_HAIR, _WHISKERED_FUR, _HAIRY_FUZZ, _BROOMS, _GRASSES, _BLURRED_FUR = 0.2, 0.15, 0.3, 0.35, 0.4, 0.4
#: A thread's lit ridge: how far aside and how wide, as a share of the thread's width; how much brighter.
_RIDGE_SHIFT, _RIDGE_WIDTH, _RIDGE_GAIN, _RIDGE_LIFT = 0.15, 0.4, 1.25, 12
#: Darkest and brightest leaf, 128 being the picture's own brightness, and how much brighter its vein is.
_LEAF_TONES, _VEIN_GAIN = (50, 230), 1.15
#: Distance of a net's threads; pixels of the pattern that is repeated.
_NET_PERIOD, _NET_CELL = (8, 36), 64
#: Thinnest and densest part of a veil.
_VEIL_DENSITY = (0.03, 0.97)
#: Reach of smoke, in units of the square root of the shape's area.
_HALO = (0.05, 0.2)
#: Length of motion blur, radius of a defocused lens, deviation of a sharp one.
_MOTION, _DEFOCUS, _LENS_BLUR = (6, 40), (1.5, 14), (0.3, 1.5)
#: Where a veil or net begins, as a share of the shape.
_BORDER = (0.2, 0.8)
#: Of `clouds`.
_OCTAVES = 4


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
    if rng.random() < _TIDY_HAIR:
        return grown
    astray = _strands_on(shape, FLYAWAY, grown.colour, rng)
    return grown if astray is None else over(astray, grown)


def fur(shape: Layer, rng: np.random.Generator) -> Layer:
    """A short dense coat, sometimes with whiskers."""
    grown = _coated(_softened(shape, rng), FUR, rng)
    return _coated(grown, WHISKERS, rng) if rng.random() < _WHISKERED_FUR else grown


def fuzz(shape: Layer, rng: np.random.Generator) -> Layer:
    """Down, wool or felt: very short fine hairs in all directions, with single longer ones."""
    grown = _coated(_softened(shape, rng), FUZZ, rng)
    return _coated(grown, FLYAWAY, rng) if rng.random() < _HAIRY_FUZZ else grown


def whiskers(shape: Layer, rng: np.random.Generator) -> Layer:
    """A few whiskers, antennae or single hairs on a plain edge."""
    return _coated(shape, WHISKERS if rng.random() < 0.5 else FLYAWAY, rng)


def yarn(shape: Layer, rng: np.random.Generator) -> Layer:
    """Tassels and fringes of thick threads with a lit ridge, or broom straw."""
    if rng.random() < _BROOMS:
        return _coated(shape, BROOM, rng)
    points, normals = outline(shape.alpha)
    if not len(points):
        return shape
    strands = grow(points, normals, YARN, float(np.sqrt(shape.alpha.sum())), rng)
    colours = strand_colours(strands, shape.colour, YARN.contrast, rng)
    threads = draw(strands, colours, YARN.taper, shape.colour)
    widths = strands.widths[:, None, None]
    ridge = Strands(
        strands.paths - _RIDGE_SHIFT * widths, strands.widths * _RIDGE_WIDTH, strands.bunches, strands.roots
    )
    lit = draw(ridge, np.clip(colours * _RIDGE_GAIN + _RIDGE_LIFT, 0, 255), YARN.taper, threads.colour)
    return over(Layer(cv2.addWeighted(threads.colour, 0.5, lit.colour, 0.5, 0), threads.alpha), shape)


def leaves(shape: Layer, rng: np.random.Generator) -> Layer:
    """Leaves or blades of grass around the shape, which may be hidden by them."""
    points, normals = outline(shape.alpha)
    if not len(points):
        return shape
    coat = GRASS if rng.random() < _GRASSES else LEAVES
    strands = grow(points, normals, coat, float(np.sqrt(shape.alpha.sum())), rng)
    height, width = shape.alpha.shape
    canvas = np.zeros((SUPERSAMPLING * height, SUPERSAMPLING * width), np.uint8)
    light = np.full((height, width), 128, np.uint8)
    roundness = rng.uniform(0.5, 1.2)
    along = np.linspace(0, 1, STEPS)
    profile = np.sin(np.pi * along ** rng.uniform(0.6, 1.1)) ** roundness
    tangent = np.gradient(strands.paths, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=2, keepdims=True), 1e-3)
    across = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    reach = np.linalg.norm(strands.paths[:, -1] - strands.paths[:, 0], axis=1)
    half = 0.5 * np.minimum(strands.widths, 0.6 * reach + 2)[:, None, None] * profile[None, :, None]
    sides = np.concatenate([strands.paths + half * across, (strands.paths - half * across)[:, ::-1]], axis=1)
    tones = np.clip(128 * np.exp(coat.contrast * rng.standard_normal(len(sides))), *_LEAF_TONES)
    for side, path, tone in zip(sides, strands.paths, tones, strict=True):
        large = np.rint((side * SUPERSAMPLING + 0.5) * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(canvas, [large], 255, cv2.LINE_AA, SHIFT)
        outlined = np.rint(side * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(light, [outlined], float(tone), cv2.LINE_AA, SHIFT)
        vein = np.rint(path * (1 << SHIFT)).astype(np.int32)
        cv2.polylines(light, [vein], False, float(tone * _VEIN_GAIN), 1, cv2.LINE_AA, SHIFT)
    colour = cv2.multiply(shape.colour, cv2.merge([light] * 3), scale=1 / 128)
    drawn = Layer(colour, shrunk(canvas, width, height))
    core = shape if rng.random() < 0.5 else Layer(shape.colour, cv2.erode(shape.alpha, np.ones((15, 15))))
    return over(drawn, core)


def net(shape: Layer, rng: np.random.Generator) -> Layer:
    """Lace, net or knit: part of the shape is pierced by a warped regular pattern of holes."""
    height, width = shape.alpha.shape
    period, side = rng.uniform(*_NET_PERIOD), _NET_CELL
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
    density = np.clip(rng.uniform(0.15, 0.7) + rng.uniform(0.05, 0.35) * folds, *_VEIL_DENSITY)
    glints = np.clip((folds - rng.uniform(0.8, 1.8)) * 2, 0, 1) * rng.uniform(0, 1)
    density = union(density, 0.8 * glints)
    pale = cv2.addWeighted(shape.colour, 0.7, np.full_like(shape.colour, int(rng.integers(60, 255))), 0.3, 0)
    white = np.full_like(pale, 250)
    colour = cv2.blendLinear(white, pale, glints, 1 - glints)
    thin = _partly(shape, density, rng)
    return Layer(np.where((thin.alpha < shape.alpha)[..., None], colour, shape.colour), thin.alpha)


def smoke(shape: Layer, rng: np.random.Generator) -> Layer:
    """The shape with a cloud of smoke, spray or glow around it that fades away."""
    height, width = shape.alpha.shape
    unit = float(np.sqrt(shape.alpha.sum()))
    halo = _blurred(shape.alpha, rng.uniform(*_HALO) * unit + 4)
    turbulence = clouds(height, width, int(rng.integers(3, 10)), rng)
    cloud = np.clip(1.6 * halo * (0.6 + 0.5 * turbulence), 0, rng.uniform(0.4, 0.95))
    return over(shape, Layer(shape.colour, cloud))


def moving(shape: Layer, rng: np.random.Generator) -> Layer:
    """Motion blur along a slightly curved line."""
    length = int(rng.integers(*_MOTION))
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
    radius = rng.uniform(*_DEFOCUS)
    side = 2 * int(np.ceil(radius)) + 1
    y, x = np.mgrid[:side, :side] - side // 2
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return _filtered(fur(shape, rng) if rng.random() < _BLURRED_FUR else shape, disc)


def plain(shape: Layer, rng: np.random.Generator) -> Layer:
    """The shape itself, its edge no wider than a lens makes it."""
    sigma = rng.uniform(*_LENS_BLUR)
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
    border = np.quantile(inside[::16] if len(inside) > 16 else inside, rng.uniform(*_BORDER))
    affected = np.clip((side - border) / rng.uniform(1, 6) + 0.5, 0, 1)
    return Layer(shape.colour, (shape.alpha * (1 - affected * (1 - density))).astype(np.float32))


def clouds(height: int, width: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of four octaves, the coarsest with `cells` cells along the long side; H×W float32, mean 0, std 1."""
    total = np.zeros((height, width), np.float32)
    long = max(height, width)
    for octave in range(_OCTAVES):
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
