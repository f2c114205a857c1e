import numpy as np
import pytest

from sama_core.images import Frame
from sama_core.inference.matting_start import GridStart, correct, shown, solve, start_from
from sama_core.model.sama import LEAST

GRID = 128


def soft_disk(height: int, width: int, softness: float) -> tuple[np.ndarray, np.ndarray]:
    """A soft disk composited on a plain ground: the colour line makes alpha exact for closed-form matting."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    alpha = np.clip(0.5 + (0.3 * height - np.hypot(y - height / 2, x - width / 2)) / softness, 0, 1)
    rgb = alpha[..., None] * np.array([220, 160, 60]) + (1 - alpha[..., None]) * np.array([30, 70, 120])
    return np.rint(rgb).astype(np.uint8), alpha.astype(np.float32)


def test_a_start_is_closed_form_matting_with_padding_at_zero():
    rgb, alpha = soft_disk(96, GRID, 8)
    start = solve(rgb, (alpha > 0.5).astype(np.float32), GRID)
    assert np.abs(start.alpha[:96] - alpha).mean() < 0.01
    assert not start.alpha[96:].any()
    assert not start.open[96:].any()


def test_the_head_may_change_alpha_near_the_edge_alone():
    rgb, alpha = soft_disk(GRID, GRID, 4)
    mask = (alpha > 0.5).astype(np.float32)
    start = solve(rgb, mask, GRID)
    edge = np.abs(alpha - 0.5) < 0.4
    assert start.open[edge].all()
    assert not start.open[GRID // 2, GRID // 2]
    assert not start.open[:3, :3].any()


def test_what_the_segmentation_doubts_is_not_the_heads_to_decide():
    rgb, alpha = soft_disk(GRID, GRID, 4)
    mask = (alpha > 0.5).astype(np.float32)
    sure = solve(rgb, mask, GRID)
    mask[50:78, 88:116] = 0.4
    doubting = solve(rgb, mask, GRID)
    assert sure.open[60:68, 98:104].all()
    assert not doubting.open[55:73, 93:111].any()
    left = slice(0, 64)
    np.testing.assert_array_equal(doubting.open[:, left], sure.open[:, left])


def test_nothing_found_leaves_nothing_to_correct():
    start = solve(np.zeros((GRID, GRID, 3), np.uint8), np.zeros((GRID, GRID), np.float32), GRID)
    assert not start.alpha.any()
    assert not start.open.any()


@pytest.mark.parametrize(("height", "width"), [(300, 400), (60, 80)], ids=["larger", "smaller"])
def test_the_start_of_a_photo_is_its_matte_on_the_heads_grid(height, width):
    rgb, alpha = soft_disk(height, width, 0.05 * height)
    frame = Frame(height, width, 2 * GRID)
    grid_height, grid_width = shown(frame, GRID)
    assert (grid_height, grid_width) == (96, 128)
    _, small = soft_disk(grid_height, grid_width, 0.05 * grid_height)
    logits = np.full((GRID, GRID), -9, np.float32)
    logits[:grid_height, :grid_width] = (small > 0.5) * 18 - 9
    matte, start = start_from(frame, logits, rgb, frame, GRID)
    assert matte.shape == alpha.shape
    assert np.abs(start.alpha[:grid_height, :grid_width] - small).mean() < 0.02
    np.testing.assert_array_equal(correct(matte, frame, start, _logits(start.alpha)), matte)


def test_what_the_head_changes_reaches_the_photo_there_and_nowhere_else():
    alpha = np.full((300, 400), 100, np.uint8)
    frame = Frame(300, 400, 2 * GRID)
    start = GridStart(np.full((GRID, GRID), 100 / 255, np.float32), np.zeros((GRID, GRID), bool))
    start.open[20:40, 30:60] = True
    raised = np.full((GRID, GRID), 0.8, np.float32)
    corrected = correct(alpha, frame, start, _logits(raised))
    # a cell of the grid is 3.125 pixels
    assert (corrected[70:118, 100:180] == round(0.8 * 255)).all()
    assert (corrected[:55] == 100).all() and (corrected[:, 200:] == 100).all()


def _logits(alpha: np.ndarray) -> np.ndarray:
    clipped = np.clip(alpha, LEAST, 1 - LEAST)
    return np.log(clipped / (1 - clipped)).astype(np.float32)
