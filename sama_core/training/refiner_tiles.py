"""Tiles that train the alpha refiner: a foreground, its exact alpha, a coarse mask of it and an unknown band.

The foregrounds are drawn (`procedural`) on objects and outlines of photos. The coarse mask is what a segmentation head
makes of the alpha on its grid: thin parts lost, edges shifted and blurred, blobs added and taken away. What comes out
is not composited yet, so that one tile serves over many backgrounds.

Some tiles are photos as they are, with a mask in place of the alpha: near the mask's edge they teach nothing, further
off they teach which side is which in a real picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from sama_core.data.sets import MIN_SHARE, Entry, load_objects, load_rgb
from sama_core.errors import DatasetError
from sama_core.inference.matting import SURE_IN, SURE_OUT
from sama_core.training import procedural
from sama_core.training.compositing import Grain, Layer, object_window, sharpen
from sama_core.training.samples import outlined

#: Side of a tile, and of a background, in pixels.
TILE, BACKGROUND = 320, 512
#: Channels of a tile, all 0..255: colour (3), alpha, coarse mask, band (255; `UNTAUGHT` where alpha is not known), and
#: how much the colour covers the background (alpha, or 255 all over in a photo as it is).
CHANNELS = 7
UNTAUGHT = 128
#: Tiles cut from one drawn object, and backgrounds sent along with them.
TILES, BACKGROUNDS = 6, 2

#: Kinds of edge and how often each is drawn.
_KINDS: dict[Callable[[Layer, np.random.Generator], Layer], float] = {
    procedural.hair: 0.28,
    procedural.fur: 0.16,
    procedural.fuzz: 0.10,
    procedural.whiskers: 0.06,
    procedural.yarn: 0.05,
    procedural.leaves: 0.07,
    procedural.net: 0.04,
    procedural.veil: 0.03,
    procedural.smoke: 0.01,
    procedural.moving: 0.05,
    procedural.defocused: 0.07,
    procedural.plain: 0.08,
}
_SHARE = (0.08, 0.6)
_DRAWN_SIDE = 1024
#: Drawn objects are shrunk to between this and 1.
_LEAST_SCALE = 0.4
_TRIES = 40
#: Share of batches that are photos as they are, the sets whose masks are not good enough for it, the scales at which
#: they are shown, and how far from a mask's edge they teach, in pixels of the photo.
_PLAIN_SHARE = 0.2
_COARSE_SETS = ("COCO_MVal",)
_PLAIN_SCALE = (0.7, 1.8)
_EDGE_ERROR = 4.0


class Guess(NamedTuple):
    """A coarse mask (H×W float32, 0..1) and the band (H×W bool) in which alpha is unknown."""

    mask: np.ndarray
    band: np.ndarray


class Drawing(NamedTuple):
    """Tiles N×7×320×320 uint8 and backgrounds M×3×512×512 uint8."""

    tiles: np.ndarray
    backgrounds: np.ndarray


class TileSource:
    """Makes batches of tiles from photos with masks.

    Args:
        entries: the photos; not empty.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._good = [entry for entry in entries if entry.set_name not in _COARSE_SETS] or entries
        self._grain = Grain()

    def make(self, rng: np.random.Generator) -> Drawing:
        """Draw an object and cut tiles around its edge.

        Raises:
            DatasetError: forty photos in a row gave nothing usable.
        """
        for _ in range(_TRIES):
            if rng.random() < _PLAIN_SHARE:
                tiles = self._plain(rng)
            else:
                layer = self._layer(rng)
                tiles = None if layer is None else cut_tiles(layer, rng)
            if tiles is not None:
                return Drawing(tiles, np.stack([self._background(rng) for _ in range(BACKGROUNDS)]))
        raise DatasetError(f"{_TRIES} photos in a row gave no usable tile: check the masks of the data folder.")

    def _layer(self, rng: np.random.Generator) -> Layer | None:
        entry = self._entries[rng.integers(len(self._entries))]
        objects = load_objects(entry)
        if not objects:
            return None
        mask, photo = objects[rng.integers(len(objects))][0], load_rgb(entry.image)
        if mask.mean() < MIN_SHARE:
            return None
        window = object_window(mask, _DRAWN_SIDE, _SHARE, False, rng)
        if rng.random() < 0.15:
            shape = Layer(window.show(photo), procedural.blob(window.height, window.width, rng))
        else:
            shape = outlined(photo, mask, window)
        if shape.alpha.mean() < MIN_SHARE:
            return None
        colour = shape.colour
        if rng.random() < 0.8:
            colour = sharpen(colour, rng.uniform(0.2, 1.2), rng.uniform(1.0, 2.0))
        if rng.random() < 0.5:
            colour = self._grain.add(colour, rng.uniform(0, 7), rng)
        layer = _draw(Layer(colour, shape.alpha), rng)
        if rng.random() < 0.1:
            layer = (procedural.defocused if rng.random() < 0.6 else procedural.moving)(layer, rng)
        return _shrunk(layer, float(np.exp(rng.uniform(np.log(_LEAST_SCALE), 0))))

    def _plain(self, rng: np.random.Generator) -> np.ndarray | None:
        entry = self._good[rng.integers(len(self._good))]
        objects = load_objects(entry)
        if not objects:
            return None
        chosen = int(rng.integers(len(objects)))
        mask, valid = objects[chosen]
        scale = float(rng.uniform(*_PLAIN_SCALE))
        size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
        rgb = cv2.resize(load_rgb(entry.image), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
        outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
        taught = ((np.maximum(inside, outside) > _EDGE_ERROR) & (valid > 0)).astype(np.uint8)
        for number, (other, _) in enumerate(objects):
            # it may be another part of the same thing
            if number != chosen:
                taught[other > 0] = 0
        alpha = cv2.resize(
            mask.astype(np.float32), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        )
        taught = cv2.resize(taught, size, interpolation=cv2.INTER_NEAREST) > 0
        return cut_tiles(Layer(rgb, alpha), rng, taught)

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        photo = load_rgb(self._entries[rng.integers(len(self._entries))].image)
        photo = photo[:BACKGROUND, :BACKGROUND]
        down, right = BACKGROUND - photo.shape[0], BACKGROUND - photo.shape[1]
        padded = cv2.copyMakeBorder(photo, 0, down, 0, right, cv2.BORDER_REFLECT)
        return np.ascontiguousarray(padded.transpose(2, 0, 1))


def _draw(shape: Layer, rng: np.random.Generator) -> Layer:
    shares = np.array(list(_KINDS.values()))
    return list(_KINDS)[rng.choice(len(_KINDS), p=shares / shares.sum())](shape, rng)


def _shrunk(layer: Layer, scale: float) -> Layer:
    height, width = layer.alpha.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Layer(*(cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (layer.colour, layer.alpha)))


def cut_tiles(layer: Layer, rng: np.random.Generator, taught: np.ndarray | None = None) -> np.ndarray | None:
    """Cut `TILES` tiles around a layer's edge, each with one of two guesses of its coarse mask.

    Args:
        taught: H×W bool, where the alpha of a photo as it is can be relied on; None for a layer to be composited.

    Returns:
        N×7×320×320 uint8; None when the layer has no edge.
    """
    alpha = np.clip(layer.alpha, 0, 1)
    guesses = [guess(alpha, rng) if taught is None else _head_guess(alpha, rng) for _ in range(2)]
    soft = (alpha > 0.03) & (alpha < 0.97) if taught is None else taught
    eight_bits = np.rint(alpha * 255).astype(np.uint8)
    cover = eight_bits if taught is None else np.full_like(eight_bits, 255)
    tiles = []
    for number in range(TILES):
        coarse = guesses[number % len(guesses)]
        aims = coarse.band & soft if rng.random() < 0.75 else coarse.band
        ys, xs = np.nonzero(aims if aims.any() else coarse.band)
        if not len(ys):
            return None
        pick = rng.integers(len(ys))
        centre = ys[pick] + rng.integers(-96, 97), xs[pick] + rng.integers(-96, 97)
        band = np.where(coarse.band, np.uint8(255), np.uint8(0))
        if taught is not None:
            band[coarse.band & ~taught] = UNTAUGHT
        planes = [*cv2.split(layer.colour), eight_bits, np.rint(coarse.mask * 255).astype(np.uint8), band, cover]
        tiles.append(np.stack([_crop(plane, *centre) for plane in planes]))
    return np.stack(tiles)


def _crop(plane: np.ndarray, y: int, x: int) -> np.ndarray:
    """A tile around a point; mirrored at the picture's border where the picture is too small."""
    height, width = plane.shape
    top = int(np.clip(y - TILE // 2, 0, max(0, height - TILE)))
    left = int(np.clip(x - TILE // 2, 0, max(0, width - TILE)))
    part = plane[top : top + TILE, left : left + TILE]
    return cv2.copyMakeBorder(part, 0, TILE - part.shape[0], 0, TILE - part.shape[1], cv2.BORDER_REFLECT)


def guess(alpha: np.ndarray, rng: np.random.Generator) -> Guess:
    """What might be known of an alpha (H×W float32): a segmentation head's mask with its band, a trimap, or the same
    alpha found at a smaller scale."""
    kind = rng.random()
    if kind < 0.55:
        return _head_guess(alpha, rng)
    if kind < 0.8:
        return _trimap(alpha, rng)
    return _smaller(alpha, rng)


def _head_guess(alpha: np.ndarray, rng: np.random.Generator) -> Guess:
    cell = float(rng.uniform(1.2, 4.5))
    mask = head_mask(alpha, cell, rng)
    return Guess(mask, band_around(mask, cell, float(rng.uniform(0.7, 1.6))))


def head_mask(alpha: np.ndarray, cell: float, rng: np.random.Generator) -> np.ndarray:
    """A segmentation head's probability (H×W float32) for an object, on a grid of `cell` pixels."""
    height, width = alpha.shape
    rows, columns = max(8, round(height / cell)), max(8, round(width / cell))
    grid = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.75:
        # thin parts are lost, narrow gaps are closed
        side = 2 * int(rng.integers(1, 5)) + 1
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        first, second = (cv2.MORPH_OPEN, cv2.MORPH_CLOSE) if rng.random() < 0.7 else (cv2.MORPH_CLOSE, cv2.MORPH_OPEN)
        smoothed = cv2.morphologyEx(grid, first, disk)
        smoothed = cv2.morphologyEx(smoothed, second, disk) if rng.random() < 0.6 else smoothed
        kept = float(rng.uniform(0, 0.4))
        grid = kept * grid + (1 - kept) * smoothed
    if rng.random() < 0.8:
        wander = float(rng.uniform(0, 2.5))
        across, down = (wander * procedural.clouds(rows, columns, int(rng.integers(3, 14)), rng) for _ in range(2))
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        grid = cv2.remap(grid, x + across, y + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    grid = cv2.GaussianBlur(grid, (0, 0), float(rng.uniform(0.5, 2.2)))
    logits = (grid - rng.uniform(0.3, 0.65)) * rng.uniform(6, 18)
    if rng.random() < 0.7:
        # doubt comes in patches, near the edge
        near = cv2.GaussianBlur(grid * (1 - grid), (0, 0), float(rng.uniform(3, 10)))
        doubt = rng.uniform(0, 3.0) * procedural.clouds(rows, columns, int(rng.integers(4, 30)), rng)
        logits += np.clip(near * 12, 0.05, 1) * doubt
    mask = 1 / (1 + np.exp(-logits.astype(np.float32)))
    return np.clip(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)


def band_around(mask: np.ndarray, cell: float, factor: float) -> np.ndarray:
    """The band that matting draws around a mask (`inference.matting.unknown_band`), wider or narrower by a factor."""
    inside = (mask > 0.5).astype(np.uint8)
    edge = inside - cv2.erode(inside, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    if not edge.any():
        return np.zeros(mask.shape, bool)
    distance = cv2.distanceTransform(1 - edge, cv2.DIST_L2, 5)
    reach = factor * (6 * cell + 0.008 * float(np.sqrt(inside.sum())))
    uncertain = (mask > SURE_OUT) & (mask < SURE_IN)
    return (distance <= reach) | (uncertain & (distance <= 2 * reach))


def _trimap(alpha: np.ndarray, rng: np.random.Generator) -> Guess:
    """Right wherever it claims to know; inside the band a head's mask or nothing."""
    sure = alpha > 0.5
    edge = cv2.morphologyEx(sure.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    soft = (((alpha > 0.01) & (alpha < 0.99)) | edge).astype(np.uint8)
    radius = float(np.exp(rng.uniform(np.log(2), np.log(30))))
    band = cv2.distanceTransform(1 - soft, cv2.DIST_L2, 5) <= radius if soft.any() else soft > 0
    inside = head_mask(alpha, float(rng.uniform(1.2, 4.5)), rng) if rng.random() < 0.5 else np.float32(0.5)
    return Guess(np.where(band, inside, sure).astype(np.float32), band)


def _smaller(alpha: np.ndarray, rng: np.random.Generator) -> Guess:
    """The alpha as found at a half to a fifth of the scale, with its own soft parts as the band."""
    height, width = alpha.shape
    factor = float(rng.uniform(2, 5))
    size = (max(8, round(width / factor)), max(8, round(height / factor)))
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        small = cv2.GaussianBlur(small, (0, 0), float(rng.uniform(0.3, 0.9)))
    if rng.random() < 0.5:
        # a matte is too thick here and too thin there
        gain = np.exp(rng.uniform(0, 0.4) * procedural.clouds(size[1], size[0], int(rng.integers(4, 20)), rng))
        small = np.clip(small, 0, 1) ** gain
    mask = np.clip(cv2.resize(small.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    soft = ((mask > 0.02) & (mask < 0.98)).astype(np.uint8)
    radius = factor * float(rng.uniform(0.7, 2.0))
    band = cv2.distanceTransform(1 - soft, cv2.DIST_L2, 5) <= radius if soft.any() else soft > 0
    return Guess(mask, band)
