from __future__ import annotations

import math
import random

import numpy as np
import pytest

from gimp_plugin.sama_select.sama import outline

SQUARE = [(10.0, 10.0), (50.0, 10.0), (50.0, 50.0), (10.0, 50.0)]


def ring(count, share=1.0, squash=1.0, ripple=0.0, seed=0):
    """Anchors along `share` of an ellipse around (60, 50)."""
    rng = random.Random(seed)
    angles = [2 * math.pi * share * i / count for i in range(count)]
    return [
        (60 + (40 + rng.uniform(-ripple, ripple)) * math.cos(a), 50 + squash * (40 + ripple) * math.sin(a))
        for a in angles
    ]


def shifted(polygon, x, y, scale=1.0):
    return [(scale * (a - 30) + 30 + x, scale * (b - 30) + 30 + y) for a, b in polygon]


def left_open(anchors):
    return outline.is_left_open(anchors, anchors)


@pytest.mark.parametrize("count", [6, 7, 8, 12, 30, 100])
@pytest.mark.parametrize("squash", [1.0, 0.4])
def test_a_ring_whose_end_is_near_its_start_is_an_outline(count, squash):
    assert left_open(ring(count, squash=squash))
    assert left_open(ring(count, squash=squash)[::-1])
    assert left_open(ring(count, share=1.03, squash=squash))
    assert left_open(ring(count, squash=squash, ripple=3))


def test_a_ring_with_a_dent_is_an_outline():
    crescent = ring(14, share=0.8) + [(x * 0.7 + 10, y * 0.7 + 15) for x, y in ring(14, share=0.8)[::-1]]
    assert left_open(crescent)


@pytest.mark.parametrize(
    "clicks",
    [
        [(10, 10)],
        [(10, 10), (40, 60), (70, 20)],
        [(10 * i, 10 * i) for i in range(12)],
        [(10 * i, 20 + 15 * (i % 2)) for i in range(10)],
        [(10 * x, 10 * y) for y in range(4) for x in range(4)],
    ],
)
def test_clicks_along_a_line_or_over_a_thing_are_clicks(clicks):
    assert not left_open(clicks)
    assert not outline.may_be_an_outline(clicks)


def test_few_of_many_random_clicks_are_taken_for_an_outline():
    rng = random.Random(2)
    for count, most in ((4, 0.0), (6, 0.08), (8, 0.02), (12, 0.01)):
        taken = sum(left_open([(rng.gauss(0, 9), rng.gauss(0, 9)) for _ in range(count)]) for _ in range(1000))
        assert taken <= most * 1000


def test_a_circle_of_three_curves_is_an_outline():
    assert outline.is_left_open(ring(4), ring(46, share=0.765))
    assert not left_open(ring(4))


@pytest.mark.parametrize("anchors", [SQUARE, ring(5), ring(9, share=0.75), ring(12, share=0.8), ring(20, share=0.75)])
def test_what_lies_around_something_is_worth_a_remark(anchors):
    assert not left_open(anchors)
    assert outline.may_be_an_outline(anchors)


def filled(*outlines):
    region = outline.fill(outline.with_holes(outlines), 100, 100)
    return np.frombuffer(bytes(region.mask), np.uint8).reshape(100, 100) > 0


@pytest.mark.parametrize("outer", [SQUARE, SQUARE[::-1]])
@pytest.mark.parametrize("inner", [shifted(SQUARE, 0, 0, 0.5), shifted(SQUARE[::-1], 0, 0, 0.5)])
def test_an_outline_within_another_is_a_hole(outer, inner):
    mask = filled(inner, outer)
    assert mask[15, 15]
    assert not mask[30, 30]
    assert mask.sum() == 1600 - 400


def test_holes_islands_and_neighbours():
    far = shifted(SQUARE, 45, 45)
    outlines = [SQUARE, shifted(SQUARE, -8, -8, 0.3), shifted(SQUARE, 8, 8, 0.4), shifted(SQUARE, 8, 8, 0.2), far]
    assert filled(*outlines).sum() == 1600 - 144 - 256 + 64 + 1600


def test_outlines_that_overlap_or_are_the_same_are_one_region():
    assert filled(SQUARE, SQUARE).sum() == 1600
    assert filled(SQUARE, shifted(SQUARE, 20, 0)).sum() == 2400


def test_a_hole_is_no_hole_in_the_outline_that_overlaps_its_own():
    hole = shifted(SQUARE, 0, 0, 0.5)
    assert filled(SQUARE, hole, shifted(SQUARE, 20, 0)).all(where=filled(shifted(SQUARE, 20, 0)))
