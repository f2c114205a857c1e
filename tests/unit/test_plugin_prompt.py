from __future__ import annotations

import zlib

import numpy as np
import pytest

from gimp_plugin.sama_select.sama.errors import CallingError
from gimp_plugin.sama_select.sama.place import Place
from gimp_plugin.sama_select.sama.prompt import (
    MAX_CLICKS,
    Prompt,
    Stroke,
    add_exclude,
    add_include,
    add_selection,
    check,
)
from sama_core import prompts

LAYER = Place(100, 80, -10, 5, "the layer “photo”")
SQUARE = [(10, 15), (50, 15), (50, 45), (10, 45)]
TRIANGLE = [(10, 15), (50, 15), (30, 45)]


def included(*strokes, place=LAYER):
    prompt = Prompt()
    add_include(prompt, strokes, place)
    return prompt


def test_anchors_of_open_strokes_are_clicks_in_layer_pixels():
    prompt = included(Stroke([(0, 5), (20.5, 30.25)]), Stroke([(40, 40)]))
    assert prompt.points == [(10, 0), (30.5, 25.25), (50, 35)]
    assert prompt.labels == [1, 1, 1]
    assert prompt.box is None
    assert prompt.mask is None


def test_a_closed_rectangle_is_a_box():
    prompt = included(Stroke(SQUARE, True, SQUARE))
    assert prompt.box == (20, 10, 60, 40)
    assert prompt.mask is None
    assert prompt.points == []


def test_a_closed_outline_is_a_box_and_a_mask():
    prompt = included(Stroke(TRIANGLE, True, TRIANGLE))
    assert prompt.box == (20, 10, 60, 40)
    assert prompt.mask is not None
    mask = np.frombuffer(prompt.mask, np.uint8).reshape(80, 100)
    assert mask[15, 40] == 255
    assert mask[38, 22] == 0
    assert (mask > 0).sum() == pytest.approx(600, rel=0.03)


def test_several_regions_are_one_box_and_the_union_of_their_insides():
    far = [(60, 55), (80, 55), (80, 75), (60, 75)]
    prompt = included(Stroke(SQUARE, True, SQUARE), Stroke(far, True, far))
    assert prompt.box == (20, 10, 90, 70)
    assert prompt.mask is not None
    assert prompt.mask.count(255) == 40 * 30 + 20 * 20


@pytest.mark.parametrize("outline", [[], [(10, 15)], [(10, 15), (50, 45)]])
def test_a_closed_stroke_without_an_inside_is_clicks(outline):
    prompt = included(Stroke([(10, 15), (50, 45)], True, outline))
    assert prompt.points == [(20, 10), (60, 40)]
    assert prompt.box is None


def test_a_closed_stroke_within_another_of_its_path_is_a_hole():
    inner = [(20, 20), (40, 20), (40, 40), (20, 40)]
    prompt = included(Stroke(SQUARE, True, SQUARE, "a"), Stroke(inner, True, inner, "a"))
    assert prompt.box == (20, 10, 60, 40)
    assert prompt.mask is not None
    assert prompt.mask.count(255) == 40 * 30 - 20 * 20
    assert included(Stroke(SQUARE, True, SQUARE, "a"), Stroke(inner, True, inner, "b")).mask is None


def test_an_outline_left_open_is_taken_as_closed_and_a_note_says_how_to_close_it():
    ring = [(40, 20), (60, 25), (65, 45), (55, 65), (35, 68), (20, 55), (18, 35)]
    prompt = included(Stroke(ring, path="ring"), Stroke([(40, 40)], path="ring"))
    assert prompt.points == [(50, 35)]
    assert prompt.box == (28, 15, 75, 63)
    assert prompt.mask is not None
    [note] = prompt.notes
    assert "“ring” is open, but its 7 points" in note
    assert "Ctrl+click on its first point" in note


def test_clicks_around_something_stay_clicks_with_a_note():
    prompt = included(Stroke(SQUARE))
    assert len(prompt.points) == 4
    assert prompt.box is None
    [note] = prompt.notes
    assert "its 4 points were taken as clicks" in note
    assert "Ctrl+click on its first point" in note


