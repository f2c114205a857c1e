"""Putting the answer into the image. Called only with a whole answer, inside one undo group."""

from __future__ import annotations

from contextlib import contextmanager
from typing import List, Optional

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
import sama_pixels  # noqa: E402
import sama_source  # noqa: E402
from gi.repository import Gegl, Gimp  # noqa: E402
from sama_client import Answer  # noqa: E402
from sama_errors import CallingError  # noqa: E402
from sama_place import place  # noqa: E402
from sama_prompt import Frame  # noqa: E402
from sama_source import done  # noqa: E402

LAYER_MASK, ALPHA, NEW_LAYER = "layer-mask", "alpha", "new-layer"
REFUSE, REPLACE, INTERSECT = "refuse", "replace", "intersect"

#: bytes.translate tables
_PARTLY = b"\x00" + b"\xff" * 254 + b"\x00"
_OPAQUE = bytes(255) + b"\xff"


@contextmanager
def one_undo_step(image):
    """Everything done inside is undone by one Ctrl+Z; GIMP's context is as before afterwards."""
    image.undo_group_start()
    Gimp.context_push()
    try:
        yield
    finally:
        Gimp.context_pop()
        image.undo_group_end()


def check_selectable(image, frame: Frame) -> None:
    """Raise CallingError when no pixel of the source is on the canvas, where alone a selection can be."""
    if not _meet(frame, image.get_width(), image.get_height()):
        raise CallingError("%s lies outside the canvas, and a selection cannot. Move it first." % _sentence(frame.name))


def select(image, frame: Frame, alpha: bytes, operation: str, feather: float) -> None:
    """Combine the answer with the selection; `operation` is replace, add, subtract or intersect."""
    width, height = image.get_width(), image.get_height()
    left, top = max(0, frame.x), max(0, frame.y)
    right, bottom = min(width, frame.x + frame.width), min(height, frame.y + frame.height)
    size = (right - left, bottom - top)
    data = place(alpha, (frame.width, frame.height), (frame.x - left, frame.y - top), size)
    layers = image.get_selected_layers()
    channel = Gimp.Channel.new(image, "SAMA answer", width, height, 100.0, Gegl.Color.new("black"))
    # A channel can be selected from only while it is in the image.
    done(image.insert_channel(channel, None, 0))
    try:
        sama_pixels.write_channel(channel, (left, top, *size), data)
        Gimp.context_set_feather(feather > 0)
        if feather > 0:
            Gimp.context_set_feather_radius(feather, feather)
        done(image.select_item(getattr(Gimp.ChannelOps, operation.upper()), channel))
    finally:
        done(image.remove_channel(channel))
        if layers:
            image.set_selected_layers(layers)


def check_writable(image, layer, frame: Frame, output: str, existing_mask: str) -> None:
    """Raise CallingError for everything that would stop `write_matte`, before the engine is asked at all."""
    own = sama_source.frame_of(image, layer)
    if not _meet(own._replace(x=own.x - frame.x, y=own.y - frame.y), frame.width, frame.height):
        raise CallingError("%s lies outside the picture. Move it onto the canvas first." % _sentence(own.name))
    if output == NEW_LAYER:
        return
    if layer.get_mask() is not None and existing_mask == REFUSE:
        raise CallingError(
            "The layer “%s” has a mask already. Choose to replace it or to intersect with it." % layer.get_name()
        )
    if output == LAYER_MASK:
        return
    instead = " Or choose a layer mask, which leaves the layer's pixels alone."
    if layer.is_group():
        raise CallingError("“%s” is a layer group, which has no alpha of its own.%s" % (layer.get_name(), instead))
    for name in ("is_vector_layer", "is_link_layer"):
        if getattr(layer, name, bool)():
            raise CallingError(
                "“%s” is drawn anew by GIMP at every change. Rasterise it first.%s" % (layer.get_name(), instead)
            )
    locked = layer
    while locked is not None:
        if locked.get_lock_content():
            raise CallingError("The pixels of “%s” are locked. Unlock them first.%s" % (locked.get_name(), instead))
        locked = locked.get_parent()
    if layer.get_lock_alpha():
        raise CallingError("The alpha of “%s” is locked. Unlock it first.%s" % (layer.get_name(), instead))


