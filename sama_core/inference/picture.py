"""A picture as an engine holds it: its pixels, where it lies in the networks' inputs, and what is encoded of it."""

from __future__ import annotations

import functools
from collections import OrderedDict

import numpy as np

from sama_core.images import Reduced, Window
from sama_core.inference.deblocking import Grid, even_alpha, even_picture, find_grid
from sama_core.inference.predictor import Predictor, TurnCache
from sama_core.inference.upsampling import Upsampler
from sama_core.model.backbones.base import Features

#: Crops that a picture keeps: mostly an answer takes one, in a very wide picture a few.
_CROPS = 4


class Picture:
    """A photo, or a crop of one that is looked at like a photo of its own.

    Args:
        rgb: H×W×3 uint8, kept by reference.
        name: under which embeddings are kept.
        predictor: the network that looks at it.
        window: where it lies in the photo, if it is a crop.
        photo: what it is a crop of.

    Attributes:
        guide: H×W×3 uint8, what networks and edges follow: the picture without a JPEG's blocks, `rgb` itself if it has
            none.
        frame: how it lies in the model input.
        shown: how it lies in what the local views and the heads see.
        views: what is encoded, by number of the view.
        turns: what stock SAM has answered about it.
    """

    def __init__(
        self,
        rgb: np.ndarray,
        name: str,
        predictor: Predictor,
        window: Window | None = None,
        photo: Picture | None = None,
    ) -> None:
        self.rgb, self.name, self.window = rgb, name, window
        self._grid: Grid | None
        if photo is None or window is None:
            self._grid = find_grid(rgb)
            self.guide = rgb if self._grid is None else even_picture(rgb, self._grid)
        else:
            self._grid = photo._grid and photo._grid.within(window)
            self.guide = photo.guide[window.place]
        self.frame = predictor.frame(*rgb.shape[:2])
        self.shown = predictor.shows(*rgb.shape[:2])
        self.views: dict[int, Features] = {}
        self.turns = TurnCache()
        self._predictor = predictor
        self._crops: OrderedDict[Window, Picture] = OrderedDict()

    def seen_by(self, predictor: Predictor) -> bool:
        """Whether this is the network whose views these are."""
        return self._predictor is predictor

    @functools.cached_property
    def upsampler(self) -> Upsampler:
        """Brings masks of this picture to its full resolution."""
        return Upsampler(self.guide)

    @functools.cached_property
    def small(self) -> np.ndarray:
        """The model input: h×w×3 uint8, without padding."""
        return self.frame.shrink(self._reduced)

    @functools.cached_property
    def fine(self) -> np.ndarray:
        """What the local views and the heads see: h×w×3 uint8, without padding."""
        return self.shown.shrink(self._reduced)

    @functools.cached_property
    def _reduced(self) -> Reduced:
        return Reduced(self.guide, self.shown.long_side)

    def crop(self, window: Window) -> Picture:
        """A crop as a picture of its own; the last ones are kept, for the next click is likely to be about them."""
        if window == Window(0, 0, *self.rgb.shape[:2]):
            return self
        if window not in self._crops:
            name = f"{self.name}@{window.left},{window.top},{window.width}x{window.height}"
            self._crops[window] = Picture(self.rgb[window.place], name, self._predictor, window, self)
            while len(self._crops) > _CROPS:
                self._crops.popitem(last=False)
        self._crops.move_to_end(window)
        for other in self._crops.values():
            if other is not self._crops[window]:
                other.__dict__.pop("upsampler", None)  # some 40 MB each
        return self._crops[window]

    def evened(self, alpha: np.ndarray) -> np.ndarray:
        """A matte of this picture (H×W uint8) without a JPEG's blocks; as it is where the picture has none."""
        return alpha if self._grid is None else even_alpha(alpha, self._grid)

    def uncrop(self, alpha: np.ndarray, photo: Picture) -> np.ndarray:
        """An answer about this picture as an answer about the photo: outside of a crop nothing is selected.

        Args:
            alpha: uint8 of this picture's size.
            photo: what this picture is a crop of, or itself.
        """
        if self.window is None:
            return alpha
        whole = np.zeros(photo.rgb.shape[:2], np.uint8)
        whole[self.window.place] = alpha
        return whole
