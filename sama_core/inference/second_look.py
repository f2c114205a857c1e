"""Looking closer: an object that is small in the photo is looked at again in a crop, where it is large.

RITM's zoom-in (Sofiiuk et al. 2022, "Reviving iterative training with mask guidance", after f-BRS, Sofiiuk et al. 2020,
section 4): the crop is a picture of its own to the network, with the clicks that lie in it and the first answer as its
mask prompt. A crop that was itself shown reduced is looked at again as long as that shows more. In a very wide or very
high picture the network sees a strip of a few rows, so the first look means nothing there: the looks begin around the
prompt and widen for as long as what is found runs out of them. So they do in a picture that is shown much reduced,
where the first look finds nothing or is not sure of what it found.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from sama_core.images import LOW_RES, Frame, Window, pixels_under
from sama_core.inference.parts import parts_meant
from sama_core.prompts import REGION_LOGIT, Prompt

#: The crop's side relative to the long side of what was found.
_EXPANSION = 1.4
#: A crop whose side is a larger share of the picture's long side shows little more than the picture does.
SHARE = 0.6
#: A crop is enlarged at most so much: nearer there is nothing more to see, and its surroundings tell what a thing is.
_MOST_ENLARGED = 4
#: The crop's borders lie on multiples of this share of its side, rounded to a power of two pixels, so that the next
#: click's crop is the same one.
_STEP = 1 / 8
#: Parts of the first answer that no click lies in and that are smaller than this share of the part clicked are specks.
_SPECK = 0.1
#: In a strip the first crop is so many times as long as the strip is wide.
_OF_THE_STRIP = 2
#: A picture is much reduced where less than this share of the pixels along its long side is shown.
_MUCH_REDUCED = 0.25
#: There the first crop around the prompt is this share of the long side, or as much as is shown unreduced.
_NEAR = 1 / 16
#: An answer about a much reduced picture whose score is lower is doubted. It gives way to a thing near the prompt whose
#: score is at least `_CERTAIN` and by `_BETTER` higher, and whose crop is no larger a share of the long side than
#: `_SMALL`: the first look saw what is larger (figures: docs/results.md).
_DOUBTED, _CERTAIN, _BETTER, _SMALL = 0.85, 0.8, 0.05, 0.22
#: Beyond this many crops nothing is expected to show more.
_MOST_LOOKS = 6


class Look(NamedTuple):
    """A crop to look at.

    Attributes:
        window: where it lies in the photo.
        closer: whether it lies in the picture asked about before, whose answer is its mask prompt.
    """

    window: Window
    closer: bool


class Looks:
    """Where to look at a photo, one look after the other.

    Args:
        photo: how the photo lies in the model input.
        prompt: validated, in pixels of the photo.
        near: whether to begin at the prompt and look for a small thing only, whatever the first look found.

    Attributes:
        ran_out: whether the looks near the prompt ended because what they found is no small thing.
    """

    def __init__(self, photo: Frame, prompt: Prompt, near: bool = False) -> None:
        self._photo, self._prompt, self._near = photo, prompt, near
        self._long = max(photo.height, photo.width)
        self.ran_out = False
        self._start = max(_NEAR * self._long, photo.size)
        # a window is larger than asked for by up to two of its steps
        self._widest = max(_SMALL * self._long, (1 + 2 * _STEP) * self._start)
        self._seen: Window | None = None
        self._closing = False
        self._left = _MOST_LOOKS

    def next(self, logits: np.ndarray, frame: Frame) -> Look | None:
        """Where to look next, or None where that would not show more.

        Args:
            logits: 256×256 float32, the answer about the photo, then about each window in turn.
            frame: how that picture lies under them.
        """
        look = self._beginning(logits) if self._seen is None else self._further(logits, frame)
        if look is None or self._left == 0 or look.window == self._seen:
            return None
        if self._near and max(look.window.height, look.window.width) > self._widest:
            self.ran_out = True
            return None
        self._left -= 1
        self._seen, self._closing = look.window, look.closer
        return look

    def _beginning(self, logits: np.ndarray) -> Look | None:
        photo, strip = self._photo, _OF_THE_STRIP * min(self._photo.height, self._photo.width)
        if self._near:
            return self._around_prompt(self._start)
        look = None
        if strip <= SHARE * self._long:
            look = self._around_prompt(strip)
        elif is_much_reduced(photo) and not finds_something(logits, photo):
            look = self._around_prompt(self._start)
        if look is not None:
            return look
        window = window_for(logits, photo, self._prompt)
        return None if window is None else Look(window, closer=True)

    def _around_prompt(self, side: float) -> Look | None:
        window = _window_around(self._prompt, self._photo, side)
        return None if window is None else Look(window, closer=False)

    def _further(self, logits: np.ndarray, frame: Frame) -> Look | None:
        seen = self._seen
        assert seen is not None
        prompt = prompt_alone(self._prompt, self._photo, seen, frame)
        if not self._closing:
            wider = _wider(logits, frame, prompt, seen, self._photo)
            if wider is not None:
                return Look(wider, closer=False)
        if max(frame.height, frame.width) <= frame.size:
            return None
        window = window_for(logits, frame, prompt)
        return None if window is None else Look(window.out_of(seen), closer=True)


def is_much_reduced(photo: Frame) -> bool:
    """Whether the network was shown so little of a photo's pixels that a small thing may not be seen in it."""
    return photo.size < _MUCH_REDUCED * max(photo.height, photo.width)


