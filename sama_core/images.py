"""A picture as the engine takes it: how large it may be, its name, and where its pixels lie.

The one place for coordinate maths: original pixels <-> model input <-> the decoder's grid.

Coordinates are continuous: pixel (i, j) covers the square from (j, i) to (j+1, i+1), and its centre is (j+0.5, i+0.5).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sama_core.errors import InvalidImage

#: Width times height, and the longer of the two: beyond this a desktop has not the memory.
MAX_PIXELS = 128_000_000
MAX_SIDE = 60_000
#: Side of the decoder's mask grid.
LOW_RES = 256
#: Change when the pixels that reach the network change: embeddings of another version are not reused.
PREPROCESSING_VERSION = 3
#: A picture is averaged over whole blocks of pixels down to so many times what is asked for, and resampled from there;
#: Pillow's documentation says of its `reducing_gap` that from 3 on the result can hardly be told from plain resampling.
_REDUCING_GAP = 3.0
#: Pixels that are averaged at once: Pillow holds a copy of what it works on, and more of it in 4 bytes a pixel.
_STRIP_PIXELS = 2**22


def check_size(width: int, height: int) -> None:
    """See that a picture of this size can be used.

    Raises:
        InvalidImage: it is too large.
    """
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise oversized(f"{width}×{height}")


def oversized(size: str) -> InvalidImage:
    """The refusal of a picture whose size is `size`, in words."""
    return InvalidImage(
        f"The picture is {size}; up to {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE} pixels a side "
        "can be used. Work on a smaller copy or a crop."
    )


def image_id(rgb: np.ndarray) -> str:
    """Return the image's name: hex SHA-256 of the ASCII text `WxH:` followed by the pixel bytes.

    Args:
        rgb: H×W×3 uint8, sRGB R'G'B', row-major.

    Returns:
        64 lower-case hexadecimal digits. Two images have the same name only if size and pixels are the same.

    Raises:
        InvalidImage: not H×W×3 uint8, or without a pixel.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise InvalidImage(
            f"The picture is an array of {rgb.dtype} {rgb.shape}. Give height × width × 3 values of 8 bits."
        )
    height, width = rgb.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}:".encode("ascii"))
    digest.update(np.ascontiguousarray(rgb).reshape(-1).data)
    return digest.hexdigest()


