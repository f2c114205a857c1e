import numpy as np
import pytest
from PIL import Image

from sama_core.images import LOW_RES, Frame, Reduced, pixels_under

SHAPES = [(300, 451), (4000, 6000), (6000, 4000), (512, 512), (37, 1), (1, 900), (100, 70)]


@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_points_survive_the_round_trip(height, width, stretched):
    frame = Frame(height, width, 512, stretched)
    points = np.random.default_rng(0).uniform(0, 1, (50, 2)) * (width, height)
    back = frame.to_original(frame.to_input(points))
    np.testing.assert_allclose(back, points, atol=1e-3 * max(height, width) / 512)
    inside = frame.to_input(np.array([[width, height]]))
    np.testing.assert_allclose(inside, [[frame.input_width, frame.input_height]], rtol=1e-6)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_the_long_side_fills_the_model_input(height, width):
    frame = Frame(height, width, 512)
    assert max(frame.input_height, frame.input_width) == 512
    picture = np.zeros((height, width, 3), np.uint8)
    assert frame.shrink(picture).shape == (frame.input_height, frame.input_width, 3)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_a_stretched_picture_fills_the_model_input_with_all_its_detail(height, width):
    frame = Frame(height, width, 512, stretched=True)
    assert frame.input_height == frame.input_width == 512
    assert frame.shown(LOW_RES) == (LOW_RES, LOW_RES)
    rgb = np.random.default_rng(4).integers(0, 256, (height, width, 3)).astype(np.uint8)
    plain = np.asarray(Image.fromarray(rgb).resize((512, 512), Image.Resampling.BILINEAR))
    assert np.abs(frame.shrink(rgb).astype(int) - plain).mean() < 1.5


@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize(("height", "width"), [(300, 451), (1000, 640), (512, 512)])
def test_a_mask_drawn_on_the_grid_comes_back_where_it_was(height, width, stretched):
    frame = Frame(height, width, 512, stretched)
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 3 : 2 * width // 3] = True
    low = frame.mask_to_low_res(mask)
    assert low.shape == (LOW_RES, LOW_RES)
    back = frame.sample_rows(low, 0, height, height, width) > 0.5
    wrong = np.count_nonzero(back != mask)
    cell = max(height, width) / LOW_RES
    perimeter = 2 * (height // 4 + width // 3)
    assert wrong <= 0.75 * cell * perimeter, "an edge moved by more than a cell's share"


def test_rows_sampled_in_bands_are_the_rows_sampled_at_once():
    frame = Frame(700, 1000, 512)
    low = np.random.default_rng(1).normal(size=(LOW_RES, LOW_RES)).astype(np.float32)
    whole = frame.sample_rows(low, 0, 700, 700, 1000)
    bands = [frame.sample_rows(low, start, min(start + 64, 700), 700, 1000) for start in range(0, 700, 64)]
    np.testing.assert_array_equal(np.concatenate(bands), whole)


def test_a_linear_map_is_sampled_exactly():
    frame = Frame(256, 256, 512)
    rows, columns = np.mgrid[0:LOW_RES, 0:LOW_RES].astype(np.float32)
    sampled = frame.sample_rows(3 * rows + columns, 0, 512, 512, 512)
    y, x = np.mgrid[0:512, 0:512]
    expected = 3 * ((y + 0.5) / 2 - 0.5).clip(0, 255) + ((x + 0.5) / 2 - 0.5).clip(0, 255)
    np.testing.assert_allclose(sampled, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("height", "width", "side"), [(700, 1000, 100), (911, 3007, 101), (2000, 3, 64), (90, 120, 512)]
)
def test_a_photo_reduced_in_strips_gives_what_pillow_gives_at_once(height, width, side, monkeypatch):
    monkeypatch.setattr("sama_core.images._STRIP_PIXELS", 20_000)
    rgb = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    frame = Frame(height, width, side)
    rows, columns = frame.input_height, frame.input_width
    ours = Reduced(rgb, side).shrink(rows, columns)
    plain = Image.fromarray(rgb).resize((columns, rows), Image.Resampling.BILINEAR, reducing_gap=3.0)
    difference = np.abs(ours.astype(int) - np.asarray(plain))
    # Pillow 10 rounds a little otherwise than 12 does
    assert difference.max() <= 4 and difference.mean() < 1.5
    # from the same reduced photo, a smaller picture yet
    rows, columns = max(1, rows // 2), max(1, columns // 2)
    again = Image.fromarray(rgb).resize((columns, rows), Image.Resampling.BILINEAR)
    assert np.abs(Reduced(rgb, side).shrink(rows, columns).astype(int) - np.asarray(again)).mean() < 4


def test_the_pixel_under_a_click():
    points = np.array([(0, 0), (0.99, 0.5), (1, 0.5), (10, 7), (9.99, 6.99)])
    np.testing.assert_array_equal(pixels_under(points, 7, 10), [(0, 0), (0, 0), (1, 0), (9, 6), (9, 6)])
