"""States of an image that would hide a success from its user: said before the work, or mended after it."""

from __future__ import annotations

from typing import List, Optional

from gi.repository import Gimp

from . import pixels
from .errors import CallingError
from .place import Place
from .scratch import done

#: GIMP's own name for the channel of the Quick Mask; while there is one, the Quick Mask is on.
QUICK_MASK = "Qmask"
QUICK_MASK_IS_ON = (
    "The Quick Mask is on: while it is, a channel stands for the selection. Switch it off with Shift+Q (Select → "
    "Toggle Quick Mask), then run this again."
)
_IN_QUICK_MASK = (
    "The Quick Mask is on, and the result is in it. Shift+Q (Select → Toggle Quick Mask) makes it the selection."
)
#: The side of the small picture in which a change is looked for, in pixels.
_LOOK = 256


def quick_mask_is_on(image) -> bool:
    """Say whether the user has switched the Quick Mask on."""
    return image.get_channel_by_name(QUICK_MASK) is not None


def refuse_quick_mask(image, drawables=()) -> None:
    """Raise CallingError while the Quick Mask is on, and say how to leave it.

    Args:
        image: the image.
        drawables: what is selected; when layers are, the Quick Mask may stay on.
    """
    if quick_mask_is_on(image) and not (drawables and all(drawable.is_layer() for drawable in drawables)):
        raise CallingError(QUICK_MASK_IS_ON)


def why_unseen(layer, itself: bool = True) -> Optional[str]:
    """Return a sentence for what keeps the layer from being seen, with the way out, or None.

    Args:
        layer: the layer.
        itself: False asks only of what is above it, for a new layer beside it.
    """
    name = layer.get_name()
    if itself and not layer.get_visible():
        return "The layer “%s” is hidden. Show it (the eye in the Layers dialog) to see it and its result." % name
    if itself and layer.get_opacity() == 0:
        return "The layer “%s” has an opacity of 0. Raise it in the Layers dialog to see the result." % name
    group = layer.get_parent()
    while group is not None:
        names = (name, group.get_name())
        if not group.get_visible():
            return (
                "“%s” is in the hidden layer group “%s”. Show the group (the eye in the Layers dialog) to see it."
                % names
            )
        if group.get_opacity() == 0:
            return "“%s” is in the layer group “%s” of opacity 0. Raise that in the Layers dialog to see it." % names
        group = group.get_parent()
    return None


def remarks(image, drawables) -> List[str]:
    """Return what the user should know before they press the dialog's button."""
    if quick_mask_is_on(image):
        return [QUICK_MASK_IS_ON]
    layer = drawables[0] if len(drawables) == 1 else None
    if layer is not None and layer.is_layer_mask():
        layer = Gimp.Layer.from_mask(layer)
    unseen = why_unseen(layer) if layer is not None and layer.is_layer() else None
    return [unseen] if unseen else []


class SelectStates:
    """What SAMA Select found before it began, for what is to be said afterwards."""

    def __init__(self, image, layer: Optional[Gimp.Layer], place: Place, operation: str) -> None:
        """Look at the image.

        Raises:
            CallingError: the operation cannot change anything, with what to choose instead.
        """
        self._image, self._operation = image, operation
        unseen = why_unseen(layer) if layer is not None else None
        self._notes = (
            [unseen + " It is what was looked at; for what you see, choose another “Source”."] if unseen else []
        )
        self._before = None
        if operation in ("subtract", "intersect"):
            _refuse_idle_operation(image, place, operation)
        if operation != "replace":
            self._before = _selection(image)

    def after(self) -> List[str]:
        """Return notes on a selection that cannot be seen, or is as it was; called in the run's undo step."""
        selection = _selection(self._image)
        if quick_mask_is_on(self._image):
            _move_into_quick_mask(self._image, selection)
            return [*self._notes, _IN_QUICK_MASK]
        if not any(selection):
            return [*self._notes, _NOTHING_LEFT.get(self._operation, "Nothing is selected, for nothing was found.")]
        if selection == self._before:
            return [*self._notes, _NOTHING_CHANGED[self._operation]]
        if max(selection) < 128:
            weak = "Nothing is selected by half or more, and GIMP draws an outline only there. Lower “Feather”."
            return [*self._notes, weak]
        return self._notes


