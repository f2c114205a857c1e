"""What the engine gets to see: one layer as it looks, or the picture as it is shown."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import Callable, Iterator, NamedTuple, Optional

from gi.repository import Gimp

from . import again, effects, pixels
from .client import MAX_PIXELS, MAX_SIDE
from .errors import CallingError
from .job import Pixels
from .place import Place, sentence
from .records import Record
from .scratch import copy_into, plain_scratch, scratch_duplicate, scratch_like

#: The value of the argument “source” that is not a layer.
VISIBLE = "visible"
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


class Reader(NamedTuple):
    """The source, open for reading: where it lies on the canvas, and how to read it, once or again."""

    place: Place
    read: Callable[[], Pixels]


@contextmanager
def reader(
    image, layer: Optional[Gimp.Layer], record: Optional[Record] = None, take_back: Optional[Callable] = None
) -> Iterator[Reader]:
    """Open the source, leaving no trace in the image or its undo history.

    Args:
        image: the image.
        layer: the layer or group to look at, with its effects and without its mask; None for the picture as shown.
        record: of a matte in the layer's alpha, as which it is not looked at.
        take_back: called with a duplicate of the image before that is looked at, to take earlier results off it; only
            for the picture as shown.

    Reading raises CallingError when there is nothing but transparency.
    """
    with ExitStack() as until_read:
        if layer is None:
            yield Reader(canvas(image), lambda: _read_shown(image, take_back))
        elif layer.is_group() or effects.on(layer):
            check_size(effects.place_of(layer))
            target = until_read.enter_context(plain_scratch(1, 1))
            shown, place = effects.render(image, layer, target, record)
            yield Reader(place, lambda: _read(shown))
        elif record is not None:
            own = effects.place_of(layer)
            scratch = until_read.enter_context(scratch_like(image, own.width, own.height))
            copy = copy_into(scratch, layer)
            again.restore_alpha(copy, record.alpha)
            yield Reader(own, lambda: _read(copy))
        else:
            yield Reader(effects.place_of(layer), lambda: _read(layer))


def canvas(image) -> Place:
    """Return where the picture as shown lies: on all of the canvas."""
    return Place(image.get_width(), image.get_height(), 0, 0, "the picture")


def read_without_effects(image, layer, record: Optional[Record]) -> Pixels:
    """Return the layer's own pixels as the engine wants them, as they are below its effects."""
    with scratch_like(image, layer.get_width(), layer.get_height()) as scratch:
        copy = copy_into(scratch, layer)
        if record is not None:
            again.restore_alpha(copy, record.alpha)
        return _read(copy)


def check_size(place: Place) -> None:
    """Raise CallingError when the engine would not take a picture of this size."""
    if place.width * place.height > MAX_PIXELS or max(place.width, place.height) > MAX_SIDE:
        raise CallingError(
            "%s is too large with %d×%d pixels; %d megapixels and %d pixels a side are the most. Scale or crop a copy."
            % (sentence(place.name), place.width, place.height, MAX_PIXELS // 1_000_000, MAX_SIDE)
        )


def _read_shown(image, take_back):
    with ExitStack() as until_read:
        if take_back is not None:
            image = until_read.enter_context(scratch_duplicate(image))
            take_back(image)
        scratch = until_read.enter_context(plain_scratch(image.get_width(), image.get_height()))
        return _read(Gimp.Layer.new_from_visible(image, scratch, "visible"))


def _read(layer):
    """Read a layer's buffer. What lies under transparency is not what the user clicks on (text, for one, has its
    colour everywhere), so it is laid over a middle grey."""
    alpha = pixels.read_alpha(layer)
    if alpha is None:
        return pixels.read_srgb(layer, over_grey=False)
    if not any(alpha):
        raise CallingError("There is nothing to see: all of it is transparent. Select the layer that shows the thing.")
    if layer.get_image().get_precision() in _INTEGER:
        return pixels.read_srgb(layer, over_grey=True)
    # Floating-point colours may be brighter than white, and only integers are sure to end there.
    with plain_scratch(layer.get_width(), layer.get_height()) as scratch:
        return pixels.read_srgb(copy_into(scratch, layer), over_grey=True)
