"""From what the user drew to what the engine is asked. No GIMP in here.

Points are (x, y) floats with (0, 0) the outer corner of the top-left pixel. Strokes come in image coordinates and leave
in those of the source: the layer's own pixels, or the canvas.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import List, Optional, Sequence, Tuple

from .errors import CallingError
from .outline import Point, fill, is_left_open, may_be_an_outline, signed_area, with_holes
from .place import Place

#: More clicks than this make the answer worse, not better; the engine refuses them too.
MAX_CLICKS = 256
#: bytes.translate table: more than half selected is inside.
THRESHOLD = bytes(128) + b"\xff" * 128

#: How a path is closed, and how clicks are told from an outline.
HOW_TO_CLOSE = "close it: Ctrl+click on its first point with the Path tool"

HOW_TO_CLICK = (
    "Take the Path tool (B), click once on the thing you want, and run this again; "
    "or draw a selection around the thing."
)


@dataclass
class Stroke:
    """One stroke of a path: its anchors, whether it is closed, and points along it. Image coordinates.

    `path` is the name of its path: strokes of one path make holes in each other.
    """

    anchors: Sequence[Point]
    closed: bool = False
    outline: Sequence[Point] = field(default_factory=list)
    path: str = ""


@dataclass
class Prompt:
    """What the engine is asked, in source coordinates. `mask` is width·height bytes, 255 inside.

    `notes` tells the user what was made of what they drew, where that may surprise.
    """

    points: List[Point] = field(default_factory=list)
    labels: List[int] = field(default_factory=list)
    box: Optional[Tuple[float, float, float, float]] = None
    mask: Optional[bytes] = None
    notes: List[str] = field(default_factory=list)

    def is_positive(self) -> bool:
        """True when something says where the thing is; exclude clicks alone do not."""
        return 1 in self.labels or self.box is not None or self.mask is not None

    def request(self) -> dict:
        """The prompt's fields of the JSON line of `docs/protocol.md`."""
        fields = {}
        if self.points:
            fields["points"] = [list(point) for point in self.points]
            fields["labels"] = list(self.labels)
        if self.box is not None:
            fields["box"] = list(self.box)
        if self.mask is not None:
            fields["mask"] = True
        return fields

    def packed_mask(self) -> bytes:
        """The mask as it travels (zlib, level 1: it is for the loopback, not for a disk), or nothing."""
        return zlib.compress(self.mask, 1) if self.mask is not None else b""


def add_include(prompt: Prompt, strokes: Sequence[Stroke], place: Place) -> None:
    """Add anchors of open strokes as clicks, and closed strokes as a region (box, and its inside unless a rectangle).

    A closed stroke within another of the same path is a hole. An open stroke that goes round counts as closed, and
    clicks that lie as if around the thing stay clicks; notes say so.

    Raises:
        CallingError: a click or the whole region lies outside the source.
    """
    clicks, outlines = [], {}
    for stroke in strokes:
        if _is_outline(stroke, prompt.notes):
            points = [(x - place.x, y - place.y) for x, y in stroke.outline or stroke.anchors]
            outlines.setdefault(stroke.path, []).append(points)
        else:
            clicks.append(stroke)
    _remark_on_clicks_around(clicks, prompt.notes)
    _add_clicks(prompt, clicks, place)
    if outlines:
        _add_region(prompt, [part for path in outlines.values() for part in with_holes(path)], place)


def _is_outline(stroke, notes):
    if stroke.closed:
        return _has_inside(stroke)
    if not is_left_open(stroke.anchors, stroke.outline or stroke.anchors):
        return False
    notes.append(
        "The stroke%s is open, but its %d points go round: it was taken as drawn around the thing. To be sure of it, "
        "%s. For clicks, begin each of them with Shift+click." % (_of(stroke), len(stroke.anchors), HOW_TO_CLOSE)
    )
    return True


def _remark_on_clicks_around(strokes, notes):
    for path in dict.fromkeys(stroke.path for stroke in strokes):
        own = [stroke for stroke in strokes if stroke.path == path]
        anchors = [anchor for stroke in own for anchor in stroke.anchors]
        if may_be_an_outline(anchors):
            notes.append(
                "The stroke%s is open: its %d points were taken as clicks on the thing. To draw around the thing, %s."
                % (_of(own[0]), len(anchors), HOW_TO_CLOSE)
            )


