import numpy as np
import pytest

from sama_core.inference.parts import without_islands
from sama_core.prompts import Prompt

HEIGHT, WIDTH = 600, 900


def drawn(*disks, height=HEIGHT, width=WIDTH):
    """Alpha of disks (x, y, radius), each with an edge two pixels soft."""
    y, x = np.mgrid[:height, :width] + 0.5
    alpha = np.zeros((height, width))
    for cx, cy, radius in disks:
        alpha = np.maximum(alpha, np.clip((radius - np.hypot(x - cx, y - cy)) / 2 + 0.5, 0, 1))
    return np.round(alpha * 255).astype(np.uint8)


def asked(points, labels=None, **more):
    return Prompt(points, [1] * len(points) if labels is None else labels, **more).validated(HEIGHT, WIDTH)


POT, SMALL, LIKE = (300, 300, 100), (600, 300, 35), (600, 300, 70)


@pytest.mark.parametrize("soft", [False, True])
def test_a_small_part_without_a_click_goes_wholly(soft):
    both = drawn(POT, SMALL)
    np.testing.assert_array_equal(without_islands(both, asked([(300, 300)]), soft), drawn(POT))
    assert (both == drawn(POT, SMALL)).all(), "what was given is not changed"


@pytest.mark.parametrize("soft", [False, True])
def test_parts_that_are_clicked_or_not_small_stay(soft):
    for alpha, clicks in (
        (drawn(POT, SMALL), [(300, 300), (600, 300)]),
        (drawn(POT, LIKE), [(300, 300)]),
        # the part clicked is the small one: beside it nothing is small
        (drawn(POT, SMALL), [(600, 300)]),
        # the click lies in no part
        (drawn(POT, LIKE), [(10, 10)]),
    ):
        assert without_islands(alpha, asked(clicks), soft) is alpha


def test_an_exclude_click_points_at_nothing():
    prompt = asked([(300, 300), (640, 300)], [1, 0])
    np.testing.assert_array_equal(without_islands(drawn(POT, SMALL), prompt, False), drawn(POT))


def test_parts_in_a_region_that_was_drawn_are_meant():
    alpha = drawn(POT, SMALL)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[280:320, 280:610] = True
    for prompt in (
        asked([], box=(180, 180, 640, 420)),
        asked([], mask=mask),
        asked([(300, 300)], box=(180, 180, 640, 420)),
    ):
        assert without_islands(alpha, prompt, False) is alpha
    outside = asked([], box=(180, 180, 420, 420))
    np.testing.assert_array_equal(without_islands(alpha, outside, False), drawn(POT))
    # an earlier answer does not say what was meant
    earlier = asked([], low_res_logits=np.zeros((256, 256), np.float32))
    assert without_islands(alpha, earlier, False) is alpha


def test_parts_that_touch_over_a_corner_or_a_hair_gap_are_one():
    alpha = drawn(POT)
    alpha[300:303, 402:500] = 255
    assert without_islands(alpha, asked([(300, 300)]), False) is alpha


def test_strands_and_haze_of_a_matte_stay():
    alpha = drawn(POT)
    # a strand that stands off its head by one hundredth of the picture, and haze further away
    alpha[300:303, 409:500] = 255
    alpha[100:200, 700:800] = 120
    assert without_islands(alpha, asked([(300, 300)]), True) is alpha
    selection = without_islands(alpha, asked([(300, 300)]), False)
    assert not selection[300:303, 415:500].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (2500, 7), (1311, 2047)])
def test_pictures_of_any_size(size):
    height, width = size
    rng = np.random.default_rng(0)
    alpha = ((rng.random(size) > 0.999) * 255).astype(np.uint8)
    alpha[: max(1, height // 3), : max(1, width // 3)] = 255
    kept = without_islands(alpha, Prompt([(0.5, 0.5)], [1]).validated(height, width), False)
    assert kept.shape == size and kept[0, 0] == 255
    assert ((kept == alpha) | (kept == 0)).all()
