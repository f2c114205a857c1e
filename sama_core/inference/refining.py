"""The learned refiner: alpha in the unknown band, in tiles, at growing scales up to the photo's own.

The network decides what belongs to the object; closed-form matting with the network's alpha as its prior then lays
alpha along the colours. Each alone does worse (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from sama_core.images import Frame
from sama_core.inference.guided import apply_linear, fit_guided
from sama_core.inference.matting import LARGEST_SIDE, MAX_UNKNOWN, band_reach, closed_form, unknown_band
from sama_core.inference.request import Progress, no_progress
from sama_core.inference.tiles import Blend, Tile, tiles_over
from sama_core.inference.upsampling import fit_size, probability, shrink
from sama_core.model.refiner import STRIDE, Refiner

#: Finds alpha in a tile: rgb h×w×3 uint8, mask h×w float32 0..1 and band h×w bool to h×w float32 0..1.
Solver = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

#: Long side at which the model's mask is refined: there its band is as wide as those the network has learned from.
FIRST_SIDE = 1536
#: Each later scale is at most so many times the one before.
_STEP = 3.0
#: The last scales are cut short where their tiles would have more pixels than this; a guided filter does the rest.
MAX_PIXELS = 16_000_000
#: Weight of the network's alpha in closed-form matting, which follows where the band has at most `MAX_UNKNOWN` pixels.
_PRIOR = 1e-2
_TILE, _OVERLAP = 256, 48
#: Alphas of a smaller scale between these, and pixels so near to them, are open to the next one.
_SOFT_OUT, _SOFT_IN, _SOFT_REACH = 0.02, 0.98, 1
#: Guided filter that carries a smaller matte to full resolution, as closed-form matting's.
_UPSAMPLE_RADIUS, _UPSAMPLE_EPSILON = 2, 1e-5


class Coarse(NamedTuple):
    """What is known before a scale: a mask and a band over the whole picture, at some smaller scale or at this one.

    Attributes:
        mask: h×w uint8, alpha.
        band: h×w bool.
    """

    mask: np.ndarray
    band: np.ndarray


def refined_alpha(
    frame: Frame, logits: np.ndarray, rgb: np.ndarray, solver: Solver, progress: Progress = no_progress
) -> np.ndarray:
    """A matte at full resolution from the model's mask.

    The mask is refined where the picture's long side has `FIRST_SIDE` pixels; what is soft then is refined again at two
    to three times the scale, and so on up to the photo's own pixels, as long as the tiles have at most `MAX_PIXELS`.

    Args:
        frame: how the photo lies under the logits.
        logits: R×R float32.
        rgb: H×W×3 uint8.
        solver: the network.

    Returns:
        H×W uint8.
    """
    full = (rgb.shape[0], rgb.shape[1])
    scales = ladder(full)
    mask = probability(frame, logits, *scales[0])
    band = unknown_band(mask, band_reach(mask, len(logits)))
    coarse = Coarse(np.rint(mask * 255).astype(np.uint8), band)
    alpha = coarse.mask
    small = rgb
    for number, size in enumerate(scales):
        if number:
            coarse = soft_parts(alpha)
            if pixels_of(coarse, size) > MAX_PIXELS:
                break
        small = shrink(rgb, *size)
        low, span = 0.9 * number / len(scales), 0.9 / len(scales)
        part: Progress = lambda done, text, low=low, span=span: progress(low + span * done, text)  # noqa: E731
        alpha = refine(small, coarse, solver, lambda done, text, part=part: part(0.6 * done, text))
        alpha = polish(small, alpha, coarse.band, lambda done, text, part=part: part(0.6 + 0.4 * done, text))
    if alpha.shape == full:
        return alpha
    small = shrink(rgb, *alpha.shape)
    active = soft_parts(alpha).band
    linear = fit_guided(
        small.astype(np.float32) / 255, alpha.astype(np.float32) / 255, _UPSAMPLE_RADIUS, _UPSAMPLE_EPSILON, active
    )
    return apply_linear(linear, rgb, lambda done, text: progress(0.9 + 0.1 * done, text))


def polish(rgb: np.ndarray, alpha: np.ndarray, band: np.ndarray, progress: Progress = no_progress) -> np.ndarray:
    """Closed-form matting in a band with an alpha as its prior; a band of too many pixels is left as it is.

    Args:
        rgb: H×W×3 uint8.
        alpha: H×W uint8.
        band: bool, of any size.

    Returns:
        H×W uint8.
    """
    size = (rgb.shape[0], rgb.shape[1])
    pixels = int(band.sum()) * (size[0] / band.shape[0]) * (size[1] / band.shape[1])
    if pixels > MAX_UNKNOWN or max(size) > LARGEST_SIDE:
        return alpha
    unknown = _part_of_band(band, (slice(0, size[0]), slice(0, size[1])), size)
    solved = closed_form(rgb, alpha.astype(np.float32) / 255, unknown, progress, _PRIOR)
    return np.rint(solved * 255).astype(np.uint8)


def network_solver(network: Refiner, device: torch.device) -> Solver:
    """The refiner on a device, as a solver; call it in inference mode."""

    def solve(rgb: np.ndarray, mask: np.ndarray, band: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(rgb).to(device).permute(2, 0, 1)[None].float() / 255
        coarse = torch.from_numpy(mask)[None, None].to(device)
        unknown = torch.from_numpy(band)[None, None].to(device).float()
        return network(pixels, coarse, unknown)[0, 0].float().cpu().numpy()

    return solve


def ladder(full: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes at which a picture of `full` = (height, width) is refined, the last its own."""
    long = max(full)
    if long <= FIRST_SIDE:
        return [full]
    steps = int(np.ceil(np.log(long / FIRST_SIDE) / np.log(_STEP)))
    ratio = (long / FIRST_SIDE) ** (1 / steps)
    return [*(fit_size(*full, round(FIRST_SIDE * ratio**step)) for step in range(steps)), full]


