"""Training samples of SAMA: one object of a photo with its coverage, or a composite with its alpha."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from sama_core.data.sets import MIN_SHARE, Entry, load_objects, load_rgb, load_targets
from sama_core.errors import ConfigError, DatasetError
from sama_core.training import procedural, pseudo_alpha
from sama_core.training.compositing import (
    Crop,
    Grain,
    Layer,
    background_window,
    composite,
    extend_colours,
    match_light,
    object_window,
    recolour,
    sharpen,
)
from sama_core.training.config import MattingMix

_NEED_ALPHAS = ("in_place", "moved", "drawn_in_place")
#: Share of the frame that an object takes up in a matting sample.
_OBJECT_SHARE = (0.08, 0.6)
#: A matting target holds at least this share of (nearly) opaque pixels, for prompts are put there.
_MIN_OPAQUE = 0.004
_OPAQUE = 0.95
#: A sample is tried so many times before the source gives up.
_TRIES = 40


@dataclass(frozen=True)
class ViewSample:
    """A picture and the target of one task.

    Attributes:
        pixels: F×F×3 uint8 sRGB, F = 2 × the backbone's input size: the fine picture from which the four local views
            are cut; 0 beyond `height` and `width`.
        height, width: rows and columns of `pixels` that show the photo; the rest, right and bottom, is padding.
        target: T×T uint8 over the same padded frame, coverage (segmentation) or alpha (matting) × 255; T divides F.
        valid: T×T bool, False where the target is unknown (void) or padding.
        task: "segmentation" or "matting".
        annotated: whether the target is a mask drawn by hand, which knows the object but not its edge.
    """

    pixels: np.ndarray
    height: int
    width: int
    target: np.ndarray
    valid: np.ndarray
    task: str
    annotated: bool = False


class Source(Protocol):
    """Anything that makes samples of one task."""

    def sample(self, rng: np.random.Generator) -> ViewSample:
        """Make one sample; it depends on `rng` alone."""
        ...


def sample_at(source: Source, seed: int, index: int) -> ViewSample:
    """Sample number `index` of the stream that `seed` names: the same whatever was drawn before, in any process."""
    return source.sample(np.random.default_rng((seed, index)))


class SegmentationSource:
    """Objects of photos with masks, as annotated.

    Half of the samples show the whole photo (long side = fine_size), the others are scaled by 0.75..1.9 of that and
    cropped around a point of the object.

    Args:
        entries: photos to draw from, each as often as any other.
        fine_size: F of `ViewSample`, pixels.
        target_size: T, a divisor of F.

    Raises:
        DatasetError: no entries.
        ConfigError: sizes that do not divide.
    """

    def __init__(self, entries: list[Entry], fine_size: int = 1024, target_size: int = 512) -> None:
        _check(entries, fine_size, target_size)
        self._entries, self._fine, self._target = entries, fine_size, target_size

    def sample(self, rng: np.random.Generator) -> ViewSample:
        """Cut one sample.

        Raises:
            DatasetError: forty photos in a row had no usable object.
        """
        for _ in range(_TRIES):
            entry = self._entries[rng.integers(len(self._entries))]
            objects = load_targets(entry)
            if objects:
                mask, valid = objects[rng.integers(len(objects))]
                made = cut_object(load_rgb(entry.image), mask, valid, self._fine, self._target, rng)
                if made is not None:
                    return made
        raise _no_sample()


class MattingSource:
    """Photos with an alpha: pseudo-alphas in place and moved, and drawn alphas over photos (see `MattingMix`).

    Args:
        entries: photos with masks, as foregrounds and backgrounds.
        alphas: folder of pseudo-alphas as `sama_core.training.pseudo_alpha` writes it, or None for drawn alphas only.
        fine_size: F of `ViewSample`, pixels.
        target_size: T, a divisor of F.
        mix: how often each kind is taken.

    Raises:
        DatasetError: no entries.
        ConfigError: sizes that do not divide, or a mix of which nothing can be made.
    """

    def __init__(
        self,
        entries: list[Entry],
        alphas: Path | None = None,
        fine_size: int = 1024,
        target_size: int = 512,
        mix: MattingMix = MattingMix(),  # noqa: B008 - it cannot change
    ) -> None:
        _check(entries, fine_size, target_size)
        self._entries, self._fine, self._target = entries, fine_size, target_size
        self._matted = (
            [] if alphas is None else [(alphas, entry) for entry in entries if pseudo_alpha.is_stored(alphas, entry)]
        )
        self._grain = Grain()
        shares = {kind: share for kind, share in mix.model_dump().items() if self._matted or kind not in _NEED_ALPHAS}
        if sum(shares.values()) <= 0:
            raise ConfigError("The mix of matting samples has no kind that can be made: name one besides in_place.")
        self._kinds = list(shares)
        self._shares = np.array(list(shares.values())) / sum(shares.values())

    def sample(self, rng: np.random.Generator) -> ViewSample:
        """Make one sample.

        Raises:
            DatasetError: forty photos in a row gave nothing usable.
        """
        for _ in range(_TRIES):
            kind = self._kinds[rng.choice(len(self._kinds), p=self._shares)]
            if kind == "annotated":
                made = self._annotated_sample(rng)
            else:
                made = self._matted_sample(kind, rng) if kind in _NEED_ALPHAS else self._drawn_sample(kind, rng)
            if made is not None:
                return made
        raise _no_sample()

    def _annotated_sample(self, rng: np.random.Generator) -> ViewSample | None:
        """A photo as it is, for what no drawn alpha teaches: which parts of a real picture belong to a thing."""
        entry = self._entries[rng.integers(len(self._entries))]
        objects = load_targets(entry)
        if not objects:
            return None
        mask, valid = objects[rng.integers(len(objects))]
        made = cut_object(load_rgb(entry.image), mask, valid, self._fine, self._target, rng)
        return None if made is None else replace(made, task="matting", annotated=True)

    def _matted_sample(self, kind: str, rng: np.random.Generator) -> ViewSample | None:
        """A sample of a photo that has a pseudo-alpha."""
        folder, entry = self._matted[rng.integers(len(self._matted))]
        stored = pseudo_alpha.read(folder, entry)
        mask = (stored.alpha > 0.5).astype(np.uint8)
        if mask.mean() < MIN_SHARE:
            return None
        window = object_window(mask, self._fine, _OBJECT_SHARE, kind != "moved", rng)
        alpha = np.clip(window.show(stored.alpha, outside="zero" if kind == "moved" else "mirror"), 0, 1)
        if kind == "moved":
            layer = Layer(self._textured(window.show(stored.colour), rng), alpha)
            return self._over_photo(layer, rng)
        photo = self._textured(window.show(load_rgb(entry.image)), rng)
        if kind == "in_place":
            return self._finish(photo, alpha, rng)
        # what is drawn covers the photo; the object's own pixels stay the photo's
        colour = np.where((alpha > 0.98)[..., None], photo, window.show(stored.colour))
        drawn = procedural.draw_kind(Layer(colour, alpha), rng, only_added=True)
        union = drawn.alpha + (1 - drawn.alpha) * alpha
        return self._finish(composite(drawn, photo), union, rng)

    def _drawn_sample(self, kind: str, rng: np.random.Generator) -> ViewSample | None:
        """A drawn alpha over another photo."""
        entry = self._entries[rng.integers(len(self._entries))]
        mask, photo = self._mask(entry, rng), load_rgb(entry.image)
        if mask is None or mask.mean() < MIN_SHARE:
            return None
        window = object_window(mask, self._fine, _OBJECT_SHARE, False, rng)
        if kind == "drawn_blob":
            shape = Layer(window.show(photo), procedural.blob(window.height, window.width, rng))
        else:
            shape = outlined(photo, mask, window)
        if shape.alpha.mean() < MIN_SHARE:
            return None
        shape = Layer(self._textured(shape.colour, rng), shape.alpha)
        return self._over_photo(procedural.draw_kind(shape, rng), rng)

    def _over_photo(self, layer: Layer, rng: np.random.Generator) -> ViewSample | None:
        background = self._background((layer.alpha.shape[0], layer.alpha.shape[1]), rng)
        if rng.random() < 0.6:
            layer = match_light(layer, background, rng.uniform(0.2, 0.9))
        return self._finish(composite(layer, background), layer.alpha, rng)

    @staticmethod
    def _mask(entry: Entry, rng: np.random.Generator) -> np.ndarray | None:
        objects = load_objects(entry)
        return objects[rng.integers(len(objects))][0] if objects else None

    def _background(self, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        entry = self._entries[rng.integers(len(self._entries))]
        photo = load_rgb(entry.image)
        shown = background_window((photo.shape[0], photo.shape[1]), shape[0], shape[1], rng).show(photo)
        if rng.random() < 0.35:
            return cv2.GaussianBlur(shown, (0, 0), float(np.exp(rng.uniform(np.log(1.0), np.log(10.0)))))
        return self._textured(shown, rng)

    def _textured(self, shown: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Give an enlarged photo back some of the crispness that a photo of this size has."""
        crisp = sharpen(shown, rng.uniform(0.2, 1.2), rng.uniform(1.0, 2.0))
        return self._grain.add(crisp, rng.uniform(0, 7), rng) if rng.random() < 0.7 else crisp

    def _finish(self, picture: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> ViewSample | None:
        if rng.random() < 0.3:
            # the lens blurs the finished picture, and with it the alpha that would be measured in it
            sigma = float(rng.uniform(0.4, 1.4))
            picture, alpha = (cv2.GaussianBlur(array, (0, 0), sigma) for array in (picture, alpha))
        if rng.random() < 0.6:
            picture = self._grain.add(picture, rng.uniform(0, 6), rng)
        picture = recolour(picture, rng)
        made = padded_sample(
            np.rint(picture).astype(np.uint8), alpha, np.ones_like(alpha), self._fine, self._target, "matting"
        )
        return made if (made.target >= _OPAQUE * 255).mean() >= _MIN_OPAQUE else None


def outlined(rgb: np.ndarray, mask: np.ndarray, window: Crop) -> Layer:
    """An object as a shape for drawn alphas: its outline smooth, its colours carried outwards.

    Args:
        rgb: h×w×3 uint8, the photo.
        mask: h×w uint8, 0 or 1.
        window: the view of the photo that is wanted.
    """
    inner = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
    colour = extend_colours(rgb, inner if inner.any() else mask > 0)
    blurred = window.show(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0), outside="zero")
    # the blurred edge rises by 0.4 in a photo pixel; two fine pixels are wanted
    return Layer(window.show(colour), np.clip((blurred - 0.5) * max(window.scale, 1) * 1.25 + 0.5, 0, 1))


