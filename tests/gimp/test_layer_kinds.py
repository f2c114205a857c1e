"""Every kind of layer that GIMP offers: it works, or it is refused in words and stays as it was."""

from __future__ import annotations

import base64
import zlib

import pytest
from ramp_engine import ramp as ramp_alpha
from ramp_session import RampSession


def unpack(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


@pytest.mark.parametrize(
    ("x", "y", "width", "height"), [(-20, -10, 60, 40), (70, 60, 60, 40), (-30, -20, 200, 150), (5, 7, 20, 10)]
)
def test_a_selection_from_a_layer_of_any_place_and_size(ramp: RampSession, x: int, y: int, width: int, height: int):
    status, selection = ramp.json(f"""
image, _ = new_image()
layer = add_layer(image, "odd", {width}, {height}, {x}, {y})
click(image, ({x} + 25 if {x} < 0 else {x} + 3, {y} + 25 if {y} < 0 else {y} + 3))
answer = run(image, [layer])
print(json.dumps([answer["status"], pack(read(image.get_selection(), "Y u8"))]))
""")
    assert status == "success"
    alpha = ramp_alpha(width, height)
    assert unpack(selection) == bytes(
        alpha[(v - y) * width + u - x] if x <= u < x + width and y <= v < y + height else 0
        for v in range(80)
        for u in range(96)
    )


@pytest.mark.parametrize("precision", ["U8_NON_LINEAR", "U16_LINEAR", "FLOAT_LINEAR", "HALF_NON_LINEAR"])
@pytest.mark.parametrize("source", ["layer", "visible"])
def test_the_engine_sees_transparency_over_grey(ramp: RampSession, precision: str, source: str):
    """What lies under it may be anything, and is not what the user sees."""
    ramp.gimp.run(f"""
image, below = new_image(precision=P.{precision})
below.set_visible(False)
data = bytes((250, 1, 2, x * 255 // 95)[c] for y in range(80) for x in range(96) for c in range(4))
layer = add_layer(image, "fading", 96, 80, alpha=True, data=data, pixel_format="R'G'B'A u8")
click(image, (60, 50))
run(image, [layer], source="{source}")
""")
    seen = (ramp.home / "last-image.rgb").read_bytes()
    for x in range(96):
        alpha = (x * 255 // 95) / 255
        expected = [alpha * value + (1 - alpha) * 128 for value in (250, 1, 2)]
        assert list(seen[3 * (40 * 96 + x) :][:3]) == pytest.approx(expected, abs=1.6)


def test_colours_brighter_than_white_are_white_to_the_engine(ramp: RampSession):
    ramp.gimp.run("""
image, _ = new_image(precision=P.FLOAT_LINEAR)
layer = add_layer(image, "glare", 96, 80, alpha=True)
data = struct.pack("<4f", 9.0, 9.0, 9.0, 0.75) * (96 * 80)
write(layer, "RGBA float", data)
click(image, (60, 50))
run(image, [layer])
""")
    seen = (ramp.home / "last-image.rgb").read_bytes()
    assert set(seen) <= {222, 223, 224}


def test_an_opaque_layer_with_alpha_is_read_as_it_is(ramp: RampSession):
    sent = ramp.json("""
image, _ = new_image()
layer = add_layer(image, "opaque", 96, 80, alpha=True)
layer.set_opacity(30.0)
layer.set_visible(False)
click(image, (60, 50))
run(image, [layer])
print(json.dumps(pack(pattern(96, 80))))
""")
    assert (ramp.home / "last-image.rgb").read_bytes() == unpack(sent)


def test_colours_are_converted_from_the_images_profile(ramp: RampSession):
    seen = ramp.json("""
image = Gimp.Image.new(4, 4, RGB)
image.set_color_profile(Gimp.ColorProfile.new_rgb_adobe())
layer = add_layer(image, "adobe", 4, 4, data=b"\\0" * 48)
write(layer, Babl.get_name(layer.get_format()), bytes((200, 30, 60)) * 16)
click(image, (2, 2))
seen = []
for source in ("layer", "visible"):
    run(image, [layer], source=source)
    seen.append(list(open(os.environ["SAMA_HOME"] + "/last-image.rgb", "rb").read()[:3]))
print(json.dumps(seen))
""")
    assert seen[0] == [233, 24, 58]
    assert all(abs(a - b) <= 2 for a, b in zip(*seen, strict=True))


GROUP = """
image, photo = new_image()
group = Gimp.GroupLayer.new(image, "group")
image.insert_layer(group, None, 0)
child = add_layer(image, "child", 60, 40, -5, 8, parent=group)
other = add_layer(image, "other", 20, 20, 50, 40, parent=group, data=bytes((1, 2, 3)) * 400)
click(image, (20, 20))
"""


def test_a_group_gets_a_mask(ramp: RampSession):
    status, size, mask = ramp.json(
        GROUP
        + """
answer = run(image, [group], "matte")
print(json.dumps([answer["status"], [group.get_width(), group.get_height()], pack(read(group.get_mask(), "Y u8"))]))
"""
    )
    assert (status, size) == ("success", [75, 52])
    assert unpack(mask) == ramp_alpha(75, 52)


def test_a_group_is_cut_out_as_one_new_layer(ramp: RampSession):
    status, names, is_group, frame, colour, children = ramp.json(
        GROUP
        + """
answer = run(image, [group], "matte", output="new-layer", decontaminate=False)
new = image.get_layers()[0]
colour = list(read(new, "R'G'B' u8")[3 * (40 * 75 + 60):][:3])
names = [item.get_name() for item in image.get_layers()]
frame = [new.get_width(), new.get_height(), *list(new.get_offsets())[1:]]
print(json.dumps([answer["status"], names, new.is_group(), frame, colour, len(group.get_children())]))
"""
    )
    assert (status, is_group, children) == ("success", False, 2)
    assert names == ["group cut-out", "group", "photo"]
    assert frame == [75, 52, -5, 8]
    assert colour == [1, 2, 3]


def test_a_text_layer_gets_a_mask_and_stays_text(ramp: RampSession):
    status, is_text, mask, size = ramp.json("""
image, _ = new_image()
text = Gimp.TextLayer.new(image, "Hair", Gimp.context_get_font(), 40, Gimp.Unit.pixel())
image.insert_layer(text, None, 0)
click(image, (10, 10))
answer = run(image, [text], "matte")
print(json.dumps([answer["status"], text.is_text_layer(), pack(read(text.get_mask(), "Y u8")),
                  [text.get_width(), text.get_height()]]))
""")
    assert (status, is_text) == ("success", True)
    assert unpack(mask) == ramp_alpha(*size)
    seen = (ramp.home / "last-image.rgb").read_bytes()
    assert len(set(seen)) > 2, "letters and ground must differ"


def test_the_layer_of_an_active_mask_is_meant(ramp: RampSession):
    status, mask = ramp.json("""
image, layer = new_image()
mask = layer.create_mask(Gimp.AddMaskType.WHITE)
layer.add_mask(mask)
click(image, (10, 10))
answer = run(image, [mask], "matte", existing_mask="replace")
print(json.dumps([answer["status"], pack(read(layer.get_mask(), "Y u8"))]))
""")
    assert status == "success"
    assert unpack(mask) == ramp_alpha(96, 80)


@pytest.mark.parametrize("lock", ["set_lock_content", "set_lock_position", "set_lock_visibility", "set_lock_alpha"])
def test_a_locked_layer_can_be_masked_and_cut_out(ramp: RampSession, lock: str):
    statuses, original_kept = ramp.json(f"""
image, layer = new_image()
layer.{lock}(True)
click(image, (10, 10))
before = native(layer)
statuses = [run(image, [layer], "matte", output=output)["status"] for output in ("new-layer", "layer-mask")]
print(json.dumps([statuses, native(layer) == before]))
""")
    assert statuses == ["success", "success"]
    assert original_kept


REFUSED = [
    ("layer.set_lock_content(True)", "[layer]", "output='alpha'", "pixels of “photo” are locked"),
    ("layer.set_lock_alpha(True)", "[layer]", "output='alpha'", "alpha of “photo” is locked"),
    (GROUP + "group.set_lock_content(True)", "[child]", "output='alpha'", "pixels of “group” are locked"),
    (GROUP, "[group]", "output='alpha'", "is a layer group"),
    ("layer = add_layer(image, 'far', 20, 20, 300, 300)", "[layer]", "source='visible'", "outside the picture"),
    ("other = add_layer(image, 'two', 20, 20)", "[layer, other]", "", "2 layers are selected"),
    ("pass", "[]", "", "No layer is selected"),
    ("channel = Gimp.Channel.new(image, 'c', 9, 9, 100, Gegl.Color.new('red')); image.insert_channel(channel, None, 0)",
     "[channel]", "", "A channel is selected"),
    ("other, foreign = new_image()", "[foreign]", "", "another image"),
    ("layer = add_layer(image, 'void', 90, 70, alpha=True, data=bytes(90 * 70 * 4), pixel_format=\"R'G'B'A u8\")",
     "[layer]", "", "all of it is transparent"),
    ("image.select_rectangle(2, 2, 2, 20, 20); Gimp.Selection.float(image, [layer], 3, 3)",
     "[layer]", "", "floating selection"),
]  # fmt: skip


@pytest.mark.parametrize(("setup", "drawables", "arguments", "error"), REFUSED)
def test_a_matte_that_cannot_be_is_refused_in_words(
    ramp: RampSession, setup: str, drawables: str, arguments: str, error: str
):
    answer, untouched = ramp.json(f"""
image, layer = new_image()
click(image, (10, 10))
{setup}
before = fingerprint(image)
answer = run(image, {drawables}, "matte", {arguments})
print(json.dumps([answer, before == fingerprint(image)]))
""")
    assert answer["status"] == "calling_error"
    assert error in answer["error"]
    assert untouched
    assert ramp.requests() == []


def test_a_selection_off_the_canvas_is_refused(ramp: RampSession):
    answer = ramp.json("""
image, _ = new_image()
layer = add_layer(image, "far", 20, 20, 300, 300)
click(image, (310, 310))
print(json.dumps(run(image, [layer])))
""")
    assert answer["status"] == "calling_error"
    assert "outside the canvas" in answer["error"]


def test_an_image_without_layers_is_refused(ramp: RampSession):
    answer = ramp.json("""
image = Gimp.Image.new(30, 30, RGB)
click(image, (10, 10))
print(json.dumps(run(image, [])))
""")
    assert answer["status"] == "calling_error"
    assert "no layer" in answer["error"]


def test_a_layer_of_one_pixel(ramp: RampSession):
    status, mask = ramp.json("""
image, _ = new_image()
layer = add_layer(image, "dot", 1, 1, 5, 5)
click(image, (5.5, 5.5))
answer = run(image, [layer], "matte")
print(json.dumps([answer["status"], list(read(layer.get_mask(), "Y u8"))]))
""")
    assert (status, mask) == ("success", [0])


def test_the_visible_picture_needs_no_layer_selected(ramp: RampSession):
    status, selection = ramp.json("""
image, layer = new_image()
add_layer(image, "two", 20, 20)
click(image, (50, 50))
answer = run(image, image.get_layers(), source="visible")
print(json.dumps([answer["status"], pack(read(image.get_selection(), "Y u8"))]))
""")
    assert status == "success"
    assert unpack(selection) == ramp_alpha(96, 80)


def test_reading_leaves_no_image_behind(ramp: RampSession):
    counts = ramp.json(
        GROUP
        + """
counts = [len(Gimp.get_images())]
for source, output in (("layer", "layer-mask"), ("visible", "new-layer"), ("layer", "new-layer")):
    run(image, [group], "matte", source=source, output=output, existing_mask="intersect")
    counts.append(len(Gimp.get_images()))
print(json.dumps(counts))
"""
    )
    assert counts == [1, 1, 1, 1]