def _of(stroke):
    return " of “%s”" % stroke.path if stroke.path else ""


def _add_clicks(prompt, strokes, place):
    clicks = _once_each([(x - place.x, y - place.y) for stroke in strokes for x, y in stroke.anchors])
    outside = sum(not _is_inside(click, place) for click in clicks)
    if outside:
        lie = "lies" if outside == 1 else "lie"
        raise CallingError(
            "%d of %d clicks %s outside %s. Move them onto it, or choose another “Source”."
            % (outside, len(clicks), lie, place.name)
        )
    prompt.points += clicks
    prompt.labels += [1] * len(clicks)


def _add_region(prompt, outlines, place):
    region = fill(outlines, place.width, place.height)
    if region.bounds is None:
        raise CallingError("The closed stroke lies outside %s. Draw it around the thing you want." % place.name)
    xs = [x for outline in outlines for x, _ in outline]
    ys = [y for outline in outlines for _, y in outline]
    prompt.box = (
        max(0.0, min(xs)),
        max(0.0, min(ys)),
        min(float(place.width), max(xs)),
        min(float(place.height), max(ys)),
    )
    if not region.is_rectangle(place.width):
        prompt.mask = bytes(region.mask)


def add_exclude(prompt: Prompt, strokes: Sequence[Stroke], place: Place) -> None:
    """Add every anchor as a negative click; those outside the source say nothing about it and are left out."""
    clicks = [(x - place.x, y - place.y) for stroke in strokes for x, y in stroke.anchors]
    clicks = [click for click in _once_each(clicks) if _is_inside(click, place)]
    prompt.points += clicks
    prompt.labels += [0] * len(clicks)


def add_selection(prompt: Prompt, bounds: Tuple[int, int, int, int], selection: bytes, place: Place) -> None:
    """Add the selection: its bounds as the box and, unless it is one full rectangle, its inside as the mask.

    Args:
        prompt: the prompt to add to.
        bounds: left, top, right, bottom in image coordinates.
        selection: the selection's values over the place, width·height bytes.
        place: where the source lies.
    """
    left, top = max(0, bounds[0] - place.x), max(0, bounds[1] - place.y)
    right, bottom = min(place.width, bounds[2] - place.x), min(place.height, bounds[3] - place.y)
    if left >= right or top >= bottom:
        raise CallingError("The selection lies outside %s. Draw it around the thing you want." % place.name)
    prompt.box = (float(left), float(top), float(right), float(bottom))
    full = b"\xff" * (right - left)
    rows = (y * place.width for y in range(top, bottom))
    if any(selection[row + left : row + right] != full for row in rows):
        mask = selection.translate(THRESHOLD)
        if b"\xff" in mask:
            prompt.mask = mask


def check(prompt: Prompt) -> None:
    """Raise CallingError unless the prompt says where the thing is, in a number of clicks that makes sense."""
    if not prompt.is_positive():
        if prompt.labels:
            raise CallingError(
                "There are only exclude clicks. Make a second path with at least one click on the thing you want, and "
                "choose it at “Clicks on the thing”."
            )
        raise CallingError("There is nothing to go on. " + HOW_TO_CLICK)
    if len(prompt.points) > MAX_CLICKS:
        raise CallingError(
            "%d clicks are too many; at most %d can be used. A few precise clicks work best."
            % (len(prompt.points), MAX_CLICKS)
        )


def _has_inside(stroke):
    """False for a stroke closed on itself without any area, as a click with Ctrl on a lone anchor makes."""
    return len(stroke.outline) > 2 and (len(stroke.anchors) > 2 or abs(signed_area(stroke.outline)) > 1.0)


def _is_inside(click, place):
    return 0 <= click[0] <= place.width and 0 <= click[1] <= place.height


def _once_each(clicks):
    """The clicks without repetitions of a pixel, first ones first."""
    seen = {}
    for x, y in clicks:
        seen.setdefault((int(x // 1), int(y // 1)), (x, y))
    return list(seen.values())
