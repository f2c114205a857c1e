"""Filters → SAMA Select in real GIMP, with an engine whose answer is known byte by byte."""

from __future__ import annotations

import base64
import zlib
from itertools import pairwise

import pytest
from ramp_engine import ramp as ramp_alpha
from ramp_session import RampSession

PRECISIONS = ["U8_NON_LINEAR", "U8_LINEAR", "U16_NON_LINEAR", "U16_LINEAR", "U32_LINEAR", "HALF_NON_LINEAR"]
PRECISIONS += ["HALF_LINEAR", "FLOAT_LINEAR", "FLOAT_NON_LINEAR", "DOUBLE_LINEAR"]
KINDS = [("RGB", precision) for precision in PRECISIONS]
KINDS += [("GRAY", "U8_NON_LINEAR"), ("GRAY", "U16_NON_LINEAR"), ("GRAY", "FLOAT_LINEAR"), ("INDEXED", "U8_NON_LINEAR")]


def unpack(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def steepest_step(values: bytes, width: int) -> int:
    """The largest difference between neighbours in a row."""
    rows = [values[start : start + width] for start in range(0, len(values), width)]
    return max(abs(a - b) for row in rows for a, b in pairwise(row))


@pytest.mark.parametrize(("base", "precision"), KINDS)
def test_a_soft_selection_reads_back_byte_exact(ramp: RampSession, base: str, precision: str):
    answer = ramp.json(f"""
image, layer = new_image(300, 200, base={base}, precision=P.{precision})
click(image, (150.5, 90.25))
answer = run(image, [layer])
print(json.dumps([answer, pack(read(image.get_selection(), "Y u8"))]))
""")
    assert answer[0] == {"status": "success", "error": "", "values": [0.75, "A ramp."]}
    assert unpack(answer[1]) == ramp_alpha(300, 200)


def test_the_request_says_what_the_user_drew(ramp: RampSession):
    ramp.gimp.run("""
image, layer = new_image()
click(image, (20, 30), (60.5, 40.25))
click(image, (5, 5), name="Exclude these")
run(image, [layer])
""")
    (request,) = ramp.requests()
    assert request["points"] == [[20, 30], [60.5, 40.25], [5, 5]]
    assert request["labels"] == [1, 1, 0]
    assert "box" not in request
    assert "mask" not in request
    assert (request["verb"], request["model"], request["size"]) == ("select", "lite", [96, 80])


def test_the_engine_sees_the_layers_colours(ramp: RampSession):
    sent = ramp.json("""
image, layer = new_image()
click(image, (20, 30))
run(image, [layer])
print(json.dumps(pack(pattern(96, 80))))
""")
    assert (ramp.home / "last-image.rgb").read_bytes() == unpack(sent)


def test_a_second_click_uploads_nothing(ramp: RampSession):
    code = """
image, layer = new_image(70, 64)
click(image, (20, 30))
run(image, [layer])
"""
    ramp.gimp.run(code)
    before = ramp.stats()
    ramp.gimp.run("click(image, (30, 35), (40, 40)); run(image, [layer])")
    after = ramp.stats()
    assert (after["jobs"], after["uploads"]) == (before["jobs"] + 1, before["uploads"])


def test_a_closed_stroke_is_a_region(ramp: RampSession):
    ramp.gimp.run("""
image, layer = new_image()
add_path(image, [([(10, 10), (70, 20), (40, 60)], True), ([(40, 30)], False)])
run(image, [layer])
""")
    (request,) = ramp.requests()
    assert request["points"] == [[40, 30]]
    assert request["box"] == pytest.approx([10, 10, 70, 60])
    mask = (ramp.home / "last-mask.bin").read_bytes()
    assert len(mask) == 96 * 80
    assert mask[30 * 96 + 40] == 255
    assert mask[55 * 96 + 20] == 0
    assert mask.count(255) == pytest.approx(0.5 * (60 * 50 - 30 * 10), rel=0.02)


def test_a_closed_rectangle_is_a_box_without_a_mask(ramp: RampSession):
    ramp.gimp.run("""
image, layer = new_image()
add_path(image, [([(10, 12), (70, 12), (70, 60), (10, 60)], True)])
run(image, [layer])
""")
    (request,) = ramp.requests()
    assert request["box"] == [10, 12, 70, 60]
    assert "mask" not in request
    assert "points" not in request


def test_a_rectangular_selection_is_a_box(ramp: RampSession):
    ramp.gimp.run("""
image, layer = new_image()
image.select_rectangle(Gimp.ChannelOps.REPLACE, 8, 9, 30, 20)
run(image, [layer])
""")
    (request,) = ramp.requests()
    assert request["box"] == [8, 9, 38, 29]
    assert "mask" not in request


def test_another_selection_is_box_and_mask(ramp: RampSession):
    expected = ramp.json("""
image, layer = new_image()
image.select_ellipse(Gimp.ChannelOps.REPLACE, 8, 9, 30, 20)
before = read(image.get_selection(), "Y u8")
run(image, [layer])
print(json.dumps(pack(before)))
""")
    (request,) = ramp.requests()
    assert request["box"] == [8, 9, 38, 29]
    mask = (ramp.home / "last-mask.bin").read_bytes()
    assert mask == bytes(255 if value > 127 else 0 for value in unpack(expected))


def test_with_clicks_the_selection_is_not_a_prompt(ramp: RampSession):
    """After a first run it is the previous answer, which the new click is meant to correct."""
    ramp.gimp.run("""
image, layer = new_image()
image.select_ellipse(Gimp.ChannelOps.REPLACE, 8, 9, 30, 20)
click(image, (50, 50))
run(image, [layer])
""")
    (request,) = ramp.requests()
    assert request["points"] == [[50, 50]]
    assert "box" not in request
    assert "mask" not in request


def test_selection_and_exclude_clicks_go_together(ramp: RampSession):
    ramp.gimp.run("""
image, layer = new_image()
image.select_rectangle(Gimp.ChannelOps.REPLACE, 8, 9, 30, 20)
run(image, [layer], exclude_path=click(image, (12, 12), name="not this"))
""")
    (request,) = ramp.requests()
    assert request["box"] == [8, 9, 38, 29]
    assert (request["points"], request["labels"]) == ([[12, 12]], [0])


def test_the_include_path_argument_wins_over_the_selected_path(ramp: RampSession):
    ramp.gimp.run("""
image, layer = new_image()
meant = click(image, (11, 12), name="meant")
click(image, (50, 50), name="selected")
run(image, [layer], include_path=meant)
""")
    assert ramp.requests()[0]["points"] == [[11, 12]]


def test_repeated_clicks_on_a_pixel_count_once(ramp: RampSession):
    ramp.gimp.run("""
image, layer = new_image()
click(image, (11.1, 12.2), (11.1, 12.2), (11.6, 12.7), (40, 40))
run(image, [layer])
""")
    assert ramp.requests()[0]["points"] == [[11.1, 12.2], [40, 40]]


OPERATIONS = {
    "replace": lambda old, new: new,
    "add": max,
    "subtract": lambda old, new: min(old, 255 - new),
    "intersect": min,
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_meet_the_selection_as_gimps_own_do(ramp: RampSession, operation: str):
    answer, after, left = ramp.json(f"""
image, layer = new_image(300, 200)
image.select_rectangle(Gimp.ChannelOps.REPLACE, 30, 20, 100, 90)
click(image, (150, 90))
answer = run(image, [layer], operation="{operation}")
left = [channel.get_name() for channel in image.get_channels()]
print(json.dumps([answer["status"], pack(read(image.get_selection(), "Y u8")), left]))
""")
    assert (answer, left) == ("success", [])
    new, combine = ramp_alpha(300, 200), OPERATIONS[operation]
    old = [255 if 30 <= x < 130 and 20 <= y < 110 else 0 for y in range(200) for x in range(300)]
    assert unpack(after) == bytes(combine(was, is_) for was, is_ in zip(old, new, strict=True))


def test_feather_softens_and_the_users_own_feather_setting_does_not(ramp: RampSession):
    plain, feathered, setting = ramp.json("""
Gimp.context_set_feather(True)
Gimp.context_set_feather_radius(9, 9)
results = []
for feather in (0.0, 12.0):
    image, layer = new_image(300, 200)
    click(image, (150, 90))
    run(image, [layer], feather=feather)
    results.append(pack(read(image.get_selection(), "Y u8")))
results.append([Gimp.context_get_feather(), *Gimp.context_get_feather_radius()[1:]])
Gimp.context_set_feather(False)
print(json.dumps(results))
""")
    assert unpack(plain) == ramp_alpha(300, 200)
    assert steepest_step(unpack(plain), 300) == 255
    assert steepest_step(unpack(feathered), 300) < 60
    assert setting == [True, 9.0, 9.0]


@pytest.mark.parametrize(
    ("setup", "arguments", "error"),
    [
        ("pass", "", "Path tool"),
        ("click(image, (5, 5), name='exclude')", "", "only exclude clicks"),
        ("click(image, (5, 5), (200, 5), (5, -3))", "", "2 of 3 clicks lie outside the layer “photo”"),
        ("click(image, *((x, y) for x in range(20) for y in range(20)))", "", "400 clicks are too many"),
        ("add_path(image, [([(200, 200), (250, 200), (220, 250)], True)])", "", "closed stroke lies outside"),
        ("image.select_rectangle(2, 8, 9, 30, 20)", "use_selection=False", "nothing to go on"),
        ("other, _ = new_image()", "include_path=click(other, (5, 5))", "belongs to another image"),
        ("click(image, (5, 5))", "model='huge'", "There is no such model"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(ramp: RampSession, setup: str, arguments: str, error: str):
    answer, untouched = ramp.json(f"""
image, layer = new_image()
{setup}
before = fingerprint(image)
answer = run(image, [layer], {arguments})
print(json.dumps([answer, before == fingerprint(image)]))
""")
    assert answer["status"] == "calling_error"
    assert error in answer["error"]
    assert untouched


def test_a_run_leaves_only_the_selection_behind(ramp: RampSession):
    before, after, active = ramp.json("""
image, layer = new_image()
click(image, (50, 50))
before = json.loads(fingerprint(image))
run(image, [layer])
after = json.loads(fingerprint(image))
print(json.dumps([before, after, [item.get_name() for item in image.get_selected_drawables()]]))
""")
    assert before[3] != after[3]
    assert before[:3] + before[4:] == after[:3] + after[4:]
    assert active == ["photo"]


def test_a_run_with_last_values_uses_the_images_own_paths(ramp: RampSession):
    ramp.gimp.run("""
image, layer = new_image()
foreign, _ = new_image()
other = click(foreign, (9, 9))
click(image, (50, 40))
run(image, [layer], include_path=other, run_mode=Gimp.RunMode.WITH_LAST_VALS)
""")
    assert ramp.requests()[-1]["points"] == [[50, 40]]


def test_a_picture_beyond_the_engines_cap_is_refused_before_it_is_read(ramp: RampSession):
    answer = ramp.json("""
image = Gimp.Image.new(60001, 2, RGB)
layer = add_layer(image, "long", 60001, 2, data=bytes(60001 * 6))
click(image, (5, 1))
print(json.dumps(run(image, [layer])))
""")
    assert answer["status"] == "calling_error"
    assert "too large with 60001×2 pixels" in answer["error"]
    assert ramp.requests() == []
