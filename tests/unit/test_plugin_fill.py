from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from gimp_plugin.sama_select.sama.outline import fill


def as_array(filled, width, height):
    return np.frombuffer(bytes(filled.mask), np.uint8).reshape(height, width)


def test_a_rectangle_on_pixel_borders_is_exact():
    filled = fill([[(2, 1), (7, 1), (7, 4), (2, 4)]], 10, 6)
    expected = np.zeros((6, 10), np.uint8)
    expected[1:4, 2:7] = 255
    assert (as_array(filled, 10, 6) == expected).all()
    assert filled.bounds == (2, 1, 7, 4)
    assert filled.is_rectangle(10)


def test_a_pixel_is_inside_when_its_centre_is():
    filled = fill([[(0.6, 0.4), (2.4, 0.4), (2.4, 1.6), (0.6, 1.6)]], 4, 3)
    assert as_array(filled, 4, 3).tolist() == [[0, 255, 0, 0], [0, 255, 0, 0], [0, 0, 0, 0]]


def test_a_circle_has_the_area_of_a_circle():
    circle = [(50 + 40 * math.cos(t), 50 + 40 * math.sin(t)) for t in np.linspace(0, 2 * math.pi, 200)]
    filled = fill([circle], 100, 100)
    assert bytes(filled.mask).count(255) == pytest.approx(math.pi * 1600, rel=0.01)
    assert not filled.is_rectangle(100)


def test_a_random_polygon_is_what_opencv_fills():
    rng = np.random.default_rng(5)
    angles = np.sort(rng.uniform(0, 2 * math.pi, 12))
    points = [
        (60 + r * math.cos(a), 50 + r * math.sin(a)) for a, r in zip(angles, rng.uniform(15, 45, 12), strict=True)
    ]
    ours = as_array(fill([points], 120, 100), 120, 100)
    theirs = np.zeros((100, 120), np.uint8)
    cv2.fillPoly(theirs, [np.round(np.array(points)).astype(np.int32)], 255)
    # OpenCV rounds the corners to pixels and paints the border as well: only border pixels may differ.
    inner = cv2.erode(theirs, np.ones((5, 5), np.uint8))
    outer = cv2.dilate(theirs, np.ones((5, 5), np.uint8))
    assert (ours[inner == 255] == 255).all()
    assert (ours[outer == 0] == 0).all()


def test_a_stroke_that_crosses_itself_leaves_no_hole():
    star = [(50 + 40 * math.sin(4 * math.pi * k / 5), 50 - 40 * math.cos(4 * math.pi * k / 5)) for k in range(5)]
    assert as_array(fill([star], 100, 100), 100, 100)[50, 50] == 255


def test_several_outlines_make_their_union():
    squares = [[(0, 0), (6, 0), (6, 6), (0, 6)], [(4, 4), (4, 10), (10, 10), (10, 4)]]
    filled = fill(squares, 12, 12)
    expected = np.zeros((12, 12), np.uint8)
    expected[0:6, 0:6] = 255
    expected[4:10, 4:10] = 255
    assert (as_array(filled, 12, 12) == expected).all()
    assert filled.bounds == (0, 0, 10, 10)


def test_what_lies_outside_is_cut_off():
    filled = fill([[(-50, -50), (5, -50), (5, 3), (-50, 3)]], 10, 8)
    assert filled.bounds == (0, 0, 5, 3)
    assert bytes(filled.mask).count(255) == 15


@pytest.mark.parametrize("outline", [[], [(3, 3)], [(3, 3), (8, 8)], [(30, 30), (40, 30), (40, 40)]])
def test_nothing_inside(outline):
    filled = fill([outline], 10, 10)
    assert filled.bounds is None
    assert not any(filled.mask)
    assert not filled.is_rectangle(10)
