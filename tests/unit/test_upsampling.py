import numpy as np
import pytest

from sama_core.images import LOW_RES, Frame
from sama_core.inference.upsampling import fit_guided, probability, select_alpha, sigmoid


def disk_scene(side: int):
    """A bright disk on a dark ground, and logits of a mask that knows it only on the decoder's grid."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    truth = np.hypot(y - 0.52 * side, x - 0.47 * side) < 0.3 * side
    rgb = np.where(truth[..., None], np.array([210, 180, 90]), np.array([40, 60, 80])).astype(np.uint8)
    low = Frame(side, side, 512).mask_to_low_res(truth)
    return rgb, truth, ((low - 0.5) * 8).astype(np.float32)


def test_sigmoid_does_not_overflow():
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid(np.array([-1e4, 0, 1e4], np.float32)), [0, 0.5, 1], atol=1e-6)


@pytest.mark.parametrize("side", [300, 1500])
def test_a_selection_follows_the_photos_edge_closer_than_the_grid_can(side):
    rgb, truth, logits = disk_scene(side)
    alpha = select_alpha(Frame(side, side, 512), logits, rgb)
    assert alpha.shape == truth.shape
    assert alpha.dtype == np.uint8
    plain = probability(Frame(side, side, 512), logits, side, side) > 0.5
    wrong, plainly_wrong = np.count_nonzero((alpha > 127) != truth), np.count_nonzero(plain != truth)
    assert wrong < 0.5 * plainly_wrong
    assert alpha[int(0.52 * side), int(0.47 * side)] == 255
    assert alpha[3, 3] == 0


def test_far_from_the_edge_a_selection_is_all_or_nothing():
    rgb, _, logits = disk_scene(600)
    noisy = np.clip(rgb + np.random.default_rng(0).normal(0, 12, rgb.shape), 0, 255).astype(np.uint8)
    alpha = select_alpha(Frame(600, 600, 512), logits, noisy)
    assert set(np.unique(alpha[:60])) == {0}
    assert set(np.unique(alpha[290:330, 250:300])) == {255}


def test_an_empty_mask_gives_an_empty_selection():
    rgb = np.random.default_rng(0).integers(0, 255, (200, 320, 3)).astype(np.uint8)
    assert select_alpha(Frame(200, 320, 512), np.full((LOW_RES, LOW_RES), -9, np.float32), rgb).max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (5, 3)])
def test_tiny_pictures_work(shape):
    rgb = np.full((*shape, 3), 90, np.uint8)
    alpha = select_alpha(Frame(shape[0], shape[1], 512), np.full((LOW_RES, LOW_RES), 9, np.float32), rgb)
    assert alpha.shape == shape
    assert alpha.min() == 255


def test_the_guided_filter_reproduces_a_linear_function_of_the_guide():
    rgb = np.random.default_rng(2).random((60, 80, 3)).astype(np.float32)
    mask = (rgb @ np.array([0.5, 0.3, 0.1], np.float32)) + 0.05
    fitted = fit_guided(rgb, mask, 4, 1e-7, np.ones((60, 80), bool))
    np.testing.assert_allclose((fitted.gain * rgb).sum(-1) + fitted.offset, mask, atol=1e-3)
