"""Running Matte again: it starts from the same picture, and puts its own result in place of the earlier one."""

from __future__ import annotations

import pytest
from ramp_engine import ramp as ramp_alpha
from ramp_session import RampSession
from test_matte import OLD, product, unpack
from test_select import KINDS

OUTPUTS = ["layer-mask", "alpha", "new-layer"]
#: again(): run once more with one click more, as in the window: on what is selected. Notes the picture that was seen.
AGAIN = """
seen, answers = [], []
def again(image, more=None, path=None, drawables=None, **arguments):
    if more:
        image.get_paths()[0].stroke_new_from_points(Gimp.PathStrokeType.BEZIER, list(more) * 3, False)
    answers.append(run(image, drawables or image.get_selected_drawables(), "matte", **arguments))
    seen.append(digest(open(os.environ["SAMA_HOME"] + "/last-image.rgb", "rb").read()))
    return answers[-1]
def holder(image):
    top = image.get_layers()[0]
    return read(top.get_mask(), "Y u8") if top.get_mask() else read(top, "R'G'B'A u8")[3::4]
def state(image):
    names = [layer.get_name() for layer in image.get_layers()]
    print(json.dumps([[answer["status"] for answer in answers], [answer["error"] for answer in answers],
                      len(set(seen)), pack(holder(image)), names]))
"""


def check(outcome, names: list[str], runs: int = 2, alpha: bytes = b"") -> None:
    statuses, errors, pictures, found, found_names = outcome
    assert statuses == ["success"] * runs, errors
    assert pictures == 1, "the same picture is looked at"
    assert unpack(found) == (alpha or ramp_alpha(96, 80))
    assert found_names == names


def named(output: str) -> list[str]:
    return ["photo cut-out", "photo"] if output == "new-layer" else ["photo"]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("source", ["layer", "visible"])
def test_more_fewer_and_other_clicks(ramp: RampSession, output: str, source: str):
    names = ["Visible cut-out", "photo"] if (source, output) == ("visible", "new-layer") else named(output)
    outcome = ramp.json(
        AGAIN
        + f"""
image, layer = new_image()
click(image, (50, 40), (10, 60))
arguments = dict(output="{output}", source="{source}")
again(image, **arguments)
again(image, (10, 70), **arguments)
image.remove_path(image.get_paths()[0])
click(image, (50, 40))
again(image, **arguments)
image.remove_path(image.get_paths()[0])
click(image, (80, 5))
again(image, **arguments)
state(image)
"""
    )
    check(outcome, names, 4)
    assert [len(request["points"]) for request in ramp.requests()] == [2, 3, 1, 1]
    assert ramp.stats()["uploads"] >= 1


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    "meanwhile",
    [
        """file = Gio.File.new_for_path(os.environ["SAMA_HOME"] + "/again.xcf")
Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
image.set_selected_paths(image.get_paths())""",
        "image = image.duplicate(); image.set_selected_paths(image.get_paths())",
        "[layer.set_offsets(3, 4) for layer in image.get_layers()]",
        "image.convert_precision(P.FLOAT_LINEAR)",
        "image.select_rectangle(Gimp.ChannelOps.REPLACE, 30, 20, 10, 9)",
    ],
)
def test_also_after_saving_duplicating_moving(ramp: RampSession, output: str, meanwhile: str):
    outcome = ramp.json(
        AGAIN
        + f"""
image, layer = new_image()
click(image, (50, 40))
again(image, output="{output}")
{meanwhile}
again(image, (10, 70), output="{output}")
state(image)
"""
    )
    check(outcome, named(output))


def test_a_duplicate_of_a_layer_is_run_again_by_itself(ramp: RampSession):
    outcome = ramp.json(
        AGAIN
        + """
image, layer = new_image()
click(image, (50, 40))
again(image, output="alpha")
copy = layer.copy()
image.insert_layer(copy, None, 0)
again(image, drawables=[copy], output="alpha")
state(image)
"""
    )
    check(outcome, ["photo copy", "photo"])


@pytest.mark.parametrize("first", OUTPUTS[:2])
@pytest.mark.parametrize("second", OUTPUTS)
def test_another_output_starts_from_the_same_picture(ramp: RampSession, first: str, second: str):
    outcome = ramp.json(
        AGAIN
        + f"""
image, layer = new_image()
click(image, (50, 40))
again(image, output="{first}")
again(image, (10, 70), output="{second}")
if "{second}" == "layer-mask":
    assert not layer.has_alpha(), "the mask alone says what shows"
if "{second}" == "alpha":
    assert layer.get_mask() is None
state(image)
"""
    )
    check(outcome, named(second))


