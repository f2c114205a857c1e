"""What the engine gets to see: one layer's own pixels, or the picture as it is shown."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Optional

import gi

gi.require_version("Gimp", "3.0")
import sama_pixels  # noqa: E402
from gi.repository import Gimp  # noqa: E402
from sama_errors import CallingError, ExecutionError  # noqa: E402
from sama_job import Picture  # noqa: E402
from sama_prompt import Frame  # noqa: E402

LAYER, VISIBLE = "layer", "visible"
_INTEGER = tuple(
    getattr(Gimp.Precision, depth + kind)
    for depth in ("U8", "U16", "U32")
    for kind in ("_LINEAR", "_NON_LINEAR", "_PERCEPTUAL")
)


def the_layer(image, drawables) -> Gimp.Layer:
    """Return the one layer that is meant; a layer mask means its layer.

    Raises:
        CallingError: there is none, there are several, or something else is selected.
    """
    if not image.get_layers():
        raise CallingError("The image has no layer. Open or paste a picture first.")
    if not drawables:
        raise CallingError("No layer is selected. Select one in the Layers dialog.")
    if len(drawables) > 1:
        raise CallingError("%d layers are selected. Select just one in the Layers dialog." % len(drawables))
    drawable = drawables[0]
    if drawable.is_layer_mask():
        drawable = Gimp.Layer.from_mask(drawable)
    if drawable is None or not drawable.is_layer():
        raise CallingError("A channel is selected, not a layer. Select a layer in the Layers dialog.")
    if drawable.get_image() != image:
        raise CallingError("The layer “%s” belongs to another image. Give a layer of this one." % drawable.get_name())
    return drawable


def refuse_floating_selection(image) -> None:
    """Raise CallingError while a floating selection waits: GIMP allows no new layers, masks or selections then."""
    if image.get_floating_sel() is not None:
        raise CallingError("There is a floating selection. Anchor it (Layer → Anchor) or make it a layer first.")


def frame_of(image, layer: Optional[Gimp.Layer]) -> Frame:
    """Return the place of the source on the canvas: of `layer`, or for None of the picture as shown."""
    if layer is None:
        return Frame(image.get_width(), image.get_height(), 0, 0, "the picture")
    _, x, y = layer.get_offsets()
    return Frame(layer.get_width(), layer.get_height(), x, y, "the layer “%s”" % layer.get_name())


def read(image, layer: Optional[Gimp.Layer]) -> Picture:
    """Return the source's pixels as the engine wants them, leaving no trace in the image or its undo history.

    What lies under transparency is not what the user clicks on (text, for one, has its colour everywhere), so it is
    laid over a middle grey.

    Raises:
        CallingError: there is nothing but transparency.
    """
    if layer is None:
        with _scratch(image.get_width(), image.get_height()) as scratch:
            shown = Gimp.Layer.new_from_visible(image, scratch, "visible")
            return sama_pixels.read_picture(shown, over_grey=_is_seen_through(shown))
    if not _is_seen_through(layer):
        return sama_pixels.read_picture(layer, over_grey=False)
    if image.get_precision() in _INTEGER:
        return sama_pixels.read_picture(layer, over_grey=True)
    # Floating-point colours may be brighter than white, and only integers are sure to end there.
    with _scratch(layer.get_width(), layer.get_height()) as scratch:
        return sama_pixels.read_picture(copy_into(scratch, layer), over_grey=True)


def _is_seen_through(drawable):
    alpha = sama_pixels.read_alpha(drawable)
    if alpha is not None and not any(alpha):
        raise CallingError("There is nothing to see: all of it is transparent. Select the layer that shows the thing.")
    return alpha is not None


def copy_into(scratch, layer) -> Gimp.Layer:
    """Return a plain copy of the layer in the scratch image: at the origin, shown in full, without its mask.

    Text becomes pixels, and a group one layer.
    """
    copy = insert(scratch, Gimp.Layer.new_from_drawable(layer, scratch))
    copy.set_lock_content(False)
    copy.set_lock_position(False)
    copy.set_lock_visibility(False)
    copy.set_lock_alpha(False)
    copy.set_offsets(0, 0)
    copy.set_visible(True)
    copy.set_opacity(100.0)
    copy.set_mode(Gimp.LayerMode.NORMAL)
    if copy.get_mask() is not None:
        done(copy.remove_mask(Gimp.MaskApplyMode.DISCARD))
    if type(copy) is not Gimp.Layer:
        copy = scratch.merge_visible_layers(Gimp.MergeType.CLIP_TO_IMAGE)
    return copy


def insert(image, layer) -> Gimp.Layer:
    """Insert the layer on top and return it."""
    done(image.insert_layer(layer, None, 0))
    return layer


def done(success: bool) -> None:
    """Raise ExecutionError with GIMP's own words unless a PDB call succeeded: those return False, they do not raise."""
    if not success:
        reason = Gimp.get_pdb().get_last_error()
        raise ExecutionError("GIMP refused a step (%s). Nothing is lost: undo, then try again." % reason)


@contextmanager
def _scratch(width, height) -> Iterator[Gimp.Image]:
    image = Gimp.Image.new(width, height, Gimp.ImageBaseType.RGB)
    image.undo_disable()
    try:
        yield image
    finally:
        image.delete()
