"""States in which a success could not be seen: refused or remarked on, in words that name the way out."""

from __future__ import annotations

import pytest
from ramp_engine import ramp as ramp_alpha
from ramp_session import RampSession

GROUP = """
group = Gimp.GroupLayer.new(image, "group")
image.insert_layer(group, None, 0)
layer = add_layer(image, "child", 96, 80, parent=group)
"""
QUICK_MASK = """
mask = Gimp.Channel.new(image, "Qmask", 96, 80, 50, Gegl.Color.new("red"))
image.insert_channel(mask, None, 0)
image.set_selected_layers([layer])
"""


@pytest.mark.parametrize("operation", ["subtract", "intersect"])
@pytest.mark.parametrize("selection", ["pass", "image.select_rectangle(2, 70, 60, 20, 15)"])
def test_an_operation_with_nothing_to_work_on_is_refused(ramp: RampSession, operation: str, selection: str):
    answer, untouched = ramp.json(f"""
image, _ = new_image()
layer = add_layer(image, "part", 60, 50)
{selection}
path = click(image, (50, 40))
before = fingerprint(image)
answer = run(image, [layer], operation="{operation}", include_path=path)
print(json.dumps([answer, before == fingerprint(image)]))
""")
    assert answer["status"] == "calling_error"
    assert "nothing to" in answer["error"]
    assert "“Replace the current selection” at “Operation”" in answer["error"]
    assert untouched
    assert ramp.requests() == []


def test_a_selection_that_is_as_it_was_is_remarked_on(ramp: RampSession):
    notes = ramp.json("""
image, layer = new_image()
image.select_rectangle(2, 0, 0, 96, 80)
answer = run(image, [layer], operation="add", include_path=click(image, (50, 40)))
print(json.dumps(answer["values"][1]))
""")
    assert "Nothing has changed: the thing was selected already" in notes


@pytest.mark.parametrize(
    ("drawables", "verb"), [("[mask]", "select"), ("[mask]", "matte"), ("[layer]", "matte"), ("[]", "select")]
)
def test_the_quick_mask_is_named_before_the_work(ramp: RampSession, drawables: str, verb: str):
    answer, untouched = ramp.json(f"""
image, layer = new_image()
click(image, (50, 40))
{QUICK_MASK}
before = fingerprint(image)
answer = run(image, {drawables}, "{verb}")
print(json.dumps([answer, before == fingerprint(image)]))
""")
    assert answer["status"] == "calling_error"
    assert "The Quick Mask is on" in answer["error"]
    assert "Shift+Q" in answer["error"]
    assert untouched
    assert ramp.requests() == []


def test_a_selection_made_under_the_quick_mask_is_in_it(ramp: RampSession):
    notes, held, names, selected = ramp.json(f"""
image, layer = new_image()
click(image, (50, 40))
{QUICK_MASK}
answer = run(image, [layer])
held = list(read(image.get_channel_by_name("Qmask"), "Y' u8"))
names = [channel.get_name() for channel in image.get_channels()]
print(json.dumps([answer["values"][1], held, names, [item.get_name() for item in image.get_selected_drawables()]]))
""")
    assert "The Quick Mask is on, and the result is in it. Shift+Q" in notes
    assert bytes(held) == ramp_alpha(96, 80)
    assert names == ["Qmask"]
    assert selected == ["photo"]


def test_the_original_of_a_new_cut_out_is_hidden(ramp: RampSession):
    shown, notes = ramp.json("""
image, layer = new_image()
click(image, (50, 40))
answer = run(image, [layer], "matte", output="new-layer")
print(json.dumps([[item.get_visible() for item in image.get_layers()], answer["values"][1]]))
""")
    assert shown == [True, False]
    assert notes == "A ramp."


@pytest.mark.parametrize(
    ("setup", "verb", "arguments", "note"),
    [
        ("layer.set_visible(False)", "matte", "", "The layer “photo” is hidden. Show it"),
        ("layer.set_visible(False)", "select", "", "choose another “Source”"),
        ("layer.set_opacity(0)", "matte", "", "has an opacity of 0"),
        (GROUP + "group.set_visible(False)", "matte", "", "in the hidden layer group “group”"),
        (GROUP + "group.set_visible(False)", "matte", "output='new-layer'", "in the hidden layer group “group”"),
        ("add_layer(image, 'above', 96, 80)", "matte", "", "The picture looks as it did before"),
        ("layer = add_layer(image, 'copy', 96, 80)", "matte", "output='alpha'", "The picture looks as it did before"),
        ("add_layer(image, 'top', 96, 80)", "matte", "source='visible', output='new-layer'", "looks as it did before"),
        ("mask = layer.create_mask(0); layer.add_mask(mask); layer.set_apply_mask(False)", "matte",
         "existing_mask='replace'", "The mask of “photo” is switched off"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_remarked_on(ramp: RampSession, setup: str, verb: str, arguments: str, note: str):
    answer = ramp.json(f"""
image, layer = new_image()
click(image, (50, 40))
{setup}
print(json.dumps(run(image, [layer], "{verb}", {arguments})))
""")
    assert answer["status"] == "success"
    assert note in answer["values"][1]


def test_a_hidden_original_of_a_new_layer_needs_no_remark(ramp: RampSession):
    answer = ramp.json("""
image, layer = new_image()
layer.set_visible(False)
click(image, (50, 40))
print(json.dumps(run(image, [layer], "matte", output="new-layer")))
""")
    assert answer["values"][1] == "A ramp."
