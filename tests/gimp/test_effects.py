"""Layer effects: the engine sees what the user sees, the result lies where that is, and a cut-out has one look."""

from __future__ import annotations

import pytest
from ramp_engine import ramp as ramp_alpha
from ramp_session import RampSession
from test_matte import unpack

#: affect(drawable, filter, …), and shown(…): the picture as the user sees it, RGBA, with only these layers visible.
EFFECTS = """
def affect(drawable, *names):
    for name in names:
        drawable.append_filter(Gimp.DrawableFilter.new(drawable, name, ""))
def shown(image, *layers):
    states = [layer.get_visible() for layer in image.get_layers()]
    for layer in image.get_layers():
        layer.set_visible(layer in layers)
    seen = read(Gimp.Layer.new_from_visible(image, image, "shown"), "R'G'B'A u8")
    for layer, state in zip(image.get_layers(), states):
        layer.set_visible(state)
    return seen
def sent():
    return open(os.environ["SAMA_HOME"] + "/last-image.rgb", "rb").read()
def over_grey(pixels):
    return bytes((pixels[4 * i + c] * pixels[4 * i + 3] + 128 * (255 - pixels[4 * i + 3])) // 255
                 for i in range(len(pixels) // 4) for c in range(3))
def near(first, second, slack=2):
    return len(first) == len(second) and max(abs(a - b) for a, b in zip(first, second)) <= slack
"""
COLOUR = [["gegl:invert-gamma"], ["gegl:exposure"], ["gegl:saturation", "gegl:invert-gamma"]]
SHAPE = [["gegl:dropshadow"], ["gegl:ripple"], ["gegl:gaussian-blur"], ["gegl:long-shadow", "gegl:invert-gamma"]]


@pytest.mark.parametrize("effects", COLOUR + SHAPE)
@pytest.mark.parametrize("verb", ["select", "matte"])
def test_the_engine_sees_the_layer_with_its_effects(ramp: RampSession, effects: list[str], verb: str):
    status, error, same = ramp.json(
        EFFECTS
        + f"""
image, photo = new_image()
plain = pattern(96, 80)
layer = add_layer(image, "layer", 96, 80, alpha=True, data=b"".join(
    plain[3 * i : 3 * i + 3] + bytes((255 if 20 < i % 96 < 70 and 15 < i // 96 < 60 else 0,))
    for i in range(96 * 80)), pixel_format="R'G'B'A u8")
affect(layer, *{effects})
click(image, (50, 40))
before = over_grey(shown(image, layer))
answer = run(image, [layer], "{verb}")
print(json.dumps([answer["status"], answer["error"], near(sent(), before)]))
"""
    )
    assert (status, error) == ("success", "")
    assert same


GROWN = """
image, photo = new_image()
{make}
click(image, (40, 40))
answer = run(image, [layer], {arguments})
request = json.loads(open(os.environ["SAMA_HOME"] + "/requests.jsonl").read().splitlines()[-1])
width, height = request["size"]
x, y = 40 - request["points"][0][0], 40 - request["points"][0][1]
def expected(u, v):
    return (int(u - x) + 3 * int(v - y)) % 256 if 0 <= u - x < width and 0 <= v - y < height else 0
"""
ON_A_LAYER = 'layer = add_layer(image, "obj", 40, 30, 20, 20); affect(layer, "gegl:dropshadow")'
IN_A_GROUP = """layer = Gimp.GroupLayer.new(image, "group"); image.insert_layer(layer, None, 0)
inner = Gimp.GroupLayer.new(image, "inner"); image.insert_layer(inner, layer, 0)
child = add_layer(image, "child", 40, 30, 20, 20, parent=inner); affect(child, "gegl:dropshadow")"""
ON_A_GROUP = """layer = Gimp.GroupLayer.new(image, "group"); image.insert_layer(layer, None, 0)
child = add_layer(image, "child", 40, 30, 20, 20, parent=layer); affect(layer, "gegl:invert-gamma")"""


@pytest.mark.parametrize("make", [ON_A_LAYER, IN_A_GROUP, ON_A_GROUP])
def test_a_selection_lies_where_the_effects_show(ramp: RampSession, make: str):
    code = GROWN.format(make=make, arguments="'select'")
    status, right = ramp.json(
        EFFECTS
        + code
        + """
selection = read(image.get_selection(), "Y u8")
right = all(selection[v * 96 + u] == expected(u, v) for v in range(80) for u in range(96))
print(json.dumps([answer["status"], right]))
"""
    )
    assert (status, right) == ("success", True)


@pytest.mark.parametrize("make", [ON_A_LAYER, IN_A_GROUP, ON_A_GROUP])
def test_a_mask_lies_where_the_effects_show(ramp: RampSession, make: str):
    code = GROWN.format(make=make, arguments="'matte'")
    status, right = ramp.json(
        EFFECTS
        + code
        + """
mask = layer.get_mask()
_, left, top = mask.get_offsets()
w, values = mask.get_width(), read(mask, "Y u8")
right = all(values[v * w + u] == expected(u + left, v + top) for v in range(mask.get_height()) for u in range(w))
print(json.dumps([answer["status"], right]))
"""
    )
    assert (status, right) == ("success", True)


