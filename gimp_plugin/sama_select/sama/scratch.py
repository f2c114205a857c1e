"""Images that nobody sees: places to work in that leave no trace in the user's image nor in its undo history."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Optional

from gi.repository import Gegl, Gimp

from .errors import ExecutionError

_WITHOUT_ALPHA = {
    Gimp.ImageBaseType.RGB: Gimp.ImageType.RGB_IMAGE,
    Gimp.ImageBaseType.GRAY: Gimp.ImageType.GRAY_IMAGE,
    Gimp.ImageBaseType.INDEXED: Gimp.ImageType.INDEXED_IMAGE,
}


@contextmanager
def plain_scratch(width: int, height: int) -> Iterator[Gimp.Image]:
    """Give an image of 8 bits and sRGB, which is what the engine wants."""
    with _deleted_after(Gimp.Image.new(width, height, Gimp.ImageBaseType.RGB)) as scratch:
        yield scratch


@contextmanager
def scratch_like(image, width: int, height: int) -> Iterator[Gimp.Image]:
    """Give an image of the same kind, precision and colour profile, so that copies to and fro are exact."""
    base = image.get_base_type()
    with _deleted_after(Gimp.Image.new_with_precision(width, height, base, image.get_precision())) as scratch:
        if base == Gimp.ImageBaseType.INDEXED:
            scratch.set_palette(image.get_palette())
        profile: Optional[Gimp.ColorProfile] = image.get_color_profile()
        if profile is not None:
            scratch.set_color_profile(profile)
        yield scratch


@contextmanager
def gray_scratch(width: int, height: int, precision: Gimp.Precision) -> Iterator[Gimp.Image]:
    """Give an image of one channel."""
    gray = Gimp.ImageBaseType.GRAY
    with _deleted_after(Gimp.Image.new_with_precision(width, height, gray, precision)) as scratch:
        yield scratch


@contextmanager
def scratch_duplicate(image) -> Iterator[Gimp.Image]:
    """Give a duplicate of the whole image."""
    with _deleted_after(image.duplicate()) as scratch:
        yield scratch


@contextmanager
def _deleted_after(image):
    image.undo_disable()
    try:
        yield image
    finally:
        image.delete()


def copy_into(scratch, layer) -> Gimp.Layer:
    """Return a copy of the layer in the scratch image: at the origin, shown in full, without its mask.

    Effects stay live on it, and text stays text, a group a group.
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
    return copy


def opaque_copy_into(scratch, layer) -> Gimp.Layer:
    """Return the layer's colours, without its alpha and effects, as a layer of a scratch image like its own.

    Colours under transparency come too: nothing is laid over anything.
    """
    kind = _WITHOUT_ALPHA[scratch.get_base_type()]
    width, height = layer.get_width(), layer.get_height()
    copy = insert(scratch, Gimp.Layer.new(scratch, "", width, height, kind, 100.0, Gimp.LayerMode.NORMAL))
    copy_pixels(layer, copy)
    return copy


def copy_pixels(source, target) -> None:
    """Copy all pixels from one drawable to another of the same size; where the target has no alpha, colours alone.

    Nothing is recorded for undo.
    """
    width, height = target.get_width(), target.get_height()
    everything, buffer = Gegl.Rectangle.new(0, 0, width, height), target.get_buffer()
    source.get_buffer().copy(everything, Gegl.AbyssPolicy.NONE, buffer, everything)
    buffer.flush()
    target.update(0, 0, width, height)


def insert(image, layer) -> Gimp.Layer:
    """Insert the layer on top and return it."""
    done(image.insert_layer(layer, None, 0))
    return layer


def done(success: bool) -> None:
    """Raise ExecutionError with GIMP's own words unless a PDB call succeeded: those return False, they do not raise."""
    if not success:
        reason = Gimp.get_pdb().get_last_error()
        raise ExecutionError("GIMP refused a step (%s). Nothing is lost: undo, then try again." % reason)
