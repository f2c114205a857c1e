"""Which of paths and selection says where the thing is: what was chosen, else what the user made last."""

from __future__ import annotations

import pytest
from ramp_session import RampSession


def test_an_empty_newest_path_hides_no_other(ramp: RampSession):
    ramp.gimp.run("""
image, layer = new_image()
click(image, (50, 40))
add_path(image, [], name="empty")
click(image, (5, 5), name="exclude")
add_path(image, [], name="exclude too")
image.set_selected_paths([path for path in image.get_paths() if path.get_name() == "empty"])
run(image, [layer])
""")
    (request,) = ramp.requests()
    assert (request["points"], request["labels"]) == ([[50, 40], [5, 5]], [1, 0])


def test_a_fresh_selection_counts_beside_a_path_that_came_with_the_file(ramp: RampSession):
    for suffix in ("xcf", "psd"):
        notes = ramp.json(f"""
image, layer = new_image()
click(image, (50, 40))
file = Gio.File.new_for_path({str(ramp.gimp.files / "kept.")!r} + "{suffix}")
Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
opened = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
opened.select_rectangle(2, 8, 9, 30, 20)
# GIMP 3.0 does not know of files that a script has opened, other than XCF.
known = opened.get_xcf_file() or opened.get_imported_file()
answer = run(opened, opened.get_layers())
print(json.dumps([answer["values"][1], bool(known)]))
""")
        if notes[1]:
            assert ramp.requests()[-1]["box"] == [8, 9, 38, 29]
            assert "points" not in ramp.requests()[-1]
            assert "came with the file" in notes[0]
            assert "“Clicks on the thing”" in notes[0]


def test_a_click_in_an_opened_file_counts_beside_the_answer_kept_there(ramp: RampSession):
    ramp.gimp.run(f"""
image, layer = new_image()
click(image, (50, 40))
run(image, [layer])
file = Gio.File.new_for_path({str(ramp.gimp.files / "again.xcf")!r})
Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
opened = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
opened.get_paths()[0].stroke_new_from_points(Gimp.PathStrokeType.BEZIER, [10.0, 20.0] * 3, False)
run(opened, opened.get_layers())
""")
    assert ramp.requests()[-1]["points"] == [[50, 40], [10, 20]]


def test_what_changed_since_the_last_run_counts(ramp: RampSession):
    code = "answer = run(image, [layer]); print(json.dumps(answer['values'][1]))"
    ramp.json("image, layer = new_image(); path = click(image, (50, 40)); " + code)
    ramp.json(code)
    assert [request["points"] for request in ramp.requests()] == [[[50, 40]]] * 2, "nothing changed: as before"
    note = ramp.json("image.select_ellipse(2, 8, 9, 30, 20); " + code)
    assert "made after the path “clicks”" in note
    assert ramp.requests()[-1]["box"] == [8, 9, 38, 29]
    ramp.json("path.stroke_new_from_points(Gimp.PathStrokeType.BEZIER, [10.0, 20.0] * 3, False); " + code)
    assert ramp.requests()[-1]["points"] == [[50, 40], [10, 20]]
    assert "box" not in ramp.requests()[-1]


@pytest.mark.parametrize("name", ["empty", "exclude"])
def test_a_path_that_is_not_selected_gives_way_to_a_selection(ramp: RampSession, name: str):
    ramp.gimp.run(f"""
image, layer = new_image()
click(image, (50, 40))
image.set_selected_paths([add_path(image, [], name="{name}")])
image.select_rectangle(2, 8, 9, 30, 20)
run(image, [layer])
""")
    assert ramp.requests()[-1]["box"] == [8, 9, 38, 29]


def test_the_path_of_a_shape_gives_way_to_a_selection_and_to_clicks(ramp: RampSession):
    if not ramp.json("print(json.dumps(hasattr(Gimp, 'VectorLayer')))"):
        return  # GIMP 3.0 has no shapes.
    ramp.gimp.run("""
image, layer = new_image()
clicks = click(image, (50, 40))
shape = add_path(image, [([(10, 10), (70, 20), (40, 60)], True)], name="shape")
image.insert_layer(Gimp.VectorLayer.new(image, shape), None, 0)
run(image, [layer])
image.remove_path(clicks)
image.select_rectangle(2, 8, 9, 30, 20)
run(image, [layer])
""")
    first, second = ramp.requests()
    assert first["points"] == [[50, 40]]
    assert "box" not in first
    assert second["box"] == [8, 9, 38, 29]


def test_several_paths_of_which_none_is_selected_are_asked_about(ramp: RampSession):
    answer = ramp.json("""
image, layer = new_image()
click(image, (50, 40)); click(image, (10, 10), name="two")
image.set_selected_paths([add_path(image, [], name="exclude")])
print(json.dumps(run(image, [layer])))
""")
    assert answer["status"] == "calling_error"
    assert "Choose one at “Clicks on the thing”" in answer["error"]


def test_the_counters_of_a_text_are_holes(ramp: RampSession):
    inside, counter = ramp.json("""
image, layer = new_image(200, 120)
text = Gimp.TextLayer.new(image, "O", Gimp.context_get_font(), 90, Gimp.Unit.pixel())
image.insert_layer(text, None, 0)
path = Gimp.Path.new_from_text_layer(image, text)
image.insert_path(path, None, 0)
image.remove_layer(text)
run(image, [layer], include_path=path)
mask = open(os.environ["SAMA_HOME"] + "/last-mask.bin", "rb").read()
image.select_item(Gimp.ChannelOps.REPLACE, path)
_, _, left, top, right, bottom = Gimp.Selection.bounds(image)
own = bytes(255 if value > 127 else 0 for value in read(image.get_selection(), "Y u8"))
same = sum(a == b for a, b in zip(mask, own)) / len(own)
print(json.dumps([same, mask[200 * ((top + bottom) // 2) + (left + right) // 2]]))
""")
    assert inside > 0.99, "as GIMP itself makes a selection from the path"
    assert counter == 0


def test_the_last_choice_of_paths_is_the_images_own(ramp: RampSession):
    """Renamed, in a file, in a duplicate, and gone; the dialog's way of choosing is tested on a screen."""
    ramp.gimp.run(f"""
import sys
sys.path.append({str(ramp.gimp.workspace.profile / "plug-ins" / "sama_select")!r})
from sama import memory
def again(image):
    return run(image, image.get_layers(), run_mode=Gimp.RunMode.WITH_LAST_VALS)["values"][1]
image, layer = new_image()
one, two = click(image, (50, 40), name="one"), click(image, (10, 20), name="two")
other, _ = new_image()
click(other, (7, 7))
memory.choose(image, one, two)
again(image)
one.set_name("renamed")
again(image)
file = Gio.File.new_for_path({str(ramp.gimp.files / "chosen.xcf")!r})
Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
again(Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file))
again(image.duplicate())
again(other)
""")
    asked = [(request["points"], request["labels"]) for request in ramp.requests()]
    assert asked[:4] == [([[50, 40], [10, 20]], [1, 0])] * 4
    assert asked[4] == ([[7, 7]], [1])
    note = ramp.json("""
image.remove_path(two)
click(image, (30, 30), name="two")
print(json.dumps(again(image)))
""")
    assert ramp.requests()[-1]["points"] == [[50, 40]], "a new path of an old name is another one"
    assert "“Clicks on what to leave out” is gone" in note
