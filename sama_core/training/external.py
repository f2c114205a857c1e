"""Samples from public data sets: masks and mattes on their own photos, foregrounds composited over other photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from sama_core.data.layouts import PLAIN, SPLIT_CSV
from sama_core.data.pairs import PICTURE_SUFFIXES, Pair, detect_layout, find_pairs, load_pair
from sama_core.data.sets import MIN_SHARE, find_entries, load_rgb
from sama_core.errors import DatasetError
from sama_core.training.compositing import (
    Crop,
    Layer,
    background_window,
    composite,
    extend_colours,
    object_window,
    recolour,
)
from sama_core.training.config import DataSet
from sama_core.training.samples import SegmentationSource, Source, ViewSample, check_sizes, cut_object, padded_sample

#: Share of the frame that an object takes up in a cropped matte or a composite.
_OBJECT_SHARE = (0.08, 0.6)
#: A source tries so many pairs for one sample before it gives up.
_TRIES = 40


@dataclass(frozen=True)
class Supply:
    """What data gives for one task.

    Attributes:
        sets: names of the data sets, and how many targets are of each; a set is named by its layout, or by its folder
            where the layout is the project's own.
        split: of the sets.
        task: what the targets train.
        weight: how often one of them is drawn, relative to one of another supply.
        source: of the samples.
    """

    sets: dict[str, int]
    split: str
    task: Literal["segmentation", "matting"]
    weight: float
    source: Source

    @property
    def targets(self) -> int:
        """How many there are."""
        return sum(self.sets.values())


def make_sources(
    sets: Sequence[DataSet], backgrounds: Sequence[Path] = (), fine_size: int = 2048, target_size: int = 1024
) -> dict[Literal["segmentation", "matting"], Source]:
    """Turn data sets into one source for each task that they have targets for; the rest is as in `find_supplies`."""
    return merge(find_supplies(sets, backgrounds, fine_size, target_size))


def merge(supplies: Sequence[Supply]) -> dict[Literal["segmentation", "matting"], Source]:
    """One source for each task, drawing from its supplies in proportion to their weighted number of targets.

    Raises:
        DatasetError: a weight is not positive.
    """
    by_task: dict[Literal["segmentation", "matting"], list[Supply]] = {}
    for supply in supplies:
        by_task.setdefault(supply.task, []).append(supply)
    return {
        task: Mixture([supply.source for supply in some], [supply.weight * supply.targets for supply in some])
        for task, some in by_task.items()
    }


def find_supplies(
    sets: Sequence[DataSet], backgrounds: Sequence[Path] = (), fine_size: int = 2048, target_size: int = 1024
) -> list[Supply]:
    """Find what data sets have to train on; one with masks and mattes gives several supplies.

    Args:
        sets: what to train on.
        backgrounds: folders of photos (searched whole) to composite foregrounds over.
        fine_size, target_size: F and T of `ViewSample`, pixels.

    Raises:
        DatasetError: a set cannot be found, or has foregrounds and there are no backgrounds for them.
        ConfigError: the sizes do not divide.
    """
    check_sizes(fine_size, target_size)
    photos = find_photos(backgrounds)
    supplies = []
    for chosen in sets:
        layout = detect_layout(chosen.root) if chosen.layout == "auto" else chosen.layout
        name = chosen.root.name if layout in (PLAIN, SPLIT_CSV) else layout
        pairs = find_pairs(chosen.root, layout, chosen.split)
        masks = [pair for pair in pairs if pair.kind == "mask"]
        mattes = [pair for pair in pairs if pair.kind == "alpha" and pair.image]
        foregrounds = [pair for pair in pairs if pair.kind == "alpha" and not pair.image]
        if masks:
            if layout == SPLIT_CSV:
                # these masks may hold class numbers, which the project's own reader knows
                names = tuple({pair.target.parent.parent.name for pair in masks})
                source = SegmentationSource(find_entries(chosen.root, chosen.split, names), fine_size, target_size)
            else:
                source = MaskSource(masks, fine_size, target_size)
            supplies.append(Supply({name: len(masks)}, chosen.split, "segmentation", chosen.weight, source))
        if mattes:
            source = MatteSource(mattes, fine_size, target_size)
            supplies.append(Supply({name: len(mattes)}, chosen.split, "matting", chosen.weight, source))
        if foregrounds:
            if not photos:
                raise DatasetError(
                    f"{chosen.root} has foregrounds without photos. Name folders of photos to composite them over."
                )
            source = ForegroundSource(foregrounds, photos, fine_size, target_size)
            supplies.append(Supply({name: len(foregrounds)}, chosen.split, "matting", chosen.weight, source))
    return supplies


def find_photos(folders: Sequence[Path]) -> list[Path]:
    """List the pictures of folders and all folders below them, sorted.

    Raises:
        DatasetError: a folder is not there or has none.
    """
    photos = []
    for folder in folders:
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
        if not found:
            raise DatasetError(f"There are no pictures in {folder}. Name a folder that holds photos.")
        photos += found
    return photos


class Mixture:
    """Draws from several sources in given proportions.

    Raises:
        DatasetError: a share is not positive.
    """

    def __init__(self, sources: Sequence[Source], shares: Sequence[float]) -> None:
        if min(shares) <= 0:
            raise DatasetError(f"Weights of data sets must be positive, not {min(shares)}. Leave out an unwanted set.")
        self._sources = list(sources)
        self._shares = np.asarray(shares, np.float64) / sum(shares)

    def sample(self, rng: np.random.Generator) -> ViewSample:
        """Draw a source, and a sample from it."""
        return self._sources[rng.choice(len(self._sources), p=self._shares)].sample(rng)


class _PairSource:
    """Tries pairs, each as likely as any other, until one gives a sample."""

    def __init__(self, pairs: Sequence[Pair], fine_size: int, target_size: int) -> None:
        self._pairs, self._fine, self._target = list(pairs), fine_size, target_size

    def sample(self, rng: np.random.Generator) -> ViewSample:
        """Make one sample.

        Raises:
            DatasetError: forty pairs in a row had nothing to select, or a pair's pictures do not fit together.
        """
        for _ in range(_TRIES):
            pair = self._pairs[rng.integers(len(self._pairs))]
            made = self._make(pair, rng)
            if made is not None:
                return made
        raise DatasetError(f"{_TRIES} targets in a row were all but empty, the last {pair.target}. Check the data set.")

    def _make(self, pair: Pair, rng: np.random.Generator) -> ViewSample | None:
        raise NotImplementedError


class MaskSource(_PairSource):
    """Masks on their photos, framed as in `SegmentationSource`; a soft edge stays soft.

    Args:
        pairs: with photos and masks.
        fine_size, target_size: F and T of `ViewSample`, pixels.
    """

    def _make(self, pair: Pair, rng: np.random.Generator) -> ViewSample | None:
        rgb, coverage = load_pair(pair)
        if coverage.mean() < MIN_SHARE:
            return None
        return cut_object(rgb, coverage, np.ones_like(coverage), self._fine, self._target, rng)


class MatteSource(_PairSource):
    """Mattes on their own photos: half of the samples show the whole photo, the others are cropped around the object.

    Args:
        pairs: with photos and mattes.
        fine_size, target_size: F and T of `ViewSample`, pixels.
    """

    def _make(self, pair: Pair, rng: np.random.Generator) -> ViewSample | None:
        rgb, alpha = (_reduced(picture, 2 * self._fine) for picture in load_pair(pair))
        opaque = alpha > 0.5
        if opaque.mean() < MIN_SHARE:
            return None
        if rng.random() < 0.5:
            window = _whole(opaque.shape[0], opaque.shape[1], self._fine, rng)
        else:
            window = object_window(opaque, self._fine, _OBJECT_SHARE, True, rng)
        shown = np.clip(window.show(alpha), 0, 1)
        return _matting_sample(window.show(rgb), shown, self._fine, self._target, rng)


class ForegroundSource(_PairSource):
    """Foregrounds composited over photos: I = αF + (1 − α)B in sRGB, as Deep Image Matting does (Xu et al. 2017).

    Args:
        pairs: with foregrounds and mattes.
        backgrounds: photos of other things.
        fine_size, target_size: F and T of `ViewSample`, pixels.
    """

    def __init__(self, pairs: Sequence[Pair], backgrounds: Sequence[Path], fine_size: int, target_size: int) -> None:
        super().__init__(pairs, fine_size, target_size)
        self._backgrounds = list(backgrounds)

    def _make(self, pair: Pair, rng: np.random.Generator) -> ViewSample | None:
        colour, alpha = (_reduced(picture, 2 * self._fine) for picture in load_pair(pair))
        opaque = alpha > 0.5
        if opaque.mean() < MIN_SHARE:
            return None
        window = object_window(opaque, self._fine, _OBJECT_SHARE, False, rng)
        # outside the foreground its colour is undefined, and resampling would draw it in
        colour = window.show(extend_colours(colour, alpha > 0))
        shown = np.clip(window.show(alpha, outside="zero"), 0, 1)
        photo = load_rgb(self._backgrounds[rng.integers(len(self._backgrounds))])
        frame = background_window((photo.shape[0], photo.shape[1]), window.height, window.width, rng)
        picture = composite(Layer(colour, shown), frame.show(photo))
        return _matting_sample(picture, shown, self._fine, self._target, rng)


def _reduced(picture: np.ndarray, side: int) -> np.ndarray:
    """Shrink a picture whose long side exceeds `side`, which no sample can show."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _whole(height: int, width: int, side: int, rng: np.random.Generator) -> Crop:
    scale = side / max(height, width)
    shown = (max(1, round(height * scale)), max(1, round(width * scale)))
    return Crop(scale, 0.0, 0.0, shown[0], shown[1], bool(rng.random() < 0.5))


def _matting_sample(
    picture: np.ndarray, alpha: np.ndarray, fine: int, target: int, rng: np.random.Generator
) -> ViewSample | None:
    if (alpha > 0.5).mean() < MIN_SHARE:
        return None
    coloured = np.rint(recolour(picture, rng)).astype(np.uint8)
    return padded_sample(coloured, alpha, np.ones_like(alpha), fine, target, "matting")
