import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sama_core.images import Frame
from sama_core.inference.kept_clicks import keep_clicks
from sama_core.inference.upsampling import select_alpha


def two_tone(side: int):
    """A small bright disk on a dark ground, and which pixels are its."""
    y, x = np.mgrid[:side, :side] + 0.5
    disk = np.hypot(y - 0.5 * side, x - 0.5 * side) < 0.015 * side
    rgb = np.where(disk[..., None], (220, 190, 80), (40, 60, 90)).astype(np.uint8)
    return rgb, disk


def agrees(alpha, points, labels):
    height, width = alpha.shape
    last = {}
    for (x, y), label in zip(points, labels, strict=True):
        last[min(width - 1, int(x)), min(height - 1, int(y))] = label
    return all((alpha[y, x] > 127) == bool(label) for (x, y), label in last.items())


def test_an_answer_that_agrees_with_its_clicks_is_left_as_it_is():
    rgb, disk = two_tone(400)
    alpha = np.where(disk, 200, 20).astype(np.uint8)
    assert keep_clicks(alpha, rgb, np.array([(200.5, 200.5), (20, 20)]), np.array([1, 0])) is alpha
    assert keep_clicks(alpha, rgb, np.zeros((0, 2)), np.zeros(0, int)) is alpha


@pytest.mark.parametrize("side", [200, 1000, 4000])
@pytest.mark.parametrize("label", [1, 0])
def test_what_a_contradicted_click_gets_is_the_thing_under_it(side, label):
    rgb, disk = two_tone(side)
    alpha = np.full((side, side), 0 if label else 255, np.uint8)
    mended = keep_clicks(alpha, rgb, np.array([(side / 2, side / 2)]), np.array([label]))
    changed = (mended > 127) == bool(label)
    assert np.count_nonzero(changed & disk) > 0.95 * disk.sum(), "the thing under the click was not taken"
    assert np.count_nonzero(changed & ~disk) < 0.05 * disk.sum(), "more than the thing under the click was taken"
    assert alpha.min() == alpha.max(), "the answer given was changed in place"


def test_on_a_plain_ground_the_region_is_bounded():
    rgb = np.full((1000, 1000, 3), 120, np.uint8)
    mended = keep_clicks(np.zeros((1000, 1000), np.uint8), rgb, np.array([(500, 500)]), np.array([1]))
    ys, xs = np.nonzero(mended)
    assert 20 < np.ptp(ys) < 100 and 20 < np.ptp(xs) < 100


def test_a_click_the_network_overrules_is_kept_in_the_photos_resolution():
    rgb, disk = two_tone(600)
    logits = np.full((256, 256), -6, np.float32)
    alpha = select_alpha(Frame(600, 600, 512), logits, rgb)
    assert alpha.max() == 0
    assert keep_clicks(alpha, rgb, np.array([(300, 300)]), np.array([1]))[disk].mean() > 240


def test_the_later_of_two_clicks_on_one_pixel_counts():
    rgb = np.full((50, 50, 3), 120, np.uint8)
    points = np.array([(10.2, 10.2), (10.8, 10.8)])
    for labels in ((0, 1), (1, 0)):
        for before in (0, 255):
            alpha = keep_clicks(np.full((50, 50), before, np.uint8), rgb, points, np.array(labels))
            assert (alpha[10, 10] > 127) == bool(labels[1])


shapes = st.tuples(st.integers(1, 90), st.integers(1, 90))


@settings(max_examples=60, deadline=None)
@given(st.data(), shapes, st.integers(0, 2**32 - 1), st.sampled_from(["noise", "plain", "steps"]))
def test_no_click_is_ever_contradicted(data, shape, seed, kind):
    height, width = shape
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    if kind == "plain":
        rgb[:] = rgb[0, 0]
    elif kind == "steps":
        rgb = rgb // 86 * 86
    alpha = rng.choice(np.array([0, 127, 128, 255], np.uint8), (height, width))
    point = st.tuples(st.floats(0, width, width=32), st.floats(0, height, width=32))
    clicks = data.draw(st.lists(st.tuples(point, st.integers(0, 1)), min_size=1, max_size=12))
    points, labels = np.array([point for point, _ in clicks]), np.array([label for _, label in clicks])
    mended = keep_clicks(alpha, rgb, points, labels)
    assert mended.shape == alpha.shape and mended.dtype == np.uint8
    assert agrees(mended, points, labels)