_NOTHING_LEFT = {
    "subtract": "Nothing is selected any more, for all of the selection belongs to the thing.",
    "intersect": "Nothing is selected any more, for the thing lies outside the selection.",
}
_NOTHING_CHANGED = {
    "add": "Nothing has changed: the thing was selected already.",
    "subtract": "Nothing has changed: the thing lies outside the selection.",
    "intersect": "Nothing has changed: all of the selection belongs to the thing.",
}


def _refuse_idle_operation(image, place, operation):
    _, something, left, top, right, bottom = Gimp.Selection.bounds(image)
    instead = "Choose “Replace the current selection” at “Operation”, or select something first."
    doing = "subtract from" if operation == "subtract" else "intersect with"
    if not something:
        raise CallingError("Nothing is selected, so there is nothing to %s. %s" % (doing, instead))
    apart = left >= place.x + place.width or top >= place.y + place.height or right <= place.x or bottom <= place.y
    if apart:
        raise CallingError(
            "The selection lies outside %s, so there is nothing to %s. %s" % (place.name, doing, instead)
        )


def _move_into_quick_mask(image, selection):
    """Make the selection's values the Quick Mask's: GIMP drops any other selection when the Quick Mask is left."""
    layers = image.get_selected_layers()
    old = image.get_channel_by_name(QUICK_MASK)
    width, height = image.get_width(), image.get_height()
    # A new channel and not new values in the old: only that is undone and redone.
    new = Gimp.Channel.new(image, QUICK_MASK, width, height, old.get_opacity(), old.get_color())
    done(image.remove_channel(old))
    done(image.insert_channel(new, None, 0))
    pixels.write_channel(new, selection)
    done(Gimp.Selection.none(image))
    if layers:
        image.set_selected_layers(layers)


class MatteStates:
    """What Add SAMA Alpha Matte found before it began, for what is to be done and said afterwards."""

    def __init__(self, image, layer, output: str, visible: bool) -> None:
        """Look at the image."""
        self._image, self._layer = image, layer
        self._is_new_layer = output == "new-layer"
        self._hides_original = self._is_new_layer and not visible
        unseen = why_unseen(layer, itself=not self._is_new_layer)
        if unseen is None and output == "layer-mask" and layer.get_mask() is not None and not layer.get_apply_mask():
            unseen = (
                "The mask of “%s” is switched off. Switch it on (Layer → Mask → Disable Layer Mask) to see the result."
                % layer.get_name()
            )
        self._notes = [unseen] if unseen else []
        self._before = None if unseen else _look(image)

    def after(self, alpha: bytes) -> List[str]:
        """Hide the layer that a new one was cut from, which would fill the cut; return notes on what is not seen.

        Args:
            alpha: the engine's answer.
        """
        layer = self._layer
        if self._hides_original and layer not in self._image.get_selected_layers() and layer.get_visible():
            layer.set_visible(False)
        if self._notes:
            return self._notes
        if alpha == b"\xff" * len(alpha):
            return ["Nothing was cut away, for all of the picture was taken for the thing. Exclude what is not."]
        if self._before != _look(self._image):
            return []
        return [
            "The picture looks as it did before: layers above hide the result, or layers below show the same. Hide "
            "those (the eye in the Layers dialog) to see it."
        ]


def _selection(image):
    return pixels.read(image.get_selection(), pixels.MASK)


def _look(image):
    """The picture as shown, small."""
    small = image.get_thumbnail_data(_LOOK, _LOOK)
    return bytes(small[0].get_data()) if small is not None and small[0] is not None else b""