def cut_object(
    rgb: np.ndarray,
    coverage: np.ndarray,
    valid: np.ndarray,
    fine_size: int,
    target_size: int,
    rng: np.random.Generator,
) -> ViewSample | None:
    """Frame one object of a photo as a segmentation sample: in half of them the whole photo, else a crop around it.

    Args:
        rgb: H×W×3 uint8 sRGB.
        coverage: H×W, 0..1, not all zero.
        valid: H×W, 0 where the annotation is void, else 1.
        fine_size, target_size: F and T of `ViewSample`.

    Returns:
        None when too little of the object is in the frame.
    """
    height, width = coverage.shape
    scale = fine_size / max(height, width)
    if rng.random() < 0.5:
        scale *= float(np.exp(rng.uniform(np.log(0.75), np.log(1.9))))
    shown_h, shown_w = (min(fine_size, max(1, round(side * scale))) for side in (height, width))
    ys, xs = np.nonzero(coverage)
    pick = rng.integers(len(ys))
    left = np.clip(xs[pick] - shown_w / scale * rng.uniform(0.2, 0.8), 0, max(0.0, width - shown_w / scale))
    top = np.clip(ys[pick] - shown_h / scale * rng.uniform(0.2, 0.8), 0, max(0.0, height - shown_h / scale))
    window = Crop(scale, float(left), float(top), shown_h, shown_w, bool(rng.random() < 0.5))
    shown = window.show(coverage.astype(np.float32), cv2.INTER_LINEAR)
    if shown.sum() < 0.25 * len(ys) * scale * scale or shown.mean() < MIN_SHARE:
        return None
    known = window.show(valid.astype(np.float32), cv2.INTER_LINEAR)
    picture = recolour(window.show(rgb), rng)
    return padded_sample(np.rint(picture).astype(np.uint8), shown, known, fine_size, target_size, "segmentation")