@pytest.mark.parametrize(("base", "precision"), KINDS)
def test_colours_are_as_they_were_after_many_runs(ramp: RampSession, base: str, precision: str):
    outcome, same = ramp.json(
        AGAIN
        + f"""
image, layer = new_image(base={base}, precision=P.{precision})
before = colours(layer)
click(image, (50, 40))
for _ in range(3):
    again(image, output="alpha")
print(json.dumps([[[answer["status"] for answer in answers], "", len(set(seen)), pack(holder(image)),
                  ["photo"]], colours(layer) == before]))
"""
    )
    check(outcome, ["photo"], 3)
    assert same


@pytest.mark.parametrize("precision", ["U8_NON_LINEAR", "U16_NON_LINEAR", "FLOAT_NON_LINEAR", "U16_LINEAR"])
def test_the_same_picture_is_seen_under_a_colour_profile(ramp: RampSession, precision: str):
    outcome = ramp.json(
        AGAIN
        + f"""
image, layer = new_image(precision=P.{precision})
image.set_color_profile(Gimp.ColorProfile.new_rgb_adobe())
click(image, (50, 40))
for _ in range(3):
    again(image, output="alpha")
state(image)
"""
    )
    check(outcome, ["photo"], 3)


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_translucent_layer_keeps_its_own_alpha(ramp: RampSession, output: str):
    outcome = ramp.json(
        AGAIN
        + f"""
image = Gimp.Image.new(96, 80, RGB)
data = bytes((x * 2, y * 3, 9, 128 if x < 48 else 255)[c] for y in range(80) for x in range(96) for c in range(4))
layer = add_layer(image, "photo", 96, 80, alpha=True, data=data, pixel_format="R'G'B'A u8")
click(image, (50, 40))
for _ in range(3):
    again(image, output="{output}")
state(image)
"""
    )
    old = bytes(128 if x < 48 else 255 for y in range(80) for x in range(96))
    alpha = ramp_alpha(96, 80) if output == "layer-mask" else product(old, ramp_alpha(96, 80))
    check(outcome, named(output), 3, alpha)


MASKED = """
image, layer = new_image(300, 200)
mask = layer.create_mask(Gimp.AddMaskType.WHITE)
write(mask, "Y u8", bytes((2 * x + y) % 256 for y in range(200) for x in range(300)))
layer.add_mask(mask)
click(image, (150, 90))
"""


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("second", ["refuse", "intersect", "replace"])
def test_the_users_own_mask_takes_part_once(ramp: RampSession, output: str, second: str):
    outcome = ramp.json(
        AGAIN
        + MASKED
        + f"""
again(image, output="{output}", existing_mask="intersect")
again(image, (10, 70), output="{output}", existing_mask="{second}")
state(image)
"""
    )
    new = ramp_alpha(300, 200)
    check(outcome, named(output), 2, new if second == "replace" else product(OLD, new))


PAINTED = """
image, layer = new_image()
click(image, (50, 40))
again(image, output="{output}")
{paint}
before = fingerprint(image)
answer = again(image, output="{output}", existing_mask="{existing}")
print(json.dumps([answer["status"], answer["error"], before == fingerprint(image), list(holder(image)[:2])]))
"""
PAINT = {
    "layer-mask": "mask = layer.get_mask(); data = bytearray(read(mask, 'Y u8')); data[0] = 200; "
    "write(mask, 'Y u8', data)",
    "alpha": "data = bytearray(read(layer, \"R'G'B'A u8\")); data[3] = 200; write(layer, \"R'G'B'A u8\", data)",
}


@pytest.mark.parametrize("output", OUTPUTS[:2])
def test_what_the_user_has_painted_on_since_is_theirs(ramp: RampSession, output: str):
    """The first pixels of the engine's answer are 0, 1."""
    code = AGAIN + PAINTED
    status, error, untouched, _ = ramp.json(code.format(output=output, paint=PAINT[output], existing="refuse"))
    assert (status, untouched) == ("calling_error", True)
    assert "changed since SAMA made it" in error
    status, _, _, pixels = ramp.json(code.format(output=output, paint=PAINT[output], existing="replace"))
    assert (status, pixels) == ("success", [0, 1])
    status, _, _, pixels = ramp.json(code.format(output=output, paint=PAINT[output], existing="intersect"))
    assert (status, pixels) == ("success", [0, 0])