def test_a_region_over_the_edge_is_cut_to_the_layer():
    outline = [(-100, 0), (50, 0), (50, 45), (-100, 45)]
    assert included(Stroke(outline, True, outline)).box == (0, 0, 60, 40)


def test_clicks_outside_are_counted_in_the_message():
    with pytest.raises(CallingError, match="2 of 3 clicks lie outside the layer “photo”"):
        included(Stroke([(0, 10), (0, 4.9), (90.5, 10)]))
    with pytest.raises(CallingError, match="1 of 1 clicks lies outside"):
        included(Stroke([(-10.1, 10)]))


def test_a_click_on_the_outer_corner_is_inside():
    assert included(Stroke([(-10, 5), (90, 85)])).points == [(0, 0), (100, 80)]


def test_a_region_outside_is_refused():
    outline = [(200, 200), (250, 200), (225, 250)]
    with pytest.raises(CallingError, match="closed stroke lies outside the layer"):
        included(Stroke(outline, True, outline))


def test_exclude_clicks_outside_are_dropped_and_closed_strokes_give_their_anchors():
    prompt = Prompt()
    add_exclude(prompt, [Stroke([(0, 10), (500, 10)]), Stroke(SQUARE, True, SQUARE)], LAYER)
    assert prompt.points == [(10, 5), (20, 10), (60, 10), (60, 40), (20, 40)]
    assert prompt.labels == [0] * 5


def test_a_full_rectangle_of_selection_is_a_box_only():
    selection = np.zeros((80, 100), np.uint8)
    selection[10:30, 20:50] = 255
    prompt = Prompt()
    add_selection(prompt, (10, 15, 40, 35), selection.tobytes(), LAYER)
    assert prompt.box == (20, 10, 50, 30)
    assert prompt.mask is None


def test_any_other_selection_is_box_and_mask_of_what_is_more_than_half_selected():
    selection = np.zeros((80, 100), np.uint8)
    selection[10:30, 20:50] = 255
    selection[10, 20], selection[11, 20] = 127, 128
    prompt = Prompt()
    add_selection(prompt, (10, 15, 40, 35), selection.tobytes(), LAYER)
    assert prompt.box == (20, 10, 50, 30)
    assert prompt.mask == np.where(selection > 127, 255, 0).astype(np.uint8).tobytes()


def test_a_selection_that_is_nowhere_half_full_is_a_box_only():
    prompt = Prompt()
    add_selection(prompt, (10, 15, 40, 35), bytes([90]) * 8000, LAYER)
    assert prompt.mask is None


def test_a_selection_beside_the_layer_is_refused():
    with pytest.raises(CallingError, match="selection lies outside the layer"):
        add_selection(Prompt(), (90, 0, 120, 40), bytes(8000), LAYER)


def test_nothing_to_go_on_says_how_to_click():
    with pytest.raises(CallingError, match="Path tool"):
        check(Prompt())


def test_exclude_clicks_alone_are_not_enough():
    with pytest.raises(CallingError, match="only exclude clicks"):
        check(Prompt([(1, 1)], [0]))


def test_the_cap_on_clicks_is_the_engines_own():
    assert MAX_CLICKS == prompts.MAX_POINTS
    points = [(float(i % 50), float(i // 50)) for i in range(MAX_CLICKS)]
    check(Prompt(points, [1] * len(points)))
    with pytest.raises(CallingError, match="257 clicks are too many"):
        check(Prompt([*points, (60, 60)], [1] * 257))


def test_the_engine_takes_what_the_plug_in_asks():
    prompt = included(Stroke([(0, 5), (20.5, 30.25)]), Stroke(TRIANGLE, True, TRIANGLE))
    add_exclude(prompt, [Stroke([(60, 60)])], LAYER)
    fields = prompt.request()
    assert fields["mask"] is True
    mask = np.frombuffer(zlib.decompress(prompt.packed_mask()), np.uint8).reshape(80, 100)
    valid = prompts.Prompt(fields["points"], fields["labels"], fields["box"], mask).validated(80, 100)
    assert len(valid.points) == 3
    assert list(valid.labels) == [1, 1, 0]


def test_an_empty_prompt_travels_as_nothing():
    assert Prompt().request() == {}
    assert Prompt().packed_mask() == b""
