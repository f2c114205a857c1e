"""Putting the answer into the image. Called only with a whole answer, inside one undo group."""

from __future__ import annotations

from contextlib import contextmanager
from typing import List

from gi.repository import Gegl, Gimp

from . import again, pixels, records
from .client import Answer
from .errors import CallingError
from .place import Place, sentence
from .plan import INDEXED, LAYER_MASK, Plan
from .records import Record
from .scratch import done, gray_scratch, insert


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


def check_selectable(image, place: Place) -> None:
    """Raise CallingError when no pixel of the source is on the canvas, where alone a selection can be."""
    if not place.meets(image.get_width(), image.get_height()):
        raise CallingError("%s lies outside the canvas, and a selection cannot. Move it first." % sentence(place.name))


def select(image, place: Place, alpha: bytes, operation: str, feather: float) -> None:
    """Combine the answer with the selection; `operation` is replace, add, subtract or intersect."""
    width, height = image.get_width(), image.get_height()
    left, top = max(0, place.x), max(0, place.y)
    right, bottom = min(width, place.x + place.width), min(height, place.y + place.height)
    size = (right - left, bottom - top)
    data = place.move(alpha, (left, top), size)
    layers = image.get_selected_layers()
    channel = Gimp.Channel.new(image, "SAMA answer", width, height, 100.0, Gegl.Color.new("black"))
    # A channel can be selected from only while it is in the image.
    done(image.insert_channel(channel, None, 0))
    try:
        pixels.write_channel(channel, data, (left, top, *size))
        Gimp.context_set_feather(feather > 0)
        if feather > 0:
            Gimp.context_set_feather_radius(feather, feather)
        done(image.select_item(getattr(Gimp.ChannelOps, operation.upper()), channel))
    finally:
        done(image.remove_channel(channel))
        if layers:
            image.set_selected_layers(layers)


def write_matte(plan: Plan, place: Place, answer: Answer, clicks: dict) -> List[str]:
    """Write the matte into the layer's mask or alpha, and return notes for the user.

    Args:
        plan: with output LAYER_MASK or ALPHA.
        place: where the answer's pixels lie on the canvas.
        answer: the engine's answer.
        clicks: the prompt, to be noted on the result.
    """
    layer, users_mask = plan.layer, plan.users_mask()
    _, x, y = layer.get_offsets()
    if plan.output == LAYER_MASK:
        if plan.alpha is not None:
            again.restore_alpha(layer, plan.alpha.alpha)
            again.forget_alpha(layer)
        mask = layer.create_mask(Gimp.AddMaskType.WHITE)
        # A group may tell another size than it has.
        size = (mask.get_width(), mask.get_height())
        alpha = place.move(answer.alpha, (x, y), size)
        _fill_mask(plan.image, mask, users_mask, alpha)
        _put_mask(layer, mask)
        digest = again.digest_of_mask(mask)
        again.note(mask, Record(records.MASK, digest, clicks, plan.visible, mask=users_mask))
        return []
    notes = []
    if layer.is_text_layer():
        notes.append(
            "The text layer “%s” has become an ordinary layer, for text has no alpha of its own." % layer.get_name()
        )
    if plan.image.get_base_type() == Gimp.ImageBaseType.INDEXED:
        notes.append(INDEXED)
    before = again.alpha_before(layer) if plan.alpha is None else plan.alpha.alpha
    if layer.get_mask() is not None:
        done(layer.remove_mask(Gimp.MaskApplyMode.DISCARD))
    if plan.alpha is not None:
        again.restore_alpha(layer, before)
    if users_mask is not None:
        again.multiply(layer, users_mask)
    size = (layer.get_width(), layer.get_height())
    alpha = place.move(answer.alpha, (x, y), size)
    pixels.multiply_alpha(layer, alpha)
    digest = again.digest_of_alpha(layer)
    again.note(layer, Record(records.ALPHA, digest, clicks, plan.visible, alpha=before, mask=users_mask))
    return notes


def _put_mask(layer, mask):
    if layer.get_mask() is None:
        done(layer.add_mask(mask))
        return
    applied, edited, shown = layer.get_apply_mask(), layer.get_edit_mask(), layer.get_show_mask()
    done(layer.remove_mask(Gimp.MaskApplyMode.DISCARD))
    done(layer.add_mask(mask))
    layer.set_apply_mask(applied)
    layer.set_edit_mask(edited)
    layer.set_show_mask(shown)


def _fill_mask(image, mask, users_mask, alpha):
    """Fill `mask` with users_mask · alpha, in GIMP's arithmetic: it multiplies when it applies a mask to alpha."""
    if users_mask is None:
        pixels.write(mask, pixels.MASK, alpha)
        return
    width, height = mask.get_width(), mask.get_height()
    eight_bit = users_mask.depth == "u8"
    precision, depth = (Gimp.Precision.U8_LINEAR, "u8") if eight_bit else (Gimp.Precision.FLOAT_LINEAR, "float")
    with gray_scratch(width, height, precision) as scratch:
        layer = Gimp.Layer.new(scratch, "", width, height, Gimp.ImageType.GRAYA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
        insert(scratch, layer)
        layer.fill(Gimp.FillType.WHITE)
        again.multiply(layer, users_mask)
        pixels.multiply_alpha(layer, alpha)
        pixels.write(mask, "Y " + depth, pixels.read(layer, "A " + depth))