def write_matte(
    image, layer, frame: Frame, answer: Answer, output: str, existing_mask: str, visible: bool
) -> List[str]:
    """Write the matte and return notes for the user.

    Args:
        image: the layer's image.
        layer: the layer to cut out.
        frame: where the answer's pixels lie on the canvas.
        answer: the engine's answer.
        output: layer-mask, alpha or new-layer.
        existing_mask: refuse, replace or intersect. With output alpha, intersect applies the old mask to the alpha as
            well; a new layer leaves the old one's mask alone and takes it over unless `existing_mask` is replace.
        visible: the answer is about the picture as shown; a new layer then shows that picture.
    """
    if output == NEW_LAYER:
        return _write_new_layer(image, layer, answer, existing_mask, visible)
    _, x, y = layer.get_offsets()
    size = (layer.get_width(), layer.get_height())
    alpha = place(answer.alpha, (frame.width, frame.height), (frame.x - x, frame.y - y), size)
    if output == LAYER_MASK:
        _write_mask(image, layer, alpha, existing_mask)
        return []
    notes = []
    if layer.is_text_layer():
        notes.append(
            "The text layer “%s” has become an ordinary layer, for text has no alpha of its own." % layer.get_name()
        )
    if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
        notes.append("An indexed image shows and exports alpha as on or off; convert it to RGB to see the soft edge.")
    if layer.get_mask() is not None:
        done(layer.remove_mask(_mode(existing_mask)))
    _cut(layer, alpha)
    return notes


def _write_mask(image, layer, alpha, existing_mask):
    old = layer.get_mask()
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    if old is not None and existing_mask == INTERSECT:
        _write_product(image, mask, old, alpha)
    else:
        sama_pixels.write_mask(mask, alpha)
    if old is None:
        done(layer.add_mask(mask))
        return
    applied, edited, shown = layer.get_apply_mask(), layer.get_edit_mask(), layer.get_show_mask()
    done(layer.remove_mask(Gimp.MaskApplyMode.DISCARD))
    done(layer.add_mask(mask))
    layer.set_apply_mask(applied)
    layer.set_edit_mask(edited)
    layer.set_show_mask(shown)