def padded_sample(
    picture: np.ndarray, coverage: np.ndarray, known: np.ndarray, fine: int, target: int, task: str
) -> ViewSample:
    """Pad a picture (at most fine×fine×3 uint8), its coverage and what is known of it (0..1 each) to a sample."""
    height, width = coverage.shape
    pixels = np.zeros((fine, fine, 3), np.uint8)
    pixels[:height, :width] = picture

    def low(array: np.ndarray) -> np.ndarray:
        canvas = np.zeros((fine, fine), np.float32)
        canvas[:height, :width] = array
        return cv2.resize(canvas, (target, target), interpolation=cv2.INTER_AREA)

    return ViewSample(
        pixels, height, width, np.rint(np.clip(low(coverage), 0, 1) * 255).astype(np.uint8), low(known) > 0.99, task
    )


def _check(entries: list[Entry], fine_size: int, target_size: int) -> None:
    if not entries:
        raise DatasetError("There are no photos to make samples from: name a data folder whose split.csv lists some.")
    check_sizes(fine_size, target_size)


def check_sizes(fine_size: int, target_size: int) -> None:
    """See that targets of one size fit pictures of the other.

    Raises:
        ConfigError: they do not divide.
    """
    if target_size < 1 or fine_size % target_size:
        raise ConfigError(
            f"The target size must divide the fine size {fine_size}, not {target_size}: use {fine_size // 2}."
        )


def _no_sample() -> DatasetError:
    return DatasetError(f"{_TRIES} photos in a row gave no usable object: check the masks of the data folder.")