def is_doubted(score: float, photo: Frame) -> bool:
    """Whether an answer with this score may have missed a small thing under the prompt."""
    return score < _DOUBTED and is_much_reduced(photo)


def is_meant(near: float, score: float) -> bool:
    """Whether a small thing near the prompt, found with a score of `near`, is meant and not what has `score`."""
    return near >= max(_CERTAIN, score + _BETTER)


def window_for(logits: np.ndarray, frame: Frame, prompt: Prompt) -> Window | None:
    """Where to look again, or None where the first look was near enough.

    The window holds the first answer but for specks, every include click, and the box.

    Args:
        logits: 256×256 float32, the first answer.
        frame: how the photo lies under them.
        prompt: validated, in pixels of the photo.
    """
    cells = frame.cells(LOW_RES)
    include = np.asarray(prompt.points)[np.asarray(prompt.labels) == 1]
    found = _found(logits, frame, include)
    if not found.any():
        return None
    ys, xs = np.nonzero(found)
    corners = [np.array([[xs.min(), ys.min()], [xs.max() + 1, ys.max() + 1]]) / cells, include]
    if prompt.box is not None:
        corners.append(np.asarray(prompt.box).reshape(2, 2))
    points = np.concatenate(corners)
    low, high = points.min(0), points.max(0)
    side = max(_EXPANSION * float((high - low).max()), frame.size / _MOST_ENLARGED)
    if side > SHARE * max(frame.height, frame.width):
        return None
    return _snapped((low + high) / 2, side, frame)


def finds_something(logits: np.ndarray, frame: Frame) -> bool:
    """Whether R×R logits have an inside where a picture lies under them."""
    rows, columns = frame.shown(len(logits))
    return bool((logits[:rows, :columns] > 0).any())


def prompt_within(prompt: Prompt, logits: np.ndarray, frame: Frame, window: Window, inner: Frame) -> Prompt:
    """The prompt of the second look: the clicks in the window, the box, and the first answer as mask prompt.

    Args:
        prompt: validated, in pixels of the photo.
        logits: 256×256 float32, the first answer.
        frame: how the photo lies under them.
        window: what `window_for` gave.
        inner: how the crop lies in its own model input.
    """
    points, labels = np.asarray(prompt.points), np.asarray(prompt.labels)
    inside = window.holds(points)
    box = None if prompt.box is None else window.to_window(np.asarray(prompt.box).reshape(2, 2)).reshape(-1)
    before = window.cut_grid(logits, frame, inner, -REGION_LOGIT)
    return Prompt(window.to_window(points[inside]), labels[inside], box, low_res_logits=before)


