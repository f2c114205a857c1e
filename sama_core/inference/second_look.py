"""The second look: a small object is looked at again in a crop of the photo, where it is large.

RITM's zoom-in (Sofiiuk et al. 2022, "Reviving iterative training with mask guidance", after f-BRS, Sofiiuk et al. 2020,
section 4): the crop is a picture of its own to the network, with the clicks that lie in it and the first answer as its
mask prompt.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from sama_core.images import LOW_RES, Frame, Window, pixels_under
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
#: Parts of the first answer that no click lies in and that are smaller than this share of its largest part are specks.
_SPECK = 0.1


def window_for(logits: np.ndarray, frame: Frame, prompt: Prompt) -> Window | None:
    """Where to look again, or None where the first look was near enough.

    The window holds the first answer but for specks, every include click, and the box.

    Args:
        logits: 256×256 float32, the first answer.
        frame: how the photo lies under them.
        prompt: validated, in pixels of the photo.
    """
    rows, columns = frame.shown(LOW_RES)
    cells = frame.cells(LOW_RES)
    include = np.asarray(prompt.points)[np.asarray(prompt.labels) == 1]
    found = _without_specks(logits[:rows, :columns] > 0, pixels_under(include * cells, rows, columns))
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
    step = 2 ** max(0, math.floor(math.log2(side * _STEP)))
    middle, limit = (low + high) / 2, (frame.width, frame.height)
    left, top = (np.maximum(0, np.floor((middle - side / 2) / step)) * step).astype(int)
    right, bottom = np.minimum(limit, np.ceil((middle + side / 2) / step) * step).astype(int)
    return Window(int(top), int(left), int(bottom - top), int(right - left))


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


def _without_specks(found: np.ndarray, clicks: np.ndarray) -> np.ndarray:
    """The parts of h×w bool that hold a click (N×2 int, column and row) or are not small beside the largest."""
    parts = np.empty(found.shape, np.int32)
    count = int(ndimage.label(found, output=parts))  # type: ignore[arg-type]
    if count < 2:
        return found
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    kept = sizes >= _SPECK * sizes.max()
    held = parts[clicks[:, 1], clicks[:, 0]]
    kept[held[held > 0] - 1] = True
    return np.concatenate([[False], kept])[parts]
