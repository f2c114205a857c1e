"""Writing the matte as a new layer: what was seen, cut out, with the old background's colour taken out of its edge."""

from __future__ import annotations

from typing import List

from gi.repository import Gimp

from . import again, effects, pixels, records
from .client import Answer
from .place import Place, paste
from .plan import INDEXED, Plan
from .records import Record
from .scratch import copy_into, copy_pixels, done, insert, scratch_like

#: bytes.translate tables
_PARTLY = b"\x00" + b"\xff" * 254 + b"\x00"
_OPAQUE = bytes(255) + b"\xff"


def keeps_effects(plan: Plan) -> bool:
    """Say whether the cut-out has the layer's effects live, and so needs pixels as they are below them.

    Only effects that leave alpha as it is can stay: others would spread or move the edge that was found in what they
    show. Where a cut-out is made again, it stays as it was.
    """
    layer = plan.layer
    if plan.visible or type(layer) is not Gimp.Layer or not effects.on(layer):
        return False
    if plan.replaced is not None and not plan.replaced.layer.get_filters():
        return False
    return effects.alpha_under(plan.image, layer) == effects.IN_PLACE


def write_new_layer(plan: Plan, place: Place, answer: Answer, live: bool, clicks: dict) -> List[str]:
    """Write the matte as a new layer, or into the cut-out of the run before, and return notes for the user.

    Args:
        plan: with output NEW_LAYER.
        place: where the answer's pixels lie on the canvas.
        answer: the engine's answer. Its foreground is of the layer below its effects when `live`; None leaves the
            colours of the edge alone.
        live: what `keeps_effects` has said.
        clicks: the prompt, to be noted on the result.
    """
    image, layer, foreground, notes = plan.image, plan.layer, answer.foreground, []
    if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
        notes.append(INDEXED)
        if foreground is not None:
            foreground = None
            notes.append("The colours of the edge are as they were, for an indexed image has no others.")
    if not plan.visible and not live and effects.on(layer):
        notes.append("The effects of “%s” are merged into its cut-out; the layer itself keeps them." % layer.get_name())
    with scratch_like(image, answer.width, answer.height) as scratch:
        copy = _uncut(plan, scratch, live)
        if foreground is not None:
            copy = _recolour_edge(scratch, copy, answer.alpha, foreground)
        _, x, y = layer.get_offsets()
        users_mask = None if plan.visible else plan.users_mask()
        if users_mask is not None:
            _apply_mask(copy, place, users_mask, (x, y))
        pixels.multiply_alpha(copy, answer.alpha)
        if live:
            carrier = copy_into(scratch, layer)
            if not carrier.has_alpha():
                done(carrier.add_alpha())
            copy_pixels(copy, carrier)
            copy = carrier
        spot = (place.x, place.y) if plan.visible else (place.x - x, place.y - y)
        cut = _replace(plan.replaced, copy, spot) if plan.replaced is not None else _add(plan, copy, place)
    digest, mark, tattoo = again.digest_of_pixels(cut), again.mark(layer), layer.get_tattoo()
    again.note(cut, Record(records.CUT_OUT, digest, clicks, plan.visible, mark, tattoo, spot))
    image.set_selected_layers([cut])
    return notes


def _uncut(plan, scratch, live):
    """What is to be cut, as one plain layer without effects."""
    layer = plan.layer
    if plan.visible:
        with plan.picture_shown() as picture:
            return insert(scratch, Gimp.Layer.new_from_visible(picture, scratch, "visible"))
    if type(layer) is not Gimp.Layer or (effects.on(layer) and not live):
        return effects.render(plan.image, layer, scratch, plan.alpha)[0]
    copy = copy_into(scratch, layer)
    for effect in copy.get_filters():
        done(effect.delete())
    if plan.alpha is not None:
        again.restore_alpha(copy, plan.alpha.alpha)
    return copy


def _apply_mask(copy, place, plane, at):
    pixel = len(plane.data) // (plane.width * plane.height)
    size, onto = (plane.width, plane.height), (place.width, place.height)
    data = paste(plane.data, size, (at[0] - place.x, at[1] - place.y), onto, pixel)
    again.multiply(copy, plane._replace(width=place.width, height=place.height, data=data))


def _add(plan, copy, place):
    """Insert a copy of the layer `copy` above the one that it was made from."""
    image, layer = plan.image, plan.layer
    cut = Gimp.Layer.new_from_drawable(copy, image)
    again.forget(cut)
    cut.set_offsets(place.x, place.y)
    if plan.visible:
        cut.set_name("Visible cut-out")
        # What encloses the layer shows in the picture already.
        while layer.get_parent() is not None:
            layer = layer.get_parent()
    else:
        cut.set_name(layer.get_name() + " cut-out")
        cut.set_opacity(layer.get_opacity())
        cut.set_mode(layer.get_mode() if not layer.is_group() else Gimp.LayerMode.NORMAL)
    done(image.insert_layer(cut, layer.get_parent(), image.get_item_position(layer)))
    return cut


def _replace(replaced, copy, spot):
    """Give the earlier cut-out the pixels of `copy`; its name, place, opacity, mask and all else stay the user's."""
    cut, record = replaced
    width, height = copy.get_width(), copy.get_height()
    move_x, move_y = spot[0] - record.place[0], spot[1] - record.place[1]
    if (move_x, move_y) != (0, 0) or (width, height) != (cut.get_width(), cut.get_height()):
        done(cut.resize(width, height, -move_x, -move_y))
    # These two are what GIMP can undo; the copy itself it would not even notice.
    done(cut.flatten())
    done(cut.add_alpha())
    copy_pixels(copy, cut)
    return cut


def _recolour_edge(scratch, copy, alpha, foreground):
    """Give the layer's partly covered pixels their foreground colours; all others keep theirs in full precision.

    A pixel that was transparent before stays too: the engine saw it over grey.
    """
    edge = alpha.translate(_PARTLY)
    before = pixels.read_alpha(copy)
    if before is not None:
        both = int.from_bytes(edge, "little") & int.from_bytes(before.translate(_OPAQUE), "little")
        edge = both.to_bytes(len(edge), "little")
    gray = scratch.get_base_type() == Gimp.ImageBaseType.GRAY
    # Without alpha: Babl is many times slower from RGB to RGBA than from RGB to RGB.
    kind = Gimp.ImageType.GRAY_IMAGE if gray else Gimp.ImageType.RGB_IMAGE
    width, height = copy.get_width(), copy.get_height()
    colours = Gimp.Layer.new(scratch, "", width, height, kind, 100.0, Gimp.LayerMode.NORMAL)
    insert(scratch, colours)
    pixels.write(colours, pixels.RGB, foreground)
    mask = colours.create_mask(Gimp.AddMaskType.WHITE)
    pixels.write(mask, pixels.MASK, edge)
    done(colours.add_mask(mask))
    return scratch.merge_down(colours, Gimp.MergeType.CLIP_TO_BOTTOM_LAYER)