def _write_product(image, mask, old, alpha):
    """Fill `mask` with old · alpha in the precision of the image. GIMP multiplies when it applies a mask to alpha."""
    width, height = mask.get_width(), mask.get_height()
    eight_bit = image.get_precision() in (Gimp.Precision.U8_LINEAR, Gimp.Precision.U8_NON_LINEAR)
    precision, depth = (Gimp.Precision.U8_LINEAR, "u8") if eight_bit else (Gimp.Precision.FLOAT_LINEAR, "float")
    scratch = Gimp.Image.new_with_precision(width, height, Gimp.ImageBaseType.GRAY, precision)
    scratch.undo_disable()
    try:
        layer = Gimp.Layer.new(scratch, "", width, height, Gimp.ImageType.GRAYA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
        sama_source.insert(scratch, layer)
        layer.fill(Gimp.FillType.WHITE)
        first = layer.create_mask(Gimp.AddMaskType.WHITE)
        everything = (0, 0, width, height)
        values = sama_pixels.read(old, everything, "Y " + depth)
        sama_pixels.write(first, everything, "Y " + depth, values)
        done(layer.add_mask(first))
        done(layer.remove_mask(Gimp.MaskApplyMode.APPLY))
        _cut(layer, alpha)
        values = sama_pixels.read(layer, everything, "A " + depth)
        sama_pixels.write(mask, everything, "Y " + depth, values)
    finally:
        scratch.delete()


def _cut(layer, alpha):
    """Multiply the layer's alpha by `alpha`: exact in every precision, colours untouched."""
    if not layer.has_alpha():
        done(layer.add_alpha())
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    sama_pixels.write_mask(mask, alpha)
    done(layer.add_mask(mask))
    done(layer.remove_mask(Gimp.MaskApplyMode.APPLY))


def _write_new_layer(image, layer, answer, existing_mask, visible):
    indexed = image.get_base_type() == Gimp.ImageBaseType.INDEXED
    foreground, notes = answer.foreground, []
    if indexed:
        notes.append("An indexed image shows and exports alpha as on or off; convert it to RGB to see the soft edge.")
        if foreground is not None:
            foreground = None
            notes.append("The colours of the edge are as they were, for an indexed image has no others.")
    scratch = _like(image, answer.width, answer.height)
    try:
        if visible:
            copy = sama_source.insert(scratch, Gimp.Layer.new_from_visible(image, scratch, "visible"))
            name, x, y = "Visible cut-out", 0, 0
        else:
            copy = sama_source.copy_into(scratch, layer)
            _, x, y = layer.get_offsets()
            name = layer.get_name() + " cut-out"
        if foreground is not None:
            copy = _recolour_edge(scratch, copy, answer.alpha, foreground)
        if not visible and existing_mask != REPLACE and layer.get_mask() is not None:
            _apply_copy_of(layer.get_mask(), copy)
        _cut(copy, answer.alpha)
        cutout = Gimp.Layer.new_from_drawable(copy, image)
    finally:
        scratch.delete()
    cutout.set_name(name)
    cutout.set_offsets(x, y)
    if not visible:
        cutout.set_opacity(layer.get_opacity())
        cutout.set_mode(layer.get_mode() if not layer.is_group() else Gimp.LayerMode.NORMAL)
    done(image.insert_layer(cutout, layer.get_parent(), image.get_item_position(layer)))
    image.set_selected_layers([cutout])
    return notes


def _recolour_edge(scratch, copy, alpha, foreground):
    """Give the layer's partly covered pixels their foreground colours; all others keep theirs in full precision.

    A pixel that was transparent before stays too: the engine saw it over grey.
    """
    edge = alpha.translate(_PARTLY)
    before = sama_pixels.read_alpha(copy)
    if before is not None:
        both = int.from_bytes(edge, "little") & int.from_bytes(before.translate(_OPAQUE), "little")
        edge = both.to_bytes(len(edge), "little")
    gray = scratch.get_base_type() == Gimp.ImageBaseType.GRAY
    # Without alpha: Babl is many times slower from RGB to RGBA than from RGB to RGB.
    kind = Gimp.ImageType.GRAY_IMAGE if gray else Gimp.ImageType.RGB_IMAGE
    width, height = copy.get_width(), copy.get_height()
    colours = Gimp.Layer.new(scratch, "", width, height, kind, 100.0, Gimp.LayerMode.NORMAL)
    sama_source.insert(scratch, colours)
    sama_pixels.write(colours, (0, 0, width, height), sama_pixels.RGB, foreground)
    mask = colours.create_mask(Gimp.AddMaskType.WHITE)
    sama_pixels.write_mask(mask, edge)
    done(colours.add_mask(mask))
    return scratch.merge_down(colours, Gimp.MergeType.CLIP_TO_BOTTOM_LAYER)


def _apply_copy_of(mask, layer):
    everything = (0, 0, mask.get_width(), mask.get_height())
    values = sama_pixels.read(mask, everything, "Y float")
    if not layer.has_alpha():
        done(layer.add_alpha())
    copy = layer.create_mask(Gimp.AddMaskType.WHITE)
    sama_pixels.write(copy, everything, "Y float", values)
    done(layer.add_mask(copy))
    done(layer.remove_mask(Gimp.MaskApplyMode.APPLY))


def _like(image, width, height):
    """A scratch image of the same kind, precision and colour profile, so that copies to and fro are exact."""
    base = image.get_base_type()
    scratch = Gimp.Image.new_with_precision(width, height, base, image.get_precision())
    scratch.undo_disable()
    if base == Gimp.ImageBaseType.INDEXED:
        scratch.set_palette(image.get_palette())
    profile: Optional[Gimp.ColorProfile] = image.get_color_profile()
    if profile is not None:
        scratch.set_color_profile(profile)
    return scratch


def _mode(existing_mask):
    return Gimp.MaskApplyMode.DISCARD if existing_mask == REPLACE else Gimp.MaskApplyMode.APPLY


def _meet(frame, width, height):
    return frame.x < width and frame.y < height and frame.x + frame.width > 0 and frame.y + frame.height > 0


def _sentence(name):
    return name[0].upper() + name[1:]
