"""Composites with a known alpha: framing of photos, layers, and what a camera does to the finished picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

#: Photos are enlarged at most so many times: past that an enlarged object is mush.
MAX_ENLARGEMENT = 3.2


@dataclass(frozen=True)
class Layer:
    """A foreground to lay over a background.

    Attributes:
        colour: H×W×3 uint8 sRGB, the foreground's own colour, defined also where alpha is 0.
        alpha: H×W float32 in 0..1.
    """

    colour: np.ndarray
    alpha: np.ndarray


@dataclass(frozen=True)
class Crop:
    """A view of a photo: `scale` fine pixels per photo pixel, its left top corner in photo pixels, its fine size."""

    scale: float
    left: float
    top: float
    height: int
    width: int
    flip: bool

    def show(self, picture: np.ndarray, interpolation: int = cv2.INTER_CUBIC, outside: str = "mirror") -> np.ndarray:
        """Resample an h×w or h×w×C picture into the window; `outside` of the picture is its "mirror" or "zero"."""
        if self.scale < 1:
            # INTER_AREA has no place in warpAffine; a pre-blur keeps fine texture from aliasing
            picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / self.scale)
        offset = 0.5 * self.scale - 0.5
        matrix = np.array(
            [[self.scale, 0, offset - self.left * self.scale], [0, self.scale, offset - self.top * self.scale]]
        )
        border = cv2.BORDER_REFLECT_101 if outside == "mirror" else cv2.BORDER_CONSTANT
        shown = cv2.warpAffine(picture, matrix, (self.width, self.height), flags=interpolation, borderMode=border)
        return np.ascontiguousarray(shown[:, ::-1]) if self.flip else shown


def object_window(
    mask: np.ndarray, size: int, share: tuple[float, float], inside: bool, rng: np.random.Generator
) -> Crop:
    """Choose a window, long side `size`, in which the object takes up about a share of the frame drawn from `share`.

    A side of the photo that the object touches stays outside the window, so that the photo's edge never cuts the
    object in the middle of the frame. With `inside` the window shows nothing but the photo.

    Args:
        mask: h×w, non-zero on the object.
    """
    photo_h, photo_w = mask.shape
    height, width = _frame_size(photo_h / photo_w if rng.random() < 0.5 else None, size, rng)
    ys, xs = np.nonzero(mask)
    top, bottom, left, right = int(ys.min()), int(ys.max()) + 1, int(xs.min()), int(xs.max()) + 1
    at_left, at_right, at_top, at_bottom = left <= 2, right >= photo_w - 2, top <= 2, bottom >= photo_h - 2
    scale = float(np.sqrt(rng.uniform(*share) * height * width / len(ys)))
    # mostly the whole object is in the frame
    if rng.random() < 0.8:
        scale = min(scale, 0.98 * max(height / (bottom - top), 0.1), 0.98 * max(width / (right - left), 0.1))
    scale = float(np.clip(scale, 0.3, MAX_ENLARGEMENT))
    if inside or (at_left and at_right):
        scale = max(scale, width / photo_w)
    if inside or (at_top and at_bottom):
        scale = max(scale, height / photo_h)

    def place(low: float, high: float, window: float, photo: float, holds_low: bool, holds_high: bool) -> float:
        # keep the object's extent within the window if it fits, else the window within the extent
        first, last = sorted((high - window, low))
        start = rng.uniform(first, last)
        if holds_low or inside:
            start = max(start, 0.0)
        if holds_high or inside:
            start = min(start, photo - window)
        return start

    return Crop(
        scale,
        place(left, right, width / scale, photo_w, at_left, at_right),
        place(top, bottom, height / scale, photo_h, at_top, at_bottom),
        height,
        width,
        bool(rng.random() < 0.5),
    )


def background_window(photo: tuple[int, int], height: int, width: int, rng: np.random.Generator) -> Crop:
    """Choose a window of height × width fine pixels on a photo of h×w pixels that serves as a background.

    Three in four show the photo enlarged until it covers the frame; the others show it near its own size, mirrored
    at its edges, which keeps its fine texture.
    """
    photo_h, photo_w = photo
    cover = max(height / photo_h, width / photo_w)
    scale = cover * rng.uniform(1.0, 1.4) if rng.random() < 0.75 else rng.uniform(0.9, 1.6)
    free_y, free_x = photo_h - height / scale, photo_w - width / scale
    return Crop(scale, free_x * rng.random(), free_y * rng.random(), height, width, bool(rng.random() < 0.5))


def _frame_size(aspect: float | None, size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Height and width with long side `size`; `aspect` is height / width, None for a random one."""
    if aspect is None:
        aspect = float(np.exp(rng.uniform(np.log(0.6), np.log(1.6))))
    short = max(8, round(size * min(aspect, 1 / aspect)))
    return (size, short) if aspect >= 1 else (short, size)