def soft_parts(alpha: np.ndarray) -> Coarse:
    """What a matte (h×w uint8) leaves open to the next scale: where it is soft, and its hard edges."""
    soft = (alpha > 255 * _SOFT_OUT) & (alpha < 255 * _SOFT_IN)
    inside = alpha > 127
    edge = np.zeros(alpha.shape, bool)
    for axis in (0, 1):
        change = np.diff(inside, axis=axis)
        first: list[slice] = [slice(None)] * 2
        second: list[slice] = [slice(None)] * 2
        first[axis], second[axis] = slice(0, -1), slice(1, None)
        edge[tuple(first)] |= change
        edge[tuple(second)] |= change
    return Coarse(alpha, ndimage.maximum_filter(soft | edge, size=2 * _SOFT_REACH + 1))


def pixels_of(coarse: Coarse, size: tuple[int, int]) -> int:
    """Pixels of the tiles that refining at `size` takes, about."""
    side = (_TILE + 2 * _OVERLAP) ** 2
    return side * sum(_touched(coarse.band, tile.inner, size) for tile in tiles_over(size, _TILE, _OVERLAP))


def refine(rgb: np.ndarray, coarse: Coarse, solver: Solver, progress: Progress = no_progress) -> np.ndarray:
    """Find alpha inside a band, tile by tile; overlapping tiles are blended linearly.

    Args:
        rgb: H×W×3 uint8.
        coarse: mask and band, of any size.
        solver: the network.

    Returns:
        H×W uint8: outside the band 0 or 255, as the mask is above one half.
    """
    size = (rgb.shape[0], rgb.shape[1])
    # the mask is smooth, its side of one half is the same at any scale but for the band
    alpha = _part(coarse.mask, (slice(0, size[0]), slice(0, size[1])), size, Image.Resampling.NEAREST)
    alpha = np.where(alpha > 127, np.uint8(255), np.uint8(0))
    blend = Blend(alpha, lambda index: _part_of_band(coarse.band, index, size))
    tiles = [tile for tile in tiles_over(size, _TILE, _OVERLAP) if _touched(coarse.band, tile.inner, size)]
    for number, tile in enumerate(tiles):
        progress(number / len(tiles), "Finding the edge")
        _solve_tile(rgb, coarse, tile, solver, blend)
    blend.finish()
    return alpha


def _solve_tile(rgb: np.ndarray, coarse: Coarse, tile: Tile, solver: Solver, blend: Blend) -> None:
    size = (rgb.shape[0], rgb.shape[1])
    band = _part_of_band(coarse.band, tile.outer, size)
    if not band.any():
        return
    mask = _part(coarse.mask, tile.outer, size, Image.Resampling.BILINEAR).astype(np.float32) / 255
    picture = rgb[tile.outer]
    height, width = band.shape
    pad = ((0, -height % STRIDE), (0, -width % STRIDE))
    solved = solver(
        np.pad(picture, (*pad, (0, 0)), mode="edge"), np.pad(mask, pad, mode="edge"), np.pad(band, pad, mode="edge")
    )
    blend.add(tile, (slice(0, height), slice(0, width)), solved[:height, :width])


def _touched(band: np.ndarray, index: tuple[slice, slice], size: tuple[int, int]) -> bool:
    """Whether a part of the picture, drawn at `size`, meets the band."""
    spans = []
    for part, length, small in zip(index, size, band.shape, strict=True):
        spans.append(slice(int(part.start * small / length), int(np.ceil(part.stop * small / length))))
    return bool(band[tuple(spans)].any())


def _part_of_band(band: np.ndarray, index: tuple[slice, slice], size: tuple[int, int]) -> np.ndarray:
    return _part(band.view(np.uint8), index, size, Image.Resampling.NEAREST) > 0


def _part(
    small: np.ndarray, index: tuple[slice, slice], size: tuple[int, int], resampling: Image.Resampling
) -> np.ndarray:
    """A part of a map (h×w uint8) drawn at `size`."""
    if small.shape == size:
        return small[index]
    rows, columns = index
    tall, wide = small.shape[0] / size[0], small.shape[1] / size[1]
    # cut out first: Pillow's `box` alone would go through the whole map
    top, left = max(0, int(rows.start * tall) - 2), max(0, int(columns.start * wide) - 2)
    bottom, right = int(np.ceil(rows.stop * tall)) + 2, int(np.ceil(columns.stop * wide)) + 2
    piece = np.ascontiguousarray(small[top:bottom, left:right])
    box = (columns.start * wide - left, rows.start * tall - top, columns.stop * wide - left, rows.stop * tall - top)
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    limits = (piece.shape[1], piece.shape[0])
    box = (max(0.0, box[0]), max(0.0, box[1]), min(box[2], float(limits[0])), min(box[3], float(limits[1])))
    return np.asarray(Image.fromarray(piece).resize(shape, resampling, box=box))