class Reduced:
    """A photo averaged over whole blocks of pixels, from which small pictures of it are made.

    Going over 60 megapixels takes longer than all that follows, so it is done once for all sizes, and strip by strip.

    Args:
        rgb: H×W×3 uint8, kept by reference where it is small already.
        side: long side of the largest picture that will be asked for.
    """

    def __init__(self, rgb: np.ndarray, side: int) -> None:
        height, width = rgb.shape[:2]
        factor = max(1, int(max(height, width) / side / _REDUCING_GAP))
        self._size = width / factor, height / factor
        self._pixels = rgb
        if factor > 1:
            rows = max(1, _STRIP_PIXELS // (width * factor)) * factor
            strips = [Image.fromarray(rgb[top : top + rows]).reduce(factor) for top in range(0, height, rows)]
            self._pixels = np.concatenate([np.asarray(strip) for strip in strips])

    def shrink(self, height: int, width: int, resample: Image.Resampling = Image.Resampling.BILINEAR) -> np.ndarray:
        """The photo at `height` × `width`, antialiased: height×width×3 uint8."""
        picture = Image.fromarray(self._pixels)
        box = (0, 0, *self._size)
        return np.asarray(picture.resize((width, height), resample, box, reducing_gap=_REDUCING_GAP))


@dataclass(frozen=True)
class Frame:
    """How an image of `height` × `width` lies in a square model input of side `size`.

    The long side is scaled to `size` (SAM's ResizeLongestSide), the rest is padding at the right and bottom; or the
    image is stretched to the whole square (as SAM 2's makers do), and there is no padding.
    """

    height: int
    width: int
    size: int
    stretched: bool = False

    @property
    def input_height(self) -> int:
        """Rows of the model input that show the image."""
        return self.size if self.stretched else max(1, round(self.height * self.size / max(self.height, self.width)))

    @property
    def input_width(self) -> int:
        """Columns of the model input that show the image."""
        return self.size if self.stretched else max(1, round(self.width * self.size / max(self.height, self.width)))

    @property
    def long_side(self) -> int:
        """Long side of the image where both its sides have no fewer pixels than they have in the model input."""
        sides = self.height, self.width
        return math.ceil(self.size * max(sides) / min(sides)) if self.stretched else self.size

    def to_input(self, points: np.ndarray) -> np.ndarray:
        """Map …×2 (x, y) original coordinates to model-input coordinates."""
        scale = np.array([self.input_width / self.width, self.input_height / self.height], np.float32)
        return np.asarray(points, np.float32) * scale

    def to_original(self, points: np.ndarray) -> np.ndarray:
        """Inverse of `to_input`."""
        scale = np.array([self.width / self.input_width, self.height / self.input_height], np.float32)
        return np.asarray(points, np.float32) * scale

    def shrink(self, rgb: np.ndarray | Reduced) -> np.ndarray:
        """Scale the image, H×W×3 uint8, to the model input's h×w×3 uint8, without the padding; antialiased."""
        photo = rgb if isinstance(rgb, Reduced) else Reduced(rgb, self.long_side)
        return photo.shrink(self.input_height, self.input_width)

    def cells(self, grid: int) -> np.ndarray:
        """Cells of a `grid` × `grid` map over the padded model input for each original pixel: (x, y) float64."""
        sides = np.array([self.input_width / self.width, self.input_height / self.height])
        return sides * grid / self.size

    def shown(self, grid: int) -> tuple[int, int]:
        """Rows and columns of a `grid` × `grid` map over the padded model input that show the image."""
        scale = grid / self.size
        return max(1, round(self.input_height * scale)), max(1, round(self.input_width * scale))

    def mask_to_low_res(self, mask: np.ndarray) -> np.ndarray:
        """Coverage of an H×W bool mask on the decoder's grid: 256×256 float32 in 0..1, 0 in the padding."""
        picture = Image.fromarray(mask.astype(np.uint8) * 255)
        height, width = self.shown(LOW_RES)
        low = np.zeros((LOW_RES, LOW_RES), np.float32)
        small = picture.resize((width, height), Image.Resampling.BOX, reducing_gap=3.0)
        low[:height, :width] = np.asarray(small, np.float32) / 255
        return low

    def sample_rows(self, grid: np.ndarray, start: int, stop: int, height: int, width: int) -> np.ndarray:
        """Bilinearly sample a decoder map over rows `start`..`stop` of the image drawn at `height` × `width`.

        Args:
            grid: R×R float32 over the padded model input; R is 256 for SAM's decoder.
            height, width: size of the picture to fill, any scale of the original; rows are its rows.

        Returns:
            (stop − start) × width float32.
        """
        scale = len(grid) / self.size
        x = (np.arange(width, dtype=np.float32) + 0.5) * (self.input_width * scale / width) - 0.5
        y = (np.arange(start, stop, dtype=np.float32) + 0.5) * (self.input_height * scale / height) - 0.5
        x0, x1, wx = _neighbours(x, len(grid))
        y0, y1, wy = _neighbours(y, len(grid))
        # only the few grid rows that this band touches are widened
        first, last = int(y0[0]), int(y1[-1]) + 1
        band = grid[first:last]
        wide = band[:, x0] * (1 - wx) + band[:, x1] * wx
        return wide[y0 - first] * (1 - wy[:, None]) + wide[y1 - first] * wy[:, None]


@dataclass(frozen=True)
class Window:
    """A rectangle of whole pixels in a picture: where a crop of it lies."""

    top: int
    left: int
    height: int
    width: int

    @property
    def place(self) -> tuple[slice, slice]:
        """Index of the window's pixels in the picture."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def within(self, outer: Window | None) -> Window:
        """The same rectangle in a picture that is itself a crop, `outer`; None is the whole picture."""
        if outer is None:
            return self
        return Window(self.top - outer.top, self.left - outer.left, self.height, self.width)

    def out_of(self, outer: Window | None) -> Window:
        """Inverse of `within`."""
        if outer is None:
            return self
        return Window(self.top + outer.top, self.left + outer.left, self.height, self.width)

    def to_window(self, points: np.ndarray) -> np.ndarray:
        """Map …×2 (x, y) coordinates of the picture to coordinates of the crop."""
        return np.asarray(points, np.float32) - np.array([self.left, self.top], np.float32)

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Inverse of `to_window`."""
        return np.asarray(points, np.float32) + np.array([self.left, self.top], np.float32)

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which of N×2 (x, y) coordinates of the picture lie in the window: N bool."""
        within = self.to_window(points)
        return np.asarray(((within >= 0) & (within <= (self.width, self.height))).all(-1))

    def cut_grid(self, grid: np.ndarray, frame: Frame, inner: Frame, padding: float) -> np.ndarray:
        """Bring a decoder map of the picture to the crop's own model input.

        Args:
            grid: R×R float32 over the picture's padded model input.
            frame: how the picture lies in it.
            inner: how the crop lies in its own.
            padding: what the result holds where it shows nothing.

        Returns:
            R×R float32 over the crop's padded model input.
        """
        count = len(grid)
        ours, theirs = frame.cells(count), inner.cells(count)
        across = _resampling(count, count, ours[0] / theirs[0], self.left * ours[0])
        down = _resampling(count, count, ours[1] / theirs[1], self.top * ours[1])
        rows, columns = inner.shown(count)
        result = np.full_like(grid, padding)
        result[:rows, :columns] = (down @ grid @ across.T)[:rows, :columns]
        return result

    def paste_grid(self, grid: np.ndarray, frame: Frame, cut: np.ndarray, inner: Frame) -> np.ndarray:
        """A decoder map of the picture whose cells inside the window say what the crop's map says there.

        Args:
            grid: R×R float32 over the picture's padded model input, not changed.
            frame: how the picture lies in it.
            cut: R×R float32 over the crop's padded model input.
            inner: how the crop lies in that.
        """
        count = len(grid)
        ours, theirs = frame.cells(count), inner.cells(count)
        across = _resampling(count, count, theirs[0] / ours[0], -self.left * theirs[0])
        down = _resampling(count, count, theirs[1] / ours[1], -self.top * theirs[1])
        centres = np.arange(count) + 0.5
        columns = (centres >= self.left * ours[0]) & (centres < (self.left + self.width) * ours[0])
        rows = (centres >= self.top * ours[1]) & (centres < (self.top + self.height) * ours[1])
        return np.where(rows[:, None] & columns, down @ cut @ across.T, grid).astype(np.float32)


@dataclass(frozen=True)
class View:
    """What is wanted of an answer: a part of the photo, drawn at a size.

    Attributes:
        window: the part.
        height, width: of the drawing, pixels.
        photo: (height, width) of the photo, pixels.
    """

    window: Window
    height: int
    width: int
    photo: tuple[int, int]

    @property
    def shares(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Where the view begins and ends, as shares of the photo's height and of its width."""
        part, (height, width) = self.window, self.photo
        rows = part.top / height, (part.top + part.height) / height
        return rows, (part.left / width, (part.left + part.width) / width)


def _resampling(count: int, source: int, scale: float, offset: float) -> np.ndarray:
    """Weights that resample one axis: count × source float32, rows of sum 1; bilinear, and a mean where it shrinks.

    Coordinate u of the result, in cells, is coordinate scale·u + offset of the source.
    """
    samples = max(1, int(np.ceil(scale)))
    fine = (np.arange(count * samples) + 0.5) / samples * scale + offset - 0.5
    lower, upper, weight = _neighbours(fine, source)
    weights = np.zeros((count, source), np.float32)
    row = np.arange(count * samples) // samples
    np.add.at(weights, (row, lower), (1 - weight) / samples)
    np.add.at(weights, (row, upper), weight / samples)
    return weights


def pixels_under(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels that …×2 (x, y) coordinates of a picture of `height` × `width` lie in: …×2 int, column and row.

    The picture's right and lower edge belong to its last pixels.
    """
    return np.clip(np.floor(points).astype(np.intp), 0, (width - 1, height - 1))


def _neighbours(position: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    position = np.clip(position, 0, count - 1)
    lower = np.floor(position).astype(np.intp)
    upper = np.minimum(lower + 1, count - 1)
    return lower, upper, (position - lower).astype(np.float32)