def extend_colours(rgb: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Carry the colours of `core` (H×W bool) outwards: every other pixel takes its nearest core pixel's colour.

    The result, H×W×3 uint8, is the photo inside the core; outside it is smoothed, as nearest colours come in streaks.
    """
    outside = (~core).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    labels = labels.astype(np.intp)
    table = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    table[labels[core]] = rgb[core]
    filled = table[labels]
    return np.where(outside[..., None] > 0, cv2.GaussianBlur(filled, (0, 0), 2.0), filled)


def composite(layer: Layer, background: np.ndarray) -> np.ndarray:
    """I = αF + (1 − α)B, H×W×3 uint8, rounded once."""
    # blendLinear divides by the sum of the weights + 1e-5, which is 1 here
    return cv2.blendLinear(layer.colour, background, layer.alpha, 1.0 - layer.alpha)


class Grain:
    """Film grain: a bank of noise, from which every picture takes a piece; the same bank in every process."""

    _SIDE = 1536

    def __init__(self) -> None:
        rng = np.random.default_rng(20)
        bank = []
        for sigma in (0.0, 0.7, 1.4):
            noise = rng.standard_normal((self._SIDE, self._SIDE, 3), np.float32)
            if sigma:
                noise = cv2.GaussianBlur(noise, (0, 0), sigma)
            # colour noise is weaker than brightness noise
            noise = 0.6 * noise + 0.8 * noise[..., :1]
            noise *= 32 / noise.std()
            bank.append(np.clip(noise + 128, 0, 255).astype(np.uint8))
        self._bank = bank

    def add(self, rgb: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
        """Add noise of standard deviation `sigma` (0..255 units) to an H×W×3 uint8 picture."""
        height, width = rgb.shape[:2]
        noise = self._bank[rng.integers(len(self._bank))]
        if height > self._SIDE or width > self._SIDE:
            noise = np.tile(noise, (-(-height // self._SIDE) + 1, -(-width // self._SIDE) + 1, 1))
        top = int(rng.integers(noise.shape[0] - height + 1))
        left = int(rng.integers(noise.shape[1] - width + 1))
        amount = sigma / 32
        return cv2.addWeighted(rgb, 1, noise[top : top + height, left : left + width], amount, -128 * amount)


def sharpen(rgb: np.ndarray, amount: float, sigma: float) -> np.ndarray:
    """Unsharp mask of an H×W×3 uint8 picture."""
    return cv2.addWeighted(rgb, 1 + amount, cv2.GaussianBlur(rgb, (0, 0), sigma), -amount, 0)


def match_light(layer: Layer, background: np.ndarray, strength: float) -> Layer:
    """Move the layer's mean colour a `strength` (0..1) of the way to the background's by a gain in each channel."""
    small = cv2.resize(layer.alpha, (64, 64), interpolation=cv2.INTER_AREA)
    colour = cv2.resize(layer.colour, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    own = (colour * small[..., None]).sum((0, 1)) / max(float(small.sum()), 1e-3)
    other = cv2.resize(background, (64, 64), interpolation=cv2.INTER_AREA).mean((0, 1))
    gain = np.clip((other + 16) / (own + 16), 0.4, 2.5) ** strength
    return Layer(cv2.transform(layer.colour, np.diag(gain).astype(np.float32)), layer.alpha)


def recolour(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary exposure, contrast, colour, sharpness and compression of an H×W×3 uint8 picture; returns float32 0..255."""
    if rng.random() < 0.15:
        quality = int(rng.integers(30, 90))
        encoded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        rgb = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    picture = rgb.astype(np.float32)
    if rng.random() < 0.15:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.6)))
    if rng.random() < 0.8:
        grey = picture.mean(axis=2, keepdims=True)
        picture = grey + (picture - grey) * rng.uniform(0.5, 1.4)
        picture = (picture - picture.mean()) * rng.uniform(0.7, 1.3) + picture.mean() * rng.uniform(0.7, 1.3)
        picture *= rng.uniform(0.92, 1.08, size=(1, 1, 3))
    if rng.random() < 0.05:
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    return np.clip(picture, 0, 255).astype(np.float32)