@pytest.mark.parametrize("decontaminate", [True, False])
@pytest.mark.parametrize("make", [ON_A_LAYER, IN_A_GROUP, ON_A_GROUP])
def test_a_cut_out_shows_what_was_seen(ramp: RampSession, make: str, decontaminate: bool):
    code = GROWN.format(make=make, arguments=f"'matte', output='new-layer', decontaminate={decontaminate}")
    status, names, placed, colours = ramp.json(
        EFFECTS
        + f"DECONTAMINATE = {decontaminate}\n"
        + code
        + """
new = image.get_layers()[0]
before, after = shown(image, layer), shown(image, new)
placed = near(after[3::4], bytes(
    (before[4 * (v * 96 + u) + 3] * expected(u, v) + 127) // 255 for v in range(80) for u in range(96)))
edge = [(u, v) for v in range(80) for u in range(96)
        if before[4 * (v * 96 + u) + 3] == 255 and 99 < after[4 * (v * 96 + u) + 3] < 255]
same_look = len(edge) > 0
for u, v in edge:
    i = 4 * (v * 96 + u)
    there = (200, int(u - x), int(v - y)) if DECONTAMINATE else before[i : i + 3]
    same_look = same_look and near(there, after[i : i + 3], 4)
print(json.dumps([answer["status"], len(image.get_layers()), placed, same_look]))
"""
    )
    assert (status, names, placed, colours) == ("success", 3, True, True)


@pytest.mark.parametrize("effects", COLOUR)
def test_a_cut_out_keeps_effects_on_colour_live(ramp: RampSession, effects: list[str]):
    """Below the effects lie the layer's own colours inside, and the engine's (200, x, y) at the edge."""
    status, count, inside, edge, asked = ramp.json(
        EFFECTS
        + f"""
image, layer = new_image()
affect(layer, *{effects})
click(image, (50, 40))
answer = run(image, [layer], "matte", output="new-layer")
new = image.get_layers()[0]
was, now = read(layer, "R'G'B'A u8"), read(new, "R'G'B'A u8")
full = [i for i in range(96 * 80) if now[4 * i + 3] == 255]
half = [i for i in range(96 * 80) if 0 < now[4 * i + 3] < 255]
inside = all(was[4 * i : 4 * i + 3] == now[4 * i : 4 * i + 3] for i in full)
edge = all(list(now[4 * i : 4 * i + 3]) == [200, i % 96, i // 96] for i in half)
print(json.dumps([answer["status"], len(new.get_filters()), inside, edge,
                  near(sent(), over_grey(shown(image, layer)))]))
"""
    )
    assert (status, count) == ("success", len(effects))
    assert inside
    assert edge
    assert asked, "the matte itself is that of what the user sees"


def test_a_cut_out_with_effects_is_made_again(ramp: RampSession):
    for effects, merged in (COLOUR[0], False), (SHAPE[0], True):
        statuses, notes, layers, filters, pictures = ramp.json(
            EFFECTS
            + f"""
image, layer = new_image()
affect(layer, *{effects})
click(image, (50, 40))
answers, seen = [], []
for _ in range(3):
    answers.append(run(image, image.get_selected_drawables(), "matte", output="new-layer"))
    seen.append(digest(sent()))
print(json.dumps([[a["status"] for a in answers], answers[-1]["values"][1], len(image.get_layers()),
                  len(image.get_layers()[0].get_filters()), len(set(seen))]))
"""
        )
        assert (statuses, layers, pictures) == (["success"] * 3, 2, 1)
        assert filters == (0 if merged else 1)
        assert ("are merged into its cut-out" in notes) is merged


def test_alpha_below_effects(ramp: RampSession):
    """Effects on colour and shadows follow the alpha; where they move pixels, alpha cannot lie where the picture is."""
    answers, kept, alpha = ramp.json(
        EFFECTS
        + """
answers, kept = [], []
for effect in ("gegl:invert-gamma", "gegl:dropshadow", "gegl:ripple"):
    image, layer = new_image()
    affect(layer, effect)
    click(image, (50, 40))
    before = fingerprint(image)
    answers.append(run(image, [layer], "matte", output="alpha"))
    kept.append([len(layer.get_filters()), before == fingerprint(image)])
    if effect == "gegl:invert-gamma":
        alpha = pack(shown(image, layer)[3::4])
print(json.dumps([answers, kept, alpha]))
"""
    )
    assert [answer["status"] for answer in answers] == ["success", "success", "calling_error"]
    assert "move its pixels" in answers[2]["error"]
    assert kept == [[1, False], [1, False], [1, True]]
    assert unpack(alpha) == ramp_alpha(96, 80)


def test_a_visible_cut_out_does_not_go_through_its_groups_effects_again(ramp: RampSession):
    names, same = ramp.json(
        EFFECTS
        + """
image, photo = new_image()
group = Gimp.GroupLayer.new(image, "group"); image.insert_layer(group, None, 0)
child = add_layer(image, "child", 96, 80, parent=group)
affect(group, "gegl:invert-gamma")
click(image, (40, 40))
before = shown(image, group)
run(image, [child], "matte", output="new-layer", source="visible", decontaminate=False)
new = image.get_layers()[0]
after = shown(image, new)
same = all(near(before[4 * i : 4 * i + 3], after[4 * i : 4 * i + 3]) for i in range(7680) if after[4 * i + 3] == 255)
print(json.dumps([[item.get_name() for item in image.get_layers()], same]))
"""
    )
    assert names == ["Visible cut-out", "group", "photo"]
    assert same
