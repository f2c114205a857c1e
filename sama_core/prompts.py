"""What a user gives: clicks, a box, a rough mask. All in pixel units of the image the prompt belongs to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from sama_core.errors import InvalidPrompt
from sama_core.images import LOW_RES

#: Labels of the sparse prompt tokens, as in SAM's ONNX export.
PAD, EXCLUDE, INCLUDE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = -1, 0, 1, 2, 3
#: More clicks than this make the answer worse, not better, and no person makes them.
MAX_POINTS = 256
#: Logit magnitude of a region drawn by hand: sure inside and outside, as far as a rough hand is.
REGION_LOGIT = 6.0


@dataclass(frozen=True, eq=False)
class Prompt:
    """A promptable-segmentation prompt (Kirillov et al. 2023, "Segment Anything", section 2).

    Attributes:
        points: N×2 float, (x, y) in image pixels; (0, 0) is the outer corner of the top-left pixel.
        labels: N int, 1 = include, 0 = exclude.
        box: (x0, y0, x1, y1) in image pixels, or None.
        mask: H×W bool or uint8 (> 127 is inside), a rough region of the same size as the image, or None.
        low_res_logits: 256×256 float32, the logits a previous answer on this image carried, or None.
    """

    points: np.ndarray | list | tuple = ()
    labels: np.ndarray | list | tuple = ()
    box: np.ndarray | list | tuple | None = None
    mask: np.ndarray | None = None
    low_res_logits: np.ndarray | None = None

    def digest(self) -> bytes:
        """A name for what a validated prompt says: prompts of the same numbers have the same."""
        told = hashlib.blake2b(digest_size=16)
        for field in (self.points, self.labels, self.box, self.mask, self.low_res_logits):
            if field is None:
                told.update(b"none")
                continue
            array = np.ascontiguousarray(field)
            told.update(f"{array.dtype.str}{array.shape}".encode("ascii"))
            told.update(array.reshape(-1).view(np.uint8).data)
        return told.digest()

    def validated(self, height: int, width: int) -> Prompt:
        """Return an equal prompt of numpy arrays that fits an image of `height` × `width` pixels.

        A box is clipped to the image, for a box drawn generously over an edge means what it covers. A click off the
        image is refused: it says nothing about any pixel, and moving it would put words in the user's mouth.

        Raises:
            InvalidPrompt: nothing to go on, wrong shapes, non-finite numbers, or everything off the image.
        """
        points = _numbers(self.points, "A click is two numbers: x and y, in pixels. Place the clicks again.")
        if points.size and points.shape[-1:] != (2,):
            raise InvalidPrompt("A click is two numbers: x and y, in pixels. Place the clicks again.")
        points = _float32(points).reshape(-1, 2)
        labels = _numbers(self.labels, "A label must be 1 (include) or 0 (exclude).").reshape(-1)
        if len(points) != len(labels):
            raise InvalidPrompt(
                f"There are {len(points)} clicks but {len(labels)} labels. Give one label for each click."
            )
        if len(points) > MAX_POINTS:
            raise InvalidPrompt(
                f"{len(points)} clicks are too many; use at most {MAX_POINTS}. A few precise clicks work best."
            )
        if not np.isfinite(points).all():
            raise InvalidPrompt("A click has a coordinate that is not a number. Place the clicks again.")
        if not np.isin(labels, (0, 1)).all():
            raise InvalidPrompt("A label must be 1 (include) or 0 (exclude).")
        labels = labels.astype(np.int64)
        inside = (points >= 0).all(1) & (points[:, 0] <= width) & (points[:, 1] <= height)
        if len(points) and not inside.all():
            outside = int((~inside).sum())
            raise InvalidPrompt(
                f"{outside} of {len(points)} clicks lie outside the picture ({width}×{height}). Move them onto it."
            )
        box = self._validated_box(height, width)
        mask = self._validated_mask(height, width)
        logits = None
        if self.low_res_logits is not None:
            logits = _float32(
                _numbers(self.low_res_logits, "low_res_logits must be numbers, as an earlier answer gave them.")
            )
            if logits.shape != (LOW_RES, LOW_RES) or not np.isfinite(logits).all():
                raise InvalidPrompt(
                    f"low_res_logits must be {LOW_RES}×{LOW_RES} finite numbers, as an earlier answer gave them."
                )
        if not (labels == 1).any() and box is None and mask is None and logits is None:
            if len(labels):
                raise InvalidPrompt("There are only exclude clicks. Add at least one click on the thing you want.")
            raise InvalidPrompt("There is nothing to go on. Click on the thing you want, or draw a box around it.")
        return Prompt(points, labels, box, mask, logits)

    def _validated_box(self, height: int, width: int) -> np.ndarray | None:
        if self.box is None:
            return None
        text = "A box is four numbers: left, top, right, bottom."
        box = _float32(_numbers(self.box, text)).reshape(-1)
        if box.shape != (4,) or not np.isfinite(box).all():
            raise InvalidPrompt(text)
        box = np.array([min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])], np.float32)
        box = np.clip(box, 0, np.array([width, height, width, height], np.float32))
        if box[2] - box[0] < 1 or box[3] - box[1] < 1:
            raise InvalidPrompt(
                f"The box lies outside the picture ({width}×{height}) or is empty. Draw it over the thing you want."
            )
        return box

    def _validated_mask(self, height: int, width: int) -> np.ndarray | None:
        if self.mask is None:
            return None
        mask = _numbers(self.mask, "A mask is one value of 8 bits for each pixel, above 127 inside. Give such a mask.")
        if mask.shape != (height, width):
            size = "×".join(str(side) for side in (*mask.shape[1::-1], *mask.shape[2:]))
            raise InvalidPrompt(
                f"The mask is {size} but the picture is {width}×{height}. Give a mask of the same size."
            )
        mask = mask if mask.dtype == bool else mask > 127
        if not mask.any():
            raise InvalidPrompt("The mask is empty. Mark the thing you want.")
        return mask


def _numbers(values: object, complaint: str) -> np.ndarray:
    """Return what a caller gave as an array of numbers of whatever kind.

    Raises:
        InvalidPrompt: they are no numbers, or rows of different lengths; with `complaint`.
    """
    try:
        numbers = np.asarray(values)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidPrompt(complaint) from None
    # Python's numbers beyond 64 bits arrive as objects, which is as good as no number.
    if numbers.dtype.kind not in "biuf":
        raise InvalidPrompt(complaint)
    return numbers


def _float32(numbers: np.ndarray) -> np.ndarray:
    # What is too large becomes infinite, and that is refused.
    with np.errstate(over="ignore", invalid="ignore"):
        return numbers.astype(np.float32)
