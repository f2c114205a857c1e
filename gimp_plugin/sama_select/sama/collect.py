"""Gathering the prompt from the image: paths and the selection. Reads only; nothing in the image changes."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional

from gi.repository import Gimp

from . import again, memory, origin, pixels, unseen
from .errors import CallingError
from .place import Place
from .prompt import Prompt, Stroke, add_exclude, add_include, add_selection, check

#: A curve is followed to within this many pixels.
PRECISION = 1.0


class Drawn(NamedTuple):
    """What says where the thing is: paths, or the selection when `selection` is true; and what is to be left out."""

    includes: List[Gimp.Path]
    exclude: Optional[Gimp.Path]
    selection: bool
    notes: List[str]

    def used(self) -> str:
        """The name under which `memory` keeps it."""
        return memory.SELECTION if self.selection else memory.PATHS


def collect(image, place: Place, drawn: Drawn) -> Prompt:
    """Return the checked prompt in source coordinates.

    Raises:
        CallingError: nothing to go on, or something that does not fit the image.
    """
    prompt = Prompt(notes=list(drawn.notes))
    strokes = [stroke for path in drawn.includes for stroke in _strokes(path)]
    add_include(prompt, strokes, place)
    if drawn.selection:
        _, _, *bounds = Gimp.Selection.bounds(image)
        rectangle = (place.x, place.y, place.width, place.height)
        selection = pixels.read(image.get_selection(), pixels.MASK, rectangle)
        add_selection(prompt, tuple(bounds), selection, place)
    if drawn.exclude is not None:
        add_exclude(prompt, _strokes(drawn.exclude), place)
    _refuse_undecided(image, drawn, prompt)
    check(prompt)
    return prompt


def decide(image, include, exclude, use_selection: bool) -> Drawn:
    """Return what says where the thing is: what was chosen, else what the user made last.

    After a first run the selection is the previous answer: the user who then adds a click to correct it does not mean
    "like the answer that is there, and this click as well". But a selection that was made after the clicks, or beside
    a path that nobody drew for this, is what counts.

    Args:
        image: whose paths and selection are meant.
        include: the path chosen to say where the thing is, or None.
        exclude: the path chosen to say what is to be left out, or None.
        use_selection: whether the selection may count at all.

    Raises:
        CallingError: a path is not of this image.
    """
    for path in (include, exclude):
        if path is not None and path.get_image() != image:
            raise CallingError("The path “%s” belongs to another image. Give a path of this one." % path.get_name())
    selected = use_selection and not Gimp.Selection.is_empty(image)
    if include is not None:
        empty = not _holds_anchors(include)
        return Drawn([include], exclude or default_exclude(image, [include]), selected and empty, [])
    includes = default_include(image, exclude)
    excluding = exclude or default_exclude(image, includes)
    if not selected or not includes:
        return Drawn(includes, excluding, selected, [])
    reason = _why_the_selection(image, includes)
    if reason is None:
        return Drawn(includes, excluding, False, [])
    note = "The selection was taken as a rough outline, for %s. To use the path, choose it at “Clicks on the thing”."
    return Drawn([], excluding, True, [note % reason])


def default_include(image, exclude=None) -> List[Gimp.Path]:
    """Return the selected paths, or the only path there is; never one that is empty, or there to exclude.

    Where what is selected is empty, the newest of the others is taken. The outline of a shape is nobody's click as
    long as there is another path.
    """
    shapes = _paths_of_shapes(image)
    candidates = [path for path in image.get_paths() if not _excludes(path) and path != exclude]
    holding = [path for path in candidates if _holds_anchors(path)]
    drawn = [path for path in holding if path not in shapes] or holding
    chosen = [path for path in image.get_selected_paths() if path in candidates]
    selected = [path for path in chosen if path in drawn]
    if selected:
        return selected
    if len(drawn) == 1:
        return drawn
    return [max(drawn, key=lambda path: path.get_tattoo())] if drawn and chosen else []


def default_exclude(image, includes=()) -> Optional[Gimp.Path]:
    """Return the topmost path whose name begins with "exclude" and that holds clicks, or None."""
    paths = (path for path in image.get_paths() if _excludes(path) and path not in includes)
    return next(filter(_holds_anchors, paths), None)


def _why_the_selection(image, includes):
    """Words for why the selection counts and these paths, found by themselves, do not; None when the paths count."""
    name = includes[0].get_name()
    seen = memory.seen(image)
    shapes = _paths_of_shapes(image)
    if all(path in shapes for path in includes):
        return "the path “%s” is a shape's" % name
    if seen is None:
        if all(path not in image.get_selected_paths() for path in includes):
            return "the path “%s” is not selected" % name
        if all(_came_with_the_file(image, path) for path in includes):
            return "the path “%s” came with the file" % name
        return None
    for path in includes:
        if seen.paths.get(str(path.get_tattoo())) != memory.path_checksum(path):
            return None
    if seen.selection != memory.selection_checksum(image):
        return "it was made after the path “%s”" % name
    return "the path “%s” is as it was before" % name if seen.used == memory.SELECTION else None


def _came_with_the_file(image, path):
    xcf = image.get_xcf_file()
    if xcf is not None and xcf.get_path():
        newest = origin.xcf_tattoo_state(Path(xcf.get_path()))
        return newest is not None and path.get_tattoo() <= newest
    imported = image.get_imported_file()
    if imported is not None and imported.get_path():
        return path.get_name() in origin.resource_path_names(Path(imported.get_path()))
    return False


def _refuse_undecided(image, drawn, prompt):
    """Raise CallingError where there are clicks, but not which of them are meant."""
    if prompt.is_positive():
        return
    unseen.refuse_quick_mask(image)
    empty = [path.get_name() for path in drawn.includes]
    if empty:
        raise CallingError(
            "The path “%s” holds no clicks. Click on the thing with the Path tool (B), or choose another path at "
            "“Clicks on the thing”." % empty[0]
        )
    others = [path for path in image.get_paths() if path != drawn.exclude and not _excludes(path)]
    if sum(map(_holds_anchors, others)) > 1:
        raise CallingError(
            "There are %d paths, and none is selected. Choose one at “Clicks on the thing”, or select it in the Paths "
            "dialog." % len(others)
        )


def _excludes(path):
    return path.get_name().lower().startswith("exclude")


def _holds_anchors(path):
    return any(len(path.stroke_get_points(stroke)[1]) >= 6 for stroke in path.get_strokes())


def _paths_of_shapes(image):
    """The paths from which GIMP 3.2 draws its vector layers."""
    return [layer.get_path() for layer in again.all_layers(image) if getattr(layer, "is_vector_layer", bool)()]


def _strokes(path):
    strokes = []
    for stroke in path.get_strokes():
        _, points, closed = path.stroke_get_points(stroke)
        # Each anchor comes between its two control points: six numbers, the middle two count.
        anchors = [(points[i + 2], points[i + 3]) for i in range(0, len(points) - 5, 6)]
        curved = any(
            abs(points[i + j] - points[i + 2 + j % 2]) > PRECISION
            for i in range(0, len(points) - 5, 6)
            for j in (0, 1, 4, 5)
        )
        outline = []
        if len(anchors) > 1 and (closed or curved):
            flat, _ = path.stroke_interpolate(stroke, PRECISION)
            outline = list(zip(flat[0::2], flat[1::2]))
        if anchors:
            strokes.append(Stroke(anchors, closed, outline, path.get_name()))
    return strokes
