"""What a matte is made from and where it goes: settled before the engine is asked, and once more before writing."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import List, Optional

from gi.repository import Gimp

from . import again, effects, records, source
from .errors import CallingError
from .place import sentence
from .prompt import Prompt
from .records import Plane, Record
from .scratch import done, scratch_duplicate

LAYER_MASK, ALPHA, NEW_LAYER = "layer-mask", "alpha", "new-layer"
REFUSE, REPLACE, INTERSECT = "refuse", "replace", "intersect"
#: A note on a result in alpha.
INDEXED = "An indexed image shows and exports alpha as on or off; convert it to RGB to see the soft edge."


@dataclass
class Plan:
    """One run of Matte.

    Attributes:
        image: the image.
        layer: the layer that the matte is about. For a cut-out that is made again, the one it was made from.
        visible: the picture as shown is looked at, not the layer.
        output: LAYER_MASK, ALPHA or NEW_LAYER.
        existing_mask: REFUSE, REPLACE or INTERSECT, for a mask or alpha of the user's own.
        own: what on the layer SAMA made before.
        alpha: the note of a matte in the layer's alpha that is taken back first, or None.
        replaced: the cut-out layer that gets the new result, or None.
        notes: for the user.
    """

    image: Gimp.Image
    layer: Gimp.Layer
    visible: bool
    output: str
    existing_mask: str
    own: again.Own
    alpha: Optional[Record] = None
    replaced: Optional[again.CutOut] = None
    notes: List[str] = field(default_factory=list)

    def reader(self):
        """Open what the engine is to look at; see `source.reader`. An earlier result of the same is not seen."""
        if not self.visible:
            return source.reader(self.image, self.layer, self.alpha)
        return source.reader(self.image, None, take_back=self._take_back if self._is_second() else None)

    @contextmanager
    def picture_shown(self):
        """Give the image to take the picture as shown from: without an earlier result of the same."""
        if not self._is_second():
            yield self.image
            return
        with scratch_duplicate(self.image) as twin:
            self._take_back(twin)
            yield twin

    def find_replaced(self, prompt: Prompt) -> None:
        """With the source selected instead of its cut-out: find the cut-out of the same thing, if there is one."""
        if self.output != NEW_LAYER or self.replaced is not None:
            return
        for cut in again.cut_outs_of(self.image, self.layer):
            alike = cut.record.visible == self.visible and records.same_thing(cut.record.clicks, prompt.request())
            if alike and again.is_untouched(cut):
                self.replaced = cut
                return

    def users_mask(self) -> Optional[Plane]:
        """Return the mask of the user's own that takes part in the result, in the layer's own coordinates, or None."""
        if self.existing_mask == REPLACE:
            return None
        planes = [record.mask for record in (self.alpha, self.own.mask) if record is not None and record.mask]
        if self.layer.get_mask() is not None and self.own.mask is None:
            planes.append(again.plane_of(self.layer.get_mask()))
        planes = [plane for plane in planes if plane is not None]
        if len(planes) == 2:
            return records.product(*planes)
        return planes[0] if planes else None

    def _is_second(self):
        return self.replaced is not None or self.alpha is not None or self.own.mask is not None

    def _take_back(self, twin):
        layer = again.twin_of(self.layer, twin)
        earlier = self.own.mask
        if earlier is not None:
            done(layer.remove_mask(Gimp.MaskApplyMode.DISCARD))
            if earlier.mask is not None:
                mask = layer.create_mask(Gimp.AddMaskType.WHITE)
                again.write_plane(mask, earlier.mask)
                done(layer.add_mask(mask))
        if self.alpha is not None:
            again.restore_alpha(layer, self.alpha.alpha)
            if self.alpha.mask is not None:
                again.multiply(layer, self.alpha.mask)
        if self.replaced is not None:
            again.twin_of(self.replaced.layer, twin).set_visible(False)


def plan_matte(image, drawables, config) -> Plan:
    """Return what is to be done. Reads only.

    Raises:
        CallingError: it cannot be done; everything that would stop `write.write_matte` is found here.
    """
    source.refuse_floating_selection(image)
    layer = source.the_layer(image, drawables)
    output, existing_mask = config.get_property("output"), config.get_property("existing-mask")
    visible = config.get_property("source") == source.VISIBLE
    replaced, notes = None, []
    cut = again.cut_out(layer) if output == NEW_LAYER else None
    if cut is not None:
        cut_from, name = again.source_of(image, cut.record), layer.get_name()
        if cut_from is None:
            notes.append(
                "The layer that “%s” was cut from is gone, so that SAMA could only look at the cut-out itself." % name
            )
        else:
            layer, visible = cut_from, visible or cut.record.visible
            if again.is_untouched(cut):
                replaced = cut
            else:
                notes.append(
                    "“%s” was changed or locked since SAMA made it, so it is kept; the new cut-out is another layer."
                    % name
                )
    own = again.own(layer)
    made = Plan(image, layer, visible, output, existing_mask, own, own.alpha, replaced, notes)
    _check(made)
    return made


def _check(made):
    layer, name = made.layer, made.layer.get_name()
    own_place = effects.place_of(layer)
    if made.visible and not own_place.meets(made.image.get_width(), made.image.get_height()):
        raise CallingError("%s lies outside the picture. Move it onto the canvas first." % sentence(own_place.name))
    if made.output == NEW_LAYER:
        return
    if layer.get_mask() is not None and made.own.mask is None and made.existing_mask == REFUSE:
        since = ", which was changed since SAMA made it" if made.own.changed_mask else ""
        raise CallingError(
            "The layer “%s” has a mask already%s. Choose at “If there is a mask” to replace it or to intersect with it."
            % (name, since)
        )
    if made.alpha is not None:
        _check_pixels(layer, " Or choose a new layer, which leaves this one alone.")
    if made.output == LAYER_MASK:
        return
    instead = " Or choose a layer mask, which leaves the layer's pixels alone."
    if layer.is_group():
        raise CallingError("“%s” is a layer group, which has no alpha of its own.%s" % (name, instead))
    for kind in ("is_vector_layer", "is_link_layer"):
        if getattr(layer, kind, bool)():
            raise CallingError("“%s” is drawn anew by GIMP at every change. Rasterise it first.%s" % (name, instead))
    _check_pixels(layer, instead)
    if made.own.changed_alpha is not None:
        if made.existing_mask == REFUSE:
            raise CallingError(
                "The alpha of “%s” was changed since SAMA made it. Choose at “If there is a mask” to replace it or to "
                "intersect with it." % name
            )
        if made.existing_mask == REPLACE:
            made.alpha = made.own.changed_alpha
    if effects.alpha_under(made.image, layer) == effects.MOVED:
        raise CallingError(
            "The effects of “%s” move its pixels, and alpha lies below them. Merge the effects first.%s"
            % (name, instead)
        )


def _check_pixels(layer, instead):
    locked = again.locked_at(layer)
    if locked is not None:
        raise CallingError("The pixels of “%s” are locked. Unlock them first.%s" % (locked.get_name(), instead))
    if layer.get_lock_alpha():
        raise CallingError("The alpha of “%s” is locked. Unlock it first.%s" % (layer.get_name(), instead))
