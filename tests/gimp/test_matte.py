"""Layer → Add SAMA Alpha Matte in real GIMP, with an engine whose answer is known byte by byte."""

from __future__ import annotations

import array
import base64
import zlib

import pytest
from ramp_engine import foreground as ramp_foreground
from ramp_engine import ramp as ramp_alpha
from ramp_session import RampSession
from test_select import KINDS


def unpack(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def pack(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def values(data: bytes, precision: str) -> array.array:
    """The numbers in native pixels; halves come as their bits, in which neighbours differ by one."""
    codes = {"U8": "B", "U16": "H", "U32": "I", "HALF": "H", "FLOAT": "f", "DOUBLE": "d"}
    return array.array(codes[precision.split("_")[0]], data)


@pytest.mark.parametrize(("base", "precision"), KINDS)
def test_a_layer_mask_reads_back_byte_exact_at_a_negative_offset(ramp: RampSession, base: str, precision: str):
    status, mask, offsets = ramp.json(f"""
image, layer = new_image(300, 200, base={base}, precision=P.{precision})
layer.set_offsets(-17, 23)
click(image, (150.5, 90.25))
answer = run(image, [layer], "matte")
mask = layer.get_mask()
print(json.dumps([answer["status"], pack(read(mask, "Y u8")), list(mask.get_offsets())[1:]]))
""")
    assert (status, offsets) == ("success", [-17, 23])
    assert unpack(mask) == ramp_alpha(300, 200)
    assert ramp.requests()[0]["points"] == [[167.5, 67.25]]


@pytest.mark.parametrize(("base", "precision"), KINDS)
def test_alpha_equals_the_engines_answer_and_colours_stay(ramp: RampSession, base: str, precision: str):
    status, alpha, colours_kept, mask = ramp.json(f"""
image, layer = new_image(300, 200, base={base}, precision=P.{precision})
before = colours(layer)
click(image, (150, 90))
answer = run(image, [layer], "matte", output="alpha")
same = colours(layer) == before
print(json.dumps([answer["status"], pack(read(layer, "A u8")), same, layer.get_mask() is not None]))
""")
    assert (status, colours_kept, mask) == ("success", True, False)
    assert unpack(alpha) == ramp_alpha(300, 200)


@pytest.mark.parametrize("output", ["layer-mask", "alpha", "new-layer"])
def test_an_existing_mask_is_refused_by_default_before_the_engine_is_asked(ramp: RampSession, output: str):
    answer, untouched = ramp.json(f"""
image, layer = new_image()
layer.add_mask(layer.create_mask(Gimp.AddMaskType.BLACK))
click(image, (50, 50))
before = fingerprint(image)
answer = run(image, [layer], "matte", output="{output}")
print(json.dumps([answer, before == fingerprint(image)]))
""")
    if output == "new-layer":
        assert answer["status"] == "success", "a new layer does not touch the old one's mask"
        return
    assert answer["status"] == "calling_error"
    assert "has a mask already" in answer["error"]
    assert untouched
    assert ramp.requests() == []


MASKED = """
image, layer = new_image(300, 200, precision=P.{precision})
mask = layer.create_mask(Gimp.AddMaskType.WHITE)
old = bytes((2 * x + y) % 256 for y in range(200) for x in range(300))
write(mask, "Y u8", old)
layer.add_mask(mask)
layer.set_apply_mask(False)
click(image, (150, 90))
answer = run(image, [layer], "matte", output="{output}", existing_mask="{existing}")
"""
OLD = bytes((2 * x + y) % 256 for y in range(200) for x in range(300))


def product(first: bytes, second: bytes) -> bytes:
    return bytes((2 * a * b + 255) // 510 for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("precision", ["U8_NON_LINEAR", "U16_NON_LINEAR", "FLOAT_LINEAR"])
@pytest.mark.parametrize("existing", ["replace", "intersect"])
def test_an_existing_mask_is_replaced_or_multiplied(ramp: RampSession, precision: str, existing: str):
    code = MASKED.format(precision=precision, output="layer-mask", existing=existing)
    mask, applied = ramp.json(
        code + 'print(json.dumps([pack(read(layer.get_mask(), "Y u8")), layer.get_apply_mask()]))'
    )
    new = ramp_alpha(300, 200)
    assert unpack(mask) == (new if existing == "replace" else product(OLD, new))
    assert applied is False, "the mask was switched off before"


@pytest.mark.parametrize("precision", ["U8_NON_LINEAR", "U16_NON_LINEAR", "FLOAT_LINEAR"])
@pytest.mark.parametrize("existing", ["replace", "intersect"])
def test_alpha_drops_or_applies_an_existing_mask(ramp: RampSession, precision: str, existing: str):
    code = MASKED.format(precision=precision, output="alpha", existing=existing)
    alpha, mask = ramp.json(code + 'print(json.dumps([pack(read(layer, "A u8")), layer.get_mask() is not None]))')
    new = ramp_alpha(300, 200)
    assert unpack(alpha) == (new if existing == "replace" else product(OLD, new))
    assert mask is False


@pytest.mark.parametrize(("base", "precision"), [kind for kind in KINDS if kind[0] != "INDEXED"])
def test_a_new_layer_has_the_matte_and_decontaminated_edges(ramp: RampSession, base: str, precision: str):
    status, names, places, alpha, got, was, found, kept = ramp.json(f"""
image, layer = new_image(300, 200, base={base}, precision=P.{precision})
layer.set_offsets(-17, 23)
before = native(layer)
click(image, (150, 90))
answer = run(image, [layer], "matte", output="new-layer")
names = [item.get_name() for item in image.get_layers()]
new = image.get_layers()[0]
foreground = zlib.decompress(base64.b64decode("{pack(ramp_foreground(300, 200))}"))
expected = add_layer(image, "expected", 300, 200, data=foreground)
print(json.dumps([answer["status"], names, list(new.get_offsets())[1:], pack(read(new, "A u8")), pack(colours(new)),
                  pack(colours(layer)), pack(colours(expected)), native(layer) == before]))
""")
    assert (status, names, places, kept) == ("success", ["photo cut-out", "photo"], [-17, 23], True)
    matte = ramp_alpha(300, 200)
    assert unpack(alpha) == matte
    got, was, found = (values(unpack(text), precision) for text in (got, was, found))
    channels = len(got) // (300 * 200)
    wrong = 0.0
    for pixel, covered in enumerate(matte):
        # Where nothing shows, colour means nothing.
        if covered > 0:
            expected = was if covered == 255 else found
            for i in range(pixel * channels, (pixel + 1) * channels):
                wrong = max(wrong, abs(got[i] - expected[i]))
    # GIMP merges in float, and which way its conversions round depends on the processor's instructions (babl picks
    # among several): anything wider than eight bits may change in its last places.
    slack = {"U8": 0, "U16": 1, "U32": 512}.get(precision.partition("_")[0], 1e-6)
    assert wrong <= slack


def test_without_decontamination_the_new_layer_keeps_its_colours(ramp: RampSession):
    same = ramp.json("""
image, layer = new_image(300, 200, precision=P.FLOAT_LINEAR)
click(image, (150, 90))
run(image, [layer], "matte", output="new-layer", decontaminate=False)
print(json.dumps(read(image.get_layers()[0], "RGB float") == read(layer, "RGB float")))
""")
    assert same
    assert "decontaminate" not in ramp.requests()[0]


def test_a_new_layer_of_a_translucent_one_shows_no_grey(ramp: RampSession):
    """The engine sees transparency over grey; that grey must not come back as a colour."""
    alpha, colours, was = ramp.json("""
image, _ = new_image()
data = bytes((x * 2, y * 3, 9, 128 if x < 48 else 255)[c] for y in range(80) for x in range(96) for c in range(4))
layer = add_layer(image, "soft", 96, 80, alpha=True, data=data, pixel_format="R'G'B'A u8")
click(image, (50, 50))
run(image, [layer], "matte", output="new-layer")
new = image.get_layers()[0]
print(json.dumps([pack(read(new, "A u8")), pack(read(new, "R'G'B' u8")), pack(read(layer, "R'G'B' u8"))]))
""")
    old = bytes(128 if x < 48 else 255 for y in range(80) for x in range(96))
    assert unpack(alpha) == product(old, ramp_alpha(96, 80))
    got, original, found = unpack(colours), unpack(was), ramp_foreground(96, 80)
    left, right = 3 * (10 * 96 + 20), 3 * (10 * 96 + 70)
    assert got[left : left + 3] == original[left : left + 3]
    assert got[right : right + 3] == found[right : right + 3]


def test_a_new_layer_takes_over_the_old_ones_mask_and_leaves_it_alone(ramp: RampSession):
    code = MASKED.format(precision="U8_NON_LINEAR", output="new-layer", existing="refuse")
    alpha, kept = ramp.json(code + 'print(json.dumps([pack(read(image.get_layers()[0], "A u8")), '
                            'pack(read(layer.get_mask(), "Y u8"))]))')  # fmt: skip
    assert unpack(alpha) == product(OLD, ramp_alpha(300, 200))
    assert unpack(kept) == OLD


def test_a_new_layer_from_the_visible_picture_shows_that_picture(ramp: RampSession):
    names, colour, alpha = ramp.json("""
image, layer = new_image(64, 48)
add_layer(image, "patch", 20, 20, 10, 10, data=bytes((1, 2, 3)) * 400)
click(image, (50, 40))
run(image, [layer], "matte", output="new-layer", source="visible", decontaminate=False)
new = next(item for item in image.get_layers() if "cut-out" in item.get_name())
names = [item.get_name() for item in image.get_layers()]
print(json.dumps([names, list(read(new, "R'G'B' u8")[3 * (15 * 64 + 15):][:3]),
                  pack(read(new, "A u8"))]))
""")
    assert names == ["patch", "Visible cut-out", "photo"]
    assert colour == [1, 2, 3]
    assert unpack(alpha) == ramp_alpha(64, 48)


def test_a_visible_matte_is_cut_to_the_layer(ramp: RampSession):
    mask = ramp.json("""
image, _ = new_image(64, 48)
layer = add_layer(image, "odd", 50, 40, -10, 20)
click(image, (30, 30))
run(image, [layer], "matte", source="visible")
print(json.dumps(pack(read(layer.get_mask(), "Y u8"))))
""")
    canvas = ramp_alpha(64, 48)
    assert unpack(mask) == bytes(
        canvas[(y + 20) * 64 + x - 10] if x >= 10 and y + 20 < 48 else 0 for y in range(40) for x in range(50)
    )


def test_notes_reach_the_caller(ramp: RampSession):
    values = ramp.json("""
image, layer = new_image(base=INDEXED)
click(image, (30, 30))
print(json.dumps(run(image, [layer], "matte", output="alpha")["values"]))
""")
    assert values[0] == 0.75
    assert "indexed image" in values[1]
    assert "A ramp." in values[1]