def prompt_alone(prompt: Prompt, photo: Frame, window: Window, inner: Frame) -> Prompt:
    """The prompt of a look that no answer came before: what of the user's own prompt lies in the window.

    Args:
        prompt: validated, in pixels of the photo.
        photo: how the photo lies in the model input.
        window: where the crop lies in the photo.
        inner: how the crop lies in its own model input.
    """
    points, labels = np.asarray(prompt.points), np.asarray(prompt.labels)
    inside = window.holds(points)
    box = prompt.box
    if box is not None:
        corners = window.to_window(np.asarray(box).reshape(2, 2))
        box = np.clip(corners, 0, np.array([window.width, window.height], np.float32)).reshape(-1)
    mask = None if prompt.mask is None else prompt.mask[window.place]
    logits = prompt.low_res_logits
    if logits is not None:
        logits = window.cut_grid(logits, photo, inner, -REGION_LOGIT)
    return Prompt(window.to_window(points[inside]), labels[inside], box, mask, logits)


def _found(logits: np.ndarray, frame: Frame, include: np.ndarray) -> np.ndarray:
    """What 256×256 logits find of a picture, without specks, for N×2 include clicks in its pixels: h×w bool."""
    rows, columns = frame.shown(LOW_RES)
    found = logits[:rows, :columns] > 0
    parts = np.empty(found.shape, np.int32)
    count = int(ndimage.label(found, output=parts))  # type: ignore[arg-type]
    if count < 2:
        return found
    clicked = np.zeros(found.shape, bool)
    across, down = pixels_under(include * frame.cells(LOW_RES), rows, columns).T
    clicked[down, across] = True
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return np.concatenate([[False], parts_meant(parts, count, sizes, clicked, _SPECK)])[parts]


def _window_around(prompt: Prompt, photo: Frame, side: float) -> Window | None:
    """A window around a prompt, at least `side` long; None where nothing says where, or it would show most of it."""
    corners = [np.asarray(prompt.points)[np.asarray(prompt.labels) == 1]]
    if prompt.box is not None:
        corners.append(np.asarray(prompt.box).reshape(2, 2))
    if prompt.mask is not None:
        rows, columns = (np.flatnonzero(prompt.mask.any(axis)) for axis in (1, 0))
        corners.append(np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]]))
    points = np.concatenate(corners)
    if not len(points):
        return None
    low, high = points.min(0), points.max(0)
    side = max(side, _EXPANSION * float((high - low).max()))
    if side > SHARE * max(photo.height, photo.width):
        return None
    return _snapped((low + high) / 2, side, photo)


def _wider(logits: np.ndarray, frame: Frame, prompt: Prompt, seen: Window, photo: Frame) -> Window | None:
    """A window twice as long where what was found runs out of this one; None where it lies within.

    Args:
        logits: 256×256 float32, the answer about the window.
        frame: how it lies under them.
        prompt: in pixels of the window.
        seen: the window.
        photo: how the photo lies in the model input.
    """
    include = np.asarray(prompt.points)[np.asarray(prompt.labels) == 1]
    found = _found(logits, frame, include)
    top, left, bottom, right = seen.top, seen.left, seen.top + seen.height, seen.left + seen.width
    grown = max(seen.height, seen.width)
    if found[0].any():
        top = max(0, top - grown)
    if found[:, 0].any():
        left = max(0, left - grown)
    if found[-1].any():
        bottom = min(photo.height, bottom + grown)
    if found[:, -1].any():
        right = min(photo.width, right + grown)
    window = Window(top, left, bottom - top, right - left)
    return None if window == seen else window


def _snapped(middle: np.ndarray, side: float, frame: Frame) -> Window:
    """A square around (x, y) within a picture, its borders on the grid that makes the next click's the same one."""
    step = 2 ** max(0, math.floor(math.log2(side * _STEP)))
    limit = (frame.width, frame.height)
    left, top = (np.maximum(0, np.floor((middle - side / 2) / step)) * step).astype(int)
    right, bottom = np.minimum(limit, np.ceil((middle + side / 2) / step) * step).astype(int)
    return Window(int(top), int(left), int(bottom - top), int(right - left))
