import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sama_core import Engine, Prompt
from sama_core.images import Window
from sama_core.inference import deblocking
from sama_core.inference.deblocking import Grid, even_alpha, even_picture, find_grid
from sama_core.inference.embedding_cache import EmbeddingCache
from sama_core.inference.picture import Picture
from sama_core.inference.predictor import Predictor

PHOTO = np.asarray(Image.open(Path(__file__).resolve().parents[2] / "demo/photos/chelsea.png").convert("RGB"))
#: As Pillow names the sampling of colours.
FULL, HALVED_ACROSS, HALVED = 0, 1, 2


def compressed(rgb, quality, sampling=HALVED):
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, subsampling=sampling)
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.fixture(scope="module")
def predictor():
    return Predictor("lite")


def grid_of(rgb) -> Grid:
    grid = find_grid(rgb)
    assert grid is not None
    return grid


def step_ratio(plane, period, axis=1):
    """Mean step at the borders of blocks over the mean of the other steps, of a picture uncropped."""
    steps = np.abs(np.diff(plane.astype(float), axis=axis)).mean(1 - axis)
    at_border = np.arange(1, len(steps) + 1) % period == 0
    return steps[at_border].mean() / steps[~at_border].mean()


def error(rgb, truth):
    return np.square(rgb.astype(float) - truth).mean()


@pytest.mark.parametrize("quality", [30, 45, 60, 75])
@pytest.mark.parametrize("sampling", [FULL, HALVED_ACROSS, HALVED])
@pytest.mark.parametrize("scale", [1, 3])
def test_blocks_are_found_and_the_picture_comes_nearer_to_what_it_was(quality, sampling, scale):
    truth = np.asarray(Image.fromarray(PHOTO).resize((451 * scale, 300 * scale), Image.Resampling.BICUBIC))
    rgb = compressed(truth, quality, sampling)
    grid = grid_of(rgb)
    assert [borders.first for borders in grid.luma] == [0, 0]
    for down, across in grid.chroma:
        assert down is not None and across is not None
        assert (down.period, across.period) == (16 if sampling == HALVED else 8, 8 if sampling == FULL else 16)
        assert (down.first, across.first) == (0, 0)
    evened = even_picture(rgb, grid)
    assert find_grid(evened) is None
    for axis in (0, 1):
        before, after, clean = (step_ratio(each.mean(2), 8, axis) for each in (rgb, evened, truth))
        assert abs(after - clean) < 0.5 * abs(before - clean)
    # a photo that was enlarged has no fine detail of its own, and of much is not left at higher qualities
    assert error(evened, truth) < error(rgb, truth) * (1.0 if scale == 1 else 1.05)


@pytest.mark.parametrize(("top", "left"), [(1, 1), (3, 13), (8, 4), (9, 8)])
def test_a_crop_has_its_grid_where_it_lies(top, left):
    grid = grid_of(compressed(PHOTO, 45)[top:, left:])
    assert [borders.first for borders in grid.luma] == [-top % 8, -left % 8]
    for pair in grid.chroma:
        assert [borders and borders.first for borders in pair] == [-top % 16, -left % 16]


def test_a_window_has_the_photos_borders():
    grid = grid_of(compressed(PHOTO, 45))
    window = Window(21, 35, 200, 300)
    moved = grid.within(window)
    assert [borders.first for borders in moved.luma] == [-21 % 8, -35 % 8]
    assert [borders and borders.first for borders in moved.chroma[0]] == [-21 % 16, -35 % 16]


@pytest.mark.parametrize(
    "rgb",
    [
        pytest.param(PHOTO, id="photo"),
        pytest.param(compressed(PHOTO, 95), id="JPEG of high quality"),
        pytest.param(np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8), id="noise"),
        pytest.param(np.full((300, 400, 3), 90, np.uint8), id="one colour"),
        pytest.param(np.zeros((1, 1, 3), np.uint8), id="one pixel"),
        pytest.param(compressed(PHOTO, 45)[:3], id="three rows"),
        pytest.param(compressed(PHOTO, 45)[:, :9], id="nine columns"),
        pytest.param(
            (100 + 40 * (np.indices((320, 320)) // 8).sum(0) % 2 * np.ones((3, 1, 1))).T.astype(np.uint8), id="chequers"
        ),
        *(
            pytest.param(
                np.asarray(Image.fromarray(compressed(PHOTO, 45)).resize(size, Image.Resampling.BICUBIC)),
                id=f"scaled afterwards to {size}",
            )
            for size in [(316, 210), (677, 450), (400, 266)]
        ),
    ],
)
def test_where_there_are_no_blocks_nothing_is_touched(rgb, predictor):
    assert find_grid(rgb) is None
    picture = Picture(rgb, "name", predictor)
    alpha = rgb[..., 0]
    assert picture.guide is rgb
    assert picture.evened(alpha) is alpha


def test_no_piece_of_a_clean_photo_seems_to_have_blocks():
    rng = np.random.default_rng(1)
    for side in rng.integers(12, 200, 150):
        top, left = rng.integers(0, 300 - side), rng.integers(0, 451 - side)
        assert find_grid(PHOTO[top : top + side, left : left + side]) is None


def test_a_large_picture_is_measured_in_places_and_evened_in_strips(monkeypatch):
    rgb = compressed(PHOTO, 45)[3:]
    grid = grid_of(rgb)
    alpha = rgb[..., 0]
    whole = even_picture(rgb, grid), even_alpha(alpha, grid)
    monkeypatch.setattr(deblocking, "_ROWS", 37)
    np.testing.assert_array_equal(even_picture(rgb, grid), whole[0])
    np.testing.assert_array_equal(even_alpha(alpha, grid), whole[1])
    monkeypatch.setattr(deblocking, "_MEASURED_PIXELS", 2 * 64 * rgb.shape[1])
    assert [borders.first for borders in grid_of(rgb).luma] == [borders.first for borders in grid.luma]


def test_only_soft_alpha_is_evened():
    grid = grid_of(compressed(PHOTO, 45))
    alpha = np.zeros(PHOTO.shape[:2], np.uint8)
    alpha[:, 160:] = 255
    np.testing.assert_array_equal(even_alpha(alpha, grid), alpha)
    alpha[:] = 100
    alpha[:, 160:] = 130
    alpha[:, 168:] = 100
    evened = even_alpha(alpha, grid)
    assert np.abs(np.diff(evened.astype(int), axis=1)).max() < 20
    assert (alpha[0, :8] == evened[0, :8]).all()


def test_a_crop_of_a_picture_follows_the_pictures_guide(predictor):
    rgb = compressed(PHOTO, 45)
    picture = Picture(rgb, "name", predictor)
    assert picture.guide is not rgb
    window = Window(11, 13, 120, 130)
    crop = picture.crop(window)
    np.testing.assert_array_equal(crop.guide, picture.guide[window.place])
    np.testing.assert_array_equal(crop.rgb, rgb[window.place])


def test_a_matte_has_no_steps_at_the_borders_of_blocks(monkeypatch):
    rgb = compressed(PHOTO, 45)
    prompt = Prompt([(225.5, 135)], [1])

    def ratios():
        engine = Engine("lite", "cpu", EmbeddingCache(None))
        engine.set_image(rgb)
        alpha = engine.matte(prompt).alpha
        return [step_ratio(alpha, period, axis) for period in (8, 16) for axis in (0, 1)]

    assert max(ratios()) < 1.1
    monkeypatch.setattr("sama_core.inference.picture.find_grid", lambda rgb: None)
    assert min(ratios()) > 1.3, "a photo that would pass as it is"