def test_a_mask_of_the_users_in_place_of_sama_s_is_refused(ramp: RampSession):
    status, error, untouched, _ = ramp.json(
        AGAIN
        + PAINTED.format(
            output="layer-mask",
            existing="refuse",
            paint="layer.remove_mask(Gimp.MaskApplyMode.DISCARD); "
            "layer.add_mask(layer.create_mask(Gimp.AddMaskType.BLACK))",
        )
    )
    assert (status, untouched) == ("calling_error", True)
    assert "has a mask already. Choose" in error


CUT = """
image, layer = new_image()
click(image, (50, 40))
again(image, output="new-layer")
cut = image.get_layers()[0]
"""


def test_what_the_user_did_to_the_cut_out_stays(ramp: RampSession):
    outcome, kept = ramp.json(
        AGAIN
        + CUT
        + """
cut.set_name("my cat"); cut.set_offsets(30, -5); cut.set_opacity(40.0); cut.set_visible(False)
image.reorder_item(cut, None, 1)
mask = cut.create_mask(Gimp.AddMaskType.WHITE); cut.add_mask(mask)
again(image, (10, 70), output="new-layer")
now = image.get_layers()[1]
print(json.dumps([[[a["status"] for a in answers], "", len(set(seen)), pack(read(now, "R'G'B'A u8")[3::4]),
                   [item.get_name() for item in image.get_layers()]],
                  [now == cut, list(now.get_offsets())[1:], now.get_opacity(), now.get_visible(),
                   now.get_mask() == mask]]))
"""
    )
    check(outcome, ["photo", "my cat"])
    assert kept == [True, [30, -5], 40.0, False, True]


@pytest.mark.parametrize(
    "change",
    [
        "write(cut, \"R'G'B'A u8\", bytes(4 * 96 * 80))",
        "cut.scale(50, 50, False)",
        "cut.set_lock_content(True)",
    ],
)
def test_a_cut_out_that_was_changed_is_kept_beside_a_new_one(ramp: RampSession, change: str):
    statuses, notes, pictures, names, kept = ramp.json(
        AGAIN
        + CUT
        + change
        + """
before = native(cut)
answer = again(image, (10, 70), output="new-layer")
print(json.dumps([[a["status"] for a in answers], answer["values"][1], len(set(seen)),
                  [item.get_name() for item in image.get_layers()], native(cut) == before]))
"""
    )
    assert (statuses, pictures, kept) == (["success"] * 2, 1, True)
    assert "“photo cut-out” was changed or locked since SAMA made it" in notes
    assert names == ["photo cut-out", "photo cut-out #1", "photo"] or names == [
        "photo cut-out #1",
        "photo cut-out",
        "photo",
    ]


def test_the_photo_selected_again_with_the_same_thing_or_another(ramp: RampSession):
    names = ramp.json(
        AGAIN
        + CUT
        + """
names = []
again(image, (10, 70), drawables=[layer], output="new-layer")
names.append(len(image.get_layers()))
image.remove_path(image.get_paths()[0])
click(image, (80, 5))
again(image, drawables=[layer], output="new-layer")
names.append(len(image.get_layers()))
print(json.dumps(names))
"""
    )
    assert names == [2, 3]


def test_a_cut_out_whose_photo_is_gone_or_in_another_image(ramp: RampSession):
    results = ramp.json(
        AGAIN
        + CUT
        + """
results = []
other, below = new_image()
alien = Gimp.Layer.new_from_drawable(cut, other)
other.insert_layer(alien, None, 0)
click(other, (50, 40))
before = native(below)
answer = again(other, drawables=[alien], output="new-layer")
results.append([answer["status"], answer["values"][1], native(below) == before, len(other.get_layers())])
image.remove_layer(layer)
answer = again(image, drawables=[cut], output="new-layer")
results.append([answer["status"], answer["values"][1], True, len(image.get_layers())])
print(json.dumps(results))
"""
    )
    for (status, notes, untouched, layers), expected in zip(results, (3, 2), strict=True):
        assert (status, untouched, layers) == ("success", True, expected)
        assert "is gone" in notes


def test_a_forged_note_does_no_harm(ramp: RampSession):
    statuses = ramp.json(
        AGAIN
        + """
statuses = []
for text in ("x", "{}", '{"version":1,"kind":"alpha","digest":"","clicks":{},"place":[0,0],"alpha":"none"}'):
    image, layer = new_image()
    layer.add_alpha()
    layer.attach_parasite(Gimp.Parasite.new("sama-result", 3, text.encode()))
    layer.attach_parasite(Gimp.Parasite.new("sama-source", 3, b"f00d"))
    click(image, (50, 40))
    statuses += [again(image, output=output)["status"] for output in ("layer-mask", "alpha", "new-layer")]
print(json.dumps(statuses))
"""
    )
    assert statuses == ["success"] * 9
