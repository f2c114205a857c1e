"""Running again: what on a layer SAMA made itself, whether the user has changed it since, and what lay there before."""

from __future__ import annotations

import secrets
from typing import Iterator, List, NamedTuple, Optional, Union

from gi.repository import Gimp

from . import pixels, records
from .records import Plane, Record
from .scratch import copy_pixels, done, opaque_copy_into, scratch_like

#: Names of GIMP's parasites: the note on a result, and the mark on the layer that a cut-out was made from. A mark and
#: not GIMP's tattoo: that changes when the image is duplicated, and names another layer when one goes to another image.
_RESULT, _MARK = "sama-result", "sama-source"
_KEPT = 1 | 2  # GIMP_PARASITE_PERSISTENT and _UNDOABLE, which have no names in Python


class Own(NamedTuple):
    """What on a layer is SAMA's.

    Attributes:
        mask: the note of its mask, when that is as SAMA wrote it.
        alpha: the note of its alpha, when that is as SAMA wrote it.
        changed_mask: its mask was SAMA's, and somebody has changed it.
        changed_alpha: the note of its alpha, when somebody has changed that.
    """

    mask: Optional[Record] = None
    alpha: Optional[Record] = None
    changed_mask: bool = False
    changed_alpha: Optional[Record] = None


class CutOut(NamedTuple):
    """A layer that SAMA cut out, and the note on it."""

    layer: Gimp.Layer
    record: Record


def own(layer) -> Own:
    """Return what of the layer's mask and alpha is SAMA's."""
    mask, alpha = layer.get_mask(), None
    of_mask = _noted(mask, records.MASK) if mask is not None else None
    mask_kept = of_mask is not None and of_mask.digest == digest_of_mask(mask)
    if not layer.is_group() and layer.has_alpha():
        alpha = _noted(layer, records.ALPHA)
    alpha_kept = alpha is not None and alpha.digest == digest_of_alpha(layer)
    return Own(
        of_mask if mask_kept else None,
        alpha if alpha_kept else None,
        of_mask is not None and not mask_kept,
        alpha if not alpha_kept else None,
    )


def cut_out(layer) -> Optional[CutOut]:
    """Return the layer with its note, or None when SAMA did not cut it out."""
    record = None if layer.is_group() else _noted(layer, records.CUT_OUT)
    return None if record is None else CutOut(layer, record)


def is_untouched(cut: CutOut) -> bool:
    """Say whether a cut-out's pixels are as SAMA wrote them, and may be written anew."""
    layer = cut.layer
    locked = layer.get_lock_alpha() or locked_at(layer) is not None
    return not locked and layer.has_alpha() and cut.record.digest == digest_of_pixels(layer)


def locked_at(layer) -> Optional[Gimp.Layer]:
    """Return the layer or the group around it whose lock keeps its pixels from being written, or None."""
    while layer is not None and not layer.get_lock_content():
        layer = layer.get_parent()
    return layer


def source_of(image, record: Record) -> Optional[Gimp.Layer]:
    """Return the layer that a cut-out was made from, or None when this image has it no longer."""
    if not record.source:
        return None
    marked = [layer for layer in all_layers(image) if _mark_of(layer) == record.source]
    # A duplicate of the layer has its mark too.
    marked.sort(key=lambda layer: layer.get_tattoo() != record.tattoo)
    return marked[0] if marked else None


def cut_outs_of(image, layer) -> Iterator[CutOut]:
    """Yield what SAMA cut from this one, or from the picture with this one selected, topmost first."""
    mark = _mark_of(layer)
    for other in all_layers(image) if mark else ():
        cut = cut_out(other)
        if cut is not None and cut.record.source == mark and other != layer:
            yield cut


def all_layers(image) -> Iterator[Gimp.Layer]:
    """Yield the image's layers and groups from top to bottom."""
    waiting: List[Gimp.Layer] = list(image.get_layers())
    while waiting:
        layer = waiting.pop(0)
        yield layer
        if layer.is_group():
            waiting[:0] = layer.get_children()


