"""Gathering the prompt from the image: paths and the selection. Reads only; nothing in the image changes."""

from __future__ import annotations

from typing import List, Optional

import gi

gi.require_version("Gimp", "3.0")
import sama_pixels  # noqa: E402
import sama_prompt  # noqa: E402
from gi.repository import Gimp  # noqa: E402
from sama_errors import CallingError  # noqa: E402
from sama_prompt import Frame, Prompt, Stroke  # noqa: E402

#: A curve is followed to within this many pixels.
PRECISION = 1.0


def collect(image, frame: Frame, include, exclude, use_selection: bool) -> Prompt:
    """Return the checked prompt in source coordinates.

    The selection counts only when no path says where the thing is. After a first run it is the previous answer: the
    user who then adds a click to correct it does not mean "like the answer that is there, and this click as well".

    Raises:
        CallingError: nothing to go on, or something that does not fit the image.
    """
    for path in (include, exclude):
        if path is not None and path.get_image() != image:
            raise CallingError("The path “%s” belongs to another image. Give a path of this one." % path.get_name())
    includes = [include] if include is not None else default_include(image, exclude)
    excluding = exclude if exclude is not None else default_exclude(image, includes)
    prompt = Prompt()
    strokes = [stroke for path in includes for stroke in _strokes(path)]
    sama_prompt.add_include(prompt, strokes, frame)
    if use_selection and not prompt.is_positive():
        _, non_empty, *bounds = Gimp.Selection.bounds(image)
        if non_empty:
            rectangle = (frame.x, frame.y, frame.width, frame.height)
            selection = sama_pixels.read(image.get_selection(), rectangle, sama_pixels.MASK)
            sama_prompt.add_selection(prompt, tuple(bounds), selection, frame)
    if excluding is not None:
        sama_prompt.add_exclude(prompt, _strokes(excluding), frame)
    sama_prompt.check(prompt)
    return prompt


def default_include(image, exclude=None) -> List[Gimp.Path]:
    """Return the selected paths, or the only path there is; never one that is there to exclude."""
    others = [path for path in image.get_paths() if not _excludes(path) and path != exclude]
    selected = [path for path in image.get_selected_paths() if path in others]
    if selected:
        return selected
    return others if len(others) == 1 else []


def default_exclude(image, includes=()) -> Optional[Gimp.Path]:
    """Return the topmost path whose name begins with "exclude", or None."""
    return next((path for path in image.get_paths() if _excludes(path) and path not in includes), None)


def _excludes(path):
    return path.get_name().lower().startswith("exclude")


def _strokes(path):
    strokes = []
    for stroke in path.get_strokes():
        _, points, closed = path.stroke_get_points(stroke)
        # Each anchor comes between its two control points: six numbers, the middle two count.
        anchors = [(points[i + 2], points[i + 3]) for i in range(0, len(points) - 5, 6)]
        outline = []
        if closed and len(anchors) > 1:
            flat, _ = path.stroke_interpolate(stroke, PRECISION)
            outline = list(zip(flat[0::2], flat[1::2]))
        if anchors:
            strokes.append(Stroke(anchors, closed, outline))
    return strokes
