"""GIMP stays usable while the engine works: noticing what the user has done to the image meanwhile."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Optional, Tuple

from gi.repository import Gimp

from . import pixels
from .errors import CallingError, PluginError
from .job import Pixels
from .place import find, sentence


@contextmanager
def told_in_words(image, drawables):
    """Whatever fails inside because image or layer has gone meanwhile becomes one clear sentence.

    GIMP answers questions about what is gone with None, 0 or nothing, so that it can end in any exception.
    """
    try:
        check_present(image, drawables)
        yield
    except PluginError:
        check_present(image, drawables)
        raise
    except Exception:
        try:
            check_present(image, drawables)
        except CallingError as gone:
            raise gone from None
        raise


def check_present(image, drawables) -> None:
    """Raise CallingError when the image has been closed, or one of the drawables deleted."""
    if not image.is_valid():
        raise CallingError("The image was closed while SAMA was at work. Open it again to run the command again.")
    # A layer that is deleted stays a valid one for as long as it can come back by undo, but belongs nowhere.
    if not all(drawable.is_valid() and _is_in(image, drawable) for drawable in drawables):
        raise CallingError("The layer was deleted while SAMA was at work, and nothing was written. Select another one.")


def _is_in(image, drawable):
    if drawable.is_layer_mask():
        drawable = Gimp.Layer.from_mask(drawable)
        if drawable is None:
            return False
    if not drawable.is_layer():
        return True
    while drawable.get_parent() is not None:
        drawable = drawable.get_parent()
    owner = drawable.get_image()
    return owner is None or owner != image or any(drawable == layer for layer in image.get_layers())


def corner_in(asked: Pixels, now: Pixels, name: str) -> Tuple[int, int]:
    """Return where the picture as it is now lies in the one that was asked about: (0, 0), or what was cropped away.

    Raises:
        CallingError: it does not: it was painted on, scaled, rotated, converted, replaced …
    """
    if asked.image_id == now.image_id:
        return (0, 0)
    corner = find(b"".join(now.parts), (now.width, now.height), b"".join(asked.parts), (asked.width, asked.height))
    if corner is None:
        raise CallingError(
            "%s was changed while SAMA was at work, so that the result no longer fits, and nothing was written. "
            "Run the command again." % sentence(name)
        )
    return corner


def selection_that_counts(image, verb: str, is_prompt: bool) -> Optional[str]:
    """Return the name of the selection's values where it takes part in the run, "" when nothing is selected, else None.

    It does where it is what the answer meets, and where it was the prompt.
    """
    return _name_of_selection(image) if verb == "select" or is_prompt else None


def check_selection(before: Optional[str], image) -> None:
    """Raise CallingError when the selection that takes part is another one now."""
    if before is not None and before != _name_of_selection(image):
        raise CallingError(
            "The selection was changed while SAMA was at work, and it is left as it is. Run the command again."
        )


def _name_of_selection(image):
    return "" if Gimp.Selection.is_empty(image) else pixels.digest(image.get_selection(), pixels.MASK)
