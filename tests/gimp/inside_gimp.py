"""Run inside GIMP by ramp_session.py: short names for what the tests' snippets make and read."""

import base64
import hashlib
import json
import struct  # noqa: F401  for the snippets
import zlib

from gi.repository import Babl, Gegl, Gimp  # pyright: ignore[reportMissingImports]

P = Gimp.Precision
RGB, GRAY, INDEXED = Gimp.ImageBaseType.RGB, Gimp.ImageBaseType.GRAY, Gimp.ImageBaseType.INDEXED
_TYPES = {
    (RGB, False): Gimp.ImageType.RGB_IMAGE,
    (RGB, True): Gimp.ImageType.RGBA_IMAGE,
    (GRAY, False): Gimp.ImageType.GRAY_IMAGE,
    (GRAY, True): Gimp.ImageType.GRAYA_IMAGE,
    (INDEXED, False): Gimp.ImageType.INDEXED_IMAGE,
    (INDEXED, True): Gimp.ImageType.INDEXEDA_IMAGE,
}


def pattern(width, height, seed=0):
    """Opaque colours without order."""
    return b"".join(
        bytes(((x * 7 + seed) % 256, (y * 5 + x) % 256, (x * y + 3 * seed) % 256))
        for y in range(height)
        for x in range(width)
    )


def new_image(width=96, height=80, base=RGB, precision=P.U8_NON_LINEAR):
    if base == INDEXED:
        image = Gimp.Image.new(width, height, RGB)
        layer = add_layer(image, "photo", width, height)
        image.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 64, False, False, "")
        return image, layer
    image = Gimp.Image.new_with_precision(width, height, base, precision)
    return image, add_layer(image, "photo", width, height)


def add_layer(image, name, width, height, x=0, y=0, alpha=False, parent=None, data=None, pixel_format="R'G'B' u8"):
    kind = _TYPES[image.get_base_type(), alpha]
    layer = Gimp.Layer.new(image, name, width, height, kind, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(layer, parent, 0)
    layer.set_offsets(x, y)
    write(layer, pixel_format, pattern(width, height) if data is None else data)
    return layer


def write(drawable, pixel_format, data):
    width, height = drawable.get_width(), drawable.get_height()
    buffer = drawable.get_buffer()
    buffer.set(Gegl.Rectangle.new(0, 0, width, height), pixel_format, bytes(data))
    buffer.flush()
    drawable.update(0, 0, width, height)


def read(drawable, pixel_format):
    rectangle = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    return drawable.get_buffer().get(rectangle, 1.0, pixel_format, Gegl.AbyssPolicy.NONE)


def native(drawable):
    """The drawable's bytes as they are; of an indexed one, its colours."""
    name = Babl.get_name(drawable.get_format())
    return read(drawable, "R'G'B'A u8" if "indexed" in name else name)


def colours(drawable):
    """The drawable's colours without its alpha, in its own precision, bit by bit: Babl is not asked to convert."""
    name = Babl.get_name(drawable.get_format())
    if "indexed" in name:
        return read(drawable, "R'G'B' u8")
    pixels = read(drawable, name)
    if not drawable.has_alpha():
        return pixels
    channels = 2 if name.startswith("Y") else 4
    depth = len(pixels) // (drawable.get_width() * drawable.get_height() * channels)
    without = bytearray(len(pixels) // channels * (channels - 1))
    for byte in range((channels - 1) * depth):
        without[byte :: (channels - 1) * depth] = pixels[byte :: channels * depth]
    return bytes(without)


def add_path(image, strokes, name="clicks"):
    """strokes: [(points, closed), ...]; the new path becomes the selected one, as one drawn with the tool does."""
    path = Gimp.Path.new(image, name)
    image.insert_path(path, None, 0)
    for points, closed in strokes:
        controls = [number for x, y in points for number in (x, y) * 3]
        path.stroke_new_from_points(Gimp.PathStrokeType.BEZIER, controls, closed)
    return path


def click(image, *points, name="clicks"):
    return add_path(image, [(points, False)], name)


def run(image, drawables, verb="select", **arguments):
    """Call the plug-in; what it answered, ready for JSON."""
    name = {"select": "plug-in-sama-select", "matte": "plug-in-sama-alpha-matte"}[verb]
    # `call` is what sandbox/repl.py has put into the globals of every snippet.
    return globals()["call"](name, image=image, drawables=drawables, **arguments)


def pack(data):
    return base64.b64encode(zlib.compress(data)).decode()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def fingerprint(image):
    """All that a run could change, as text: equal before and after means untouched."""

    def layer_state(layer):
        mask = layer.get_mask()
        state = [layer.get_name(), list(layer.get_offsets())[1:], layer.get_width(), layer.get_height()]
        state += [layer.has_alpha(), digest(native(layer)), digest(native(mask)) if mask else None]
        return state + [layer_state(child) for child in (layer.get_children() if layer.is_group() else [])]

    parts: list = [[layer_state(layer) for layer in image.get_layers()]]
    parts.append([channel.get_name() for channel in image.get_channels()])
    parts.append([path.get_name() for path in image.get_paths()])
    parts.append(digest(read(image.get_selection(), "Y float")))
    parts.append([layer.get_name() for layer in image.get_selected_layers()])
    return json.dumps(parts)


def clear():
    for image in Gimp.get_images():
        image.delete()
