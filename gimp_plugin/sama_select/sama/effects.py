"""Layer effects: GIMP 3 keeps a filter live on a layer or a group, above its pixels and below its mask.

A drawable's buffer is what lies below the effects. What the user sees can be larger, and lie elsewhere.
"""

from __future__ import annotations

import random
from typing import Tuple

from gi.repository import Gimp

from . import again, pixels
from .place import Place, paste
from .scratch import copy_into, done, insert, scratch_like

#: How a layer's alpha fares under its effects: it is shown as it is; spread, as by a blur or a shadow; or displaced.
IN_PLACE, SPREAD, MOVED = "in place", "spread", "moved"

#: bytes.translate tables
_FULL = bytes(255) + b"\xff"
_CLEAR = bytes(128) + b"\xff" * 128
_GONE = b"\xff" * 16 + bytes(240)
#: Side of the squares that are tried out, in pixels.
_SQUARE = 16


def on(layer) -> bool:
    """Say whether the layer, or a layer within the group, has an effect that shows."""
    if any(effect.get_visible() for effect in layer.get_filters()):
        return True
    return layer.is_group() and any(on(child) for child in layer.get_children())


def render(image, layer, target, record=None) -> Tuple[Gimp.Layer, Place]:
    """Return what the user sees of the layer, as one plain layer of the image `target`, and where it lies.

    Also the way to a group's pixels: a group that holds a growing layer tells a wrong size of its own buffer, and GIMP
    ends a plug-in that reads it. The layer's mask, opacity and mode take no part, nor does what encloses the layer.

    Args:
        image: the layer's image.
        layer: the layer or group.
        target: a scratch image.
        record: a matte in the layer's alpha that is to be taken back first.

    Returns:
        a layer at the origin of `target`, as large as the place: the layer's own place, and what its effects show
        beyond it on the canvas.
    """
    own = place_of(layer)
    left, top, right, bottom = own.x, own.y, own.x + own.width, own.y + own.height
    if on(layer):
        left, top = min(left, 0), min(top, 0)
        right, bottom = max(right, image.get_width()), max(bottom, image.get_height())
    with scratch_like(image, right - left, bottom - top) as scratch:
        copy = copy_into(scratch, layer)
        if record is not None:
            again.restore_alpha(copy, record.alpha)
        copy.set_offsets(own.x - left, own.y - top)
        shown = insert(target, Gimp.Layer.new_from_visible(scratch, target, layer.get_name()))
    bounds = pixels.bounds_of_alpha(shown) or (own.x - left, own.y - top, own.x - left, own.y - top)
    x, y = min(own.x - left, bounds[0]), min(own.y - top, bounds[1])
    end_x, end_y = max(own.x - left + own.width, bounds[2]), max(own.y - top + own.height, bounds[3])
    done(shown.resize(end_x - x, end_y - y, -x, -y))
    shown.set_offsets(0, 0)
    return shown, Place(end_x - x, end_y - y, left + x, top + y, own.name)


def place_of(layer) -> Place:
    """Return where the layer itself lies on the canvas, without what effects show beyond it."""
    _, x, y = layer.get_offsets()
    return Place(layer.get_width(), layer.get_height(), x, y, "the layer “%s”" % layer.get_name())


def alpha_under(image, layer) -> str:
    """Return how the alpha of this layer, no group, fares under its effects: IN_PLACE, SPREAD or MOVED.

    Effects are many and new ones come with GEGL's plug-ins, so it is tried out: squares are cut from a copy.
    """
    if not on(layer):
        return IN_PLACE
    own = place_of(layer)
    left, top = min(own.x, 0), min(own.y, 0)
    size = (max(own.x + own.width, image.get_width()) - left, max(own.y + own.height, image.get_height()) - top)
    inside = (own.x - left, own.y - top, own.width, own.height)
    with scratch_like(image, *size) as scratch:
        copy = copy_into(scratch, layer)
        copy.set_offsets(*inside[:2])
        whole = pixels.alpha_of(_shown(scratch), inside)
        pixels.multiply_alpha(copy, _squares(own.width, own.height))
        cut = pixels.alpha_of(copy)
        shown = _shown(scratch)
        if pixels.alpha_of(shown) == paste(cut, (own.width, own.height), inside[:2], size):
            return IN_PLACE
        left_over = pixels.alpha_of(shown, inside)
    gone = _all_of(cut.translate(_FULL), whole.translate(_CLEAR), left_over.translate(_GONE))
    return MOVED if gone else SPREAD


def _shown(scratch):
    return Gimp.Layer.new_from_visible(scratch, scratch, "shown")


def _squares(width, height):
    """Squares without order, 0 or 255: no displacement but none at all maps them onto themselves."""
    dice = random.Random(0)
    side = max(1, min(_SQUARE, width // 4, height // 4))
    rows = []
    for _ in range(0, height, side):
        row = b"".join(bytes((dice.getrandbits(1) * 255,)) * side for _ in range(0, width, side))[:width]
        rows.append(row * side)
    return b"".join(rows)[: width * height]


def _all_of(*masks):
    """Say whether some pixel is 255 in every one of the masks."""
    both = int.from_bytes(masks[0], "little")
    for mask in masks[1:]:
        both &= int.from_bytes(mask, "little")
    return both != 0