def twin_of(layer, duplicate) -> Gimp.Layer:
    """Return the layer that stands in the duplicate of the layer's image where this one stands in its own."""
    steps = []
    while layer is not None:
        parent = layer.get_parent()
        steps.append(layer.get_image().get_item_position(layer))
        layer = parent
    siblings = duplicate.get_layers()
    for step in reversed(steps[1:]):
        siblings = siblings[step].get_children()
    return siblings[steps[0]]


def note(item, record: Record) -> None:
    """Write the note on a mask or layer, in place of an older one."""
    done(item.attach_parasite(Gimp.Parasite.new(_RESULT, _KEPT, records.encode(record))))


def mark(layer) -> str:
    """Return the layer's mark, made if need be."""
    found = _mark_of(layer)
    if not found:
        found = secrets.token_hex(8)
        done(layer.attach_parasite(Gimp.Parasite.new(_MARK, _KEPT, found.encode("ascii"))))
    return found


def forget(item) -> None:
    """Take note and mark off, where there are any."""
    for name in (_RESULT, _MARK):
        if item.get_parasite(name) is not None:
            done(item.detach_parasite(name))


def forget_alpha(layer) -> None:
    """Take the note of the layer's alpha off."""
    done(layer.detach_parasite(_RESULT))


def digest_of_mask(mask) -> str:
    """Return the name of a layer mask's values."""
    return pixels.digest(mask, pixels.MASK)


def digest_of_alpha(layer) -> str:
    """Return the name of a layer's alpha."""
    return pixels.digest(layer, pixels.RGBA, slice(3, None, 4))


def digest_of_pixels(layer) -> str:
    """Return the name of a layer's colours and alpha."""
    return pixels.digest(layer, pixels.RGBA)


def alpha_before(layer) -> Union[str, Plane]:
    """Return what is needed to bring the layer's alpha back after a matte has been written into it."""
    if not layer.has_alpha():
        return records.NONE
    if pixels.read_alpha(layer) is None:
        return records.OPAQUE
    depth = depth_of(layer.get_image())
    return Plane(layer.get_width(), layer.get_height(), depth, pixels.read(layer, "A " + depth))


def restore_alpha(layer, alpha: Union[str, Plane]) -> None:
    """Give the layer back an alpha of `alpha_before`; its colours stay, also those that showed nowhere."""
    with pixels.colours_kept(layer):
        with scratch_like(layer.get_image(), layer.get_width(), layer.get_height()) as scratch:
            colours = opaque_copy_into(scratch, layer)
            # Flattening is what GIMP can undo. It lays the colours over the background, so they are copied over that.
            done(layer.flatten())
            copy_pixels(colours, layer)
        if alpha != records.NONE:
            done(layer.add_alpha())
    if isinstance(alpha, Plane):
        multiply(layer, alpha)


def multiply(layer, plane: Plane) -> None:
    """Multiply the layer's alpha by the plane; the layer must have no mask."""
    pixels.multiply_alpha(layer, plane.data, "Y " + plane.depth)


def write_plane(mask, plane: Plane) -> None:
    """Write all of a layer mask."""
    pixels.write(mask, "Y " + plane.depth, plane.data, (0, 0, plane.width, plane.height))


def plane_of(mask) -> Plane:
    """Return a layer mask's values."""
    depth = depth_of(mask.get_image())
    return Plane(mask.get_width(), mask.get_height(), depth, pixels.read(mask, "Y " + depth))


def depth_of(image) -> str:
    """Return the depth that keeps this image's masks: u8 or u16."""
    eight_bit = (Gimp.Precision.U8_LINEAR, Gimp.Precision.U8_NON_LINEAR, Gimp.Precision.U8_PERCEPTUAL)
    return "u8" if image.get_precision() in eight_bit else "u16"


def _noted(item, kind):
    record = records.decode(_parasite(item, _RESULT), (item.get_width(), item.get_height()))
    return record if record is not None and record.kind == kind else None


def _mark_of(layer):
    return _parasite(layer, _MARK).decode("ascii", "replace")


def _parasite(item, name):
    found = item.get_parasite(name)
    return b"" if found is None else bytes(byte & 255 for byte in found.get_data())
